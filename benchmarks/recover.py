"""The recover suite: how long it takes until work goes on after kill -9 of a shard that holds all contacts in memory, the pool, the gateway, Valkey.

Markers (markers.py) go through the deployment all the time. From the kill on it is looked, every LOOK_S, at the offsets of all partitions in storage; a shard's
successor counts only once the lease has a new epoch, so that a commit that was under way is not taken for it. What a victim's absence stops is its
figure: commits for a shard and for Valkey, mails at the sink for the pool, 202s for the gateway. Afterwards everything sent must be accounted for.
"""

from __future__ import annotations

import http.client
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from rich.table import Table

from actors.processes import descendants
from benchmarks import markers, workload
from benchmarks.client import Checks, all_right, in_words, percentiles
from benchmarks.deployment import Deployment, Ledgers, Metrics, Refused, Sinks, wait_until_settled
from benchmarks.markers import Marker, Markers, note_arrivals
from engine.config import Config
from engine.core.errors import Unavailable

LOOK_S = 0.003
LEAD_S = 0.5  # of markers before the kill
WHOLE_S_MAX = 60
TARGET_S = 3.0
BATCH_EVENTS = 2_000
VICTIMS = {"shard": "committed_s", "pool": "dispatched_s", "gateway": "accepted_s", "valkey": "committed_s"}
ROLES = {"shard": 2, "pool": 1, "gateway": 1}  # that a whole deployment has: a shard and its standby

Say = Callable[[str], None]


class Size(msgspec.Struct, frozen=True):
    """How many contacts the shard holds when it is killed, and how often each victim dies. What a dead pool had claimed is free after `claim_lease_ms`."""

    contacts: int = 1_000_000
    kills: int = 5
    fresh_per_s: int = 100
    claim_lease_ms: int = 30_000
    settle_s_max: float = 300
    durability: str = "fsync"
    victims: tuple[str, ...] = tuple(VICTIMS)


FULL = Size()
# In this order no process has to start before the next one dies.
SMALL = Size(contacts=2_000, kills=1, fresh_per_s=50, claim_lease_ms=2_000, settle_s_max=60, victims=("valkey", "shard"))


def steps(size: Size) -> int:
    """How many lines `run` will say."""
    return size.kills * len(size.victims)


def run(size: Size, folder: Path, say: Say) -> list[dict[str, Any]]:
    """One result per victim, all from one deployment, whose counts are checked at the end."""
    data = folder / "recover"
    lease = {"WAYFARE_CLAIM_LEASE_MS": str(size.claim_lease_ms), "WAYFARE_SEND_TIMEOUT_MS": str(size.claim_lease_ms * 2 // 3)}
    kills: dict[str, list[dict[str, Any]]] = {victim: [] for victim in size.victims}
    with Sinks() as sinks, Deployment(data, flags=("--durability", size.durability), environ=lease) as deployment, closing(Ledgers(data, Config())) as ledgers:
        deployment.publish(markers.documents(sinks.smtp_port, workload.MAP))
        bench = Bench(size, deployment, ledgers, sinks)
        for number, victim in ((number, victim) for victim in size.victims for number in range(1, size.kills + 1)):
            found = bench.kill(victim)
            kills[victim].append(found)
            say(f"{victim}: kill {number} of {size.kills}: {found[VICTIMS[victim]]:.2f} s")
        checks = bench.checks()
    return [_result(size, victim, found, checks) for victim, found in kills.items()]


class Bench:
    """A deployment whose processes are killed one after the other, and what was sent to it meanwhile."""

    def __init__(self, size: Size, deployment: Deployment, ledgers: Ledgers, sinks: Sinks) -> None:
        self._size, self._deployment, self._ledgers, self._sinks = size, deployment, ledgers, sinks
        self._fills = count(1)
        self._filled = self._sent = self._killed = 0

    def kill(self, victim: str) -> dict[str, Any]:
        """Kill one process and see what comes back when, in seconds since the kill."""
        self._wait_until_whole()
        resident = self._fill() if victim == "shard" else 0
        with Markers(self._deployment, self._size.fresh_per_s, self._sent) as fresh:
            time.sleep(LEAD_S)
            before = self._ledgers.owners()
            self._killed = self._pid_of(victim, before[0][0])
            os.kill(self._killed, signal.SIGKILL)
            killed_s = time.monotonic()
            committed = self._commits(killed_s, {number: epoch for number, (_, epoch, _) in before.items()} if victim == "shard" else {})
        self._sent += len(fresh.sent)
        wait_until_settled(self._deployment, self._size.settle_s_max)
        note_arrivals(fresh.sent, self._sinks)
        return {**_described(fresh.sent, killed_s, committed), "contacts_resident": resident}

    def _fill(self) -> int:
        """Let every contact be touched, so that the shard holds all of them; how many it then says to hold."""
        fill, data = next(self._fills), {"total": 120.5, "notify": False, "currency": "USD", "cds": 2}
        for first in range(0, self._size.contacts, BATCH_EVENTS):
            numbers = range(first, min(self._size.contacts, first + BATCH_EVENTS))
            events = [{"id": f"{fill}-{number}", "contact": f"r{number}", "name": "order.placed", "data": data} for number in numbers]
            self._deployment.api.insist("POST", "/v1/events", events)
        self._filled += self._size.contacts
        metrics = wait_until_settled(self._deployment, self._size.settle_s_max)
        resident = metrics.by("wayfare_contacts_resident", "shard")
        deadline = time.monotonic() + 2  # the shard publishes its gauges with its heartbeat
        while max(resident.values(), default=0) < self._size.contacts and time.monotonic() < deadline:
            time.sleep(0.1)
            resident = self._deployment.metrics().by("wayfare_contacts_resident", "shard")
        return int(max(resident.values(), default=0))

    def _commits(self, killed_s: float, epochs: dict[int, int]) -> list[float]:
        """When each partition committed again, in seconds since the kill: more than stood there at the first look, and by a later epoch than these."""
        first: dict[int, int] = {}
        found: dict[int, float] = {}
        while not first or len(found) < len(first):
            try:
                owners = self._ledgers.owners()
            except Unavailable:
                owners = {}
            for number, (_, epoch, offset) in owners.items():
                if offset > first.setdefault(number, offset) and epoch > epochs.get(number, 0):
                    found.setdefault(number, time.monotonic() - killed_s)
            if time.monotonic() > killed_s + WHOLE_S_MAX:
                raise TimeoutError(f"{len(first) - len(found)} partitions have committed nothing for {WHOLE_S_MAX} s")
            time.sleep(LOOK_S)
        return sorted(found.values())

    def _pid_of(self, victim: str, owner: str) -> int:
        """The process to be killed; of the shards the one that owns the partitions."""
        if victim == "valkey":
            return next(each.pid for each in descendants(self._deployment.pid) if Path(f"/proc/{each.pid}/comm").read_text() == "valkey-server\n")
        processes = self._processes()
        return int(next(each["pid"] for each in processes if (each["name"] == owner if victim == "shard" else _role(each) == victim)))

    def _processes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._deployment.api.json("GET", "/v1/status")["processes"]
        return [each for each in found if "pid" in each]

    def _wait_until_whole(self) -> None:
        """Wait until every role is there as often as it should be, without the process that was killed last."""
        deadline = time.monotonic() + WHOLE_S_MAX
        while time.monotonic() < deadline:
            try:
                processes = self._processes()
            except (Refused, OSError, http.client.HTTPException):
                processes = []
            roles = Counter(_role(each) for each in processes if each["pid"] != self._killed)
            if all(roles[role] >= wanted for role, wanted in ROLES.items()):
                return
            time.sleep(0.1)
        raise TimeoutError(f"the deployment is not whole after {WHOLE_S_MAX} s")

    def checks(self) -> Checks:
        """Everything that was sent, by where it is now. A mail that a pool had in its hands may be `unknown`; it is never sent twice."""
        metrics = wait_until_settled(self._deployment, self._size.settle_s_max)
        delivered, unknown = (_emails(metrics, outcome) for outcome in ("delivered", "unknown"))
        counts = self._sinks.counts()
        return {
            "events of the contacts applied": (self._filled, _entries(metrics, workload.MAP_ID, "later")),
            "fresh events applied": (self._sent, _entries(metrics, markers.MAP_ID, "tell")),
            "their emails delivered or unknown": (self._sent, delivered + unknown),
            "emails delivered that the sink does not have": (0, max(0, delivered - counts["total"])),
            "emails at the sink of which nothing is known": (0, max(0, counts["total"] - delivered - unknown)),
            "emails sent twice": (0, counts["duplicates"]),
            "conservation drift": (0, int(metrics.total("wayfare_conservation_drift"))),
        }


def _described(fresh: list[Marker], killed_s: float, committed: list[float]) -> dict[str, float]:
    """Seconds from the kill to the first and the last partition's commit, and to the first 202 and mail of a marker that was due after it."""
    later = [one for one in fresh if one.due_s >= killed_s]
    return {
        "committed_s": round(committed[0], 3),
        "all_committed_s": round(committed[-1], 3),
        "accepted_s": round(min(one.accepted_s for one in later) - killed_s, 3),
        "dispatched_s": round(min(one.dispatched_s for one in later if one.dispatched_s) - killed_s, 3),
    }


def _role(process: dict[str, Any]) -> str:
    return str(process["name"]).rpartition("-")[0]


def _emails(metrics: Metrics, outcome: str) -> int:
    return int(metrics.total("wayfare_effects_total", channel="email", outcome=outcome))


def _entries(metrics: Metrics, map_id: str, element: str) -> int:
    return int(metrics.total("wayfare_element_entries_total", map=map_id, element=element))


def _result(size: Size, victim: str, kills: list[dict[str, Any]], checks: Checks) -> dict[str, Any]:
    if victim == "shard":
        checks = {**checks, "contacts resident at each kill": (size.contacts, min(size.contacts, *(found["contacts_resident"] for found in kills)))}
    return {
        "suite": "recover",
        "victim": victim,
        "size": msgspec.to_builtins(size),
        "medians": {name: median(found[name] for found in kills) for name in kills[0]},
        "percentiles": {name: percentiles([found[name] * 1000 for found in kills]) for name in kills[0] if name.endswith("_s")},
        "target_s": TARGET_S,
        "checks": checks,
        "in_words": in_words(checks),
        "holds": all_right(checks),
        "runs": kills,
    }


def table(found: list[dict[str, Any]]) -> Table:
    """A row per victim: the median, and the percentiles of its own figure."""
    shown = Table(
        "killed", "back after s: p50", "p99", "first commit", "all partitions", "first 202", "first mail", "counts", title=f"recovery, target {TARGET_S:.0f} s"
    )
    for each in found:
        own = each["percentiles"][VICTIMS[each["victim"]]]
        medians = [f"{each['medians'][name]:.2f}" for name in ("committed_s", "all_committed_s", "accepted_s", "dispatched_s")]
        shown.add_row(each["victim"], f"{own['50'] / 1000:.2f}", f"{own['99'] / 1000:.2f}", *medians, each["in_words"])
    return shown
