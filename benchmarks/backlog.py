"""The backlog suite: records are accepted while no shard runs, then the shards are let go: how long until nothing is behind, and what memory it takes.

The shards are stopped by SIGSTOP, so they lose their leases and nobody takes them: what the gateway promises meanwhile lies in the log alone. At SIGCONT
they take their partitions again and drain. Two patiences are raised for the run (`SETTINGS`), or the supervisor would replace what stands still; and
the bounds of log and memory, which a backlog of this size needs on any deployment. Every event must be applied once, every mail sent once.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from actors.processes import descendants
from benchmarks import cpu, memory, workload
from benchmarks.client import Checks, Client, all_right, canonical_checks, in_words
from benchmarks.deployment import Deployment, Ledgers, Sinks, wait_until_settled
from benchmarks.load import Seen
from engine.config import Config

SETTLE_S_MAX = 1_800
LOOK_S = 0.02
MIB = 1024**2
SETTINGS = {"WAYFARE_FROZEN_MS": "7200000", "WAYFARE_ORPHAN_MS": "7200000"}

Say = Callable[[str], None]


class Size(msgspec.Struct, frozen=True):
    """`events` are sent `laps` times over, each lap under ids of its own. The partition of the most popular contact gets about a seventh of them all."""

    events: int = 500_000
    laps: int = 20
    contacts: int = workload.CONTACTS
    connections: int = 4
    log_records_max: int = 4_000_000  # per partition
    memory_bytes_max: int = 10 * 1024**3
    sample_s: float = 1
    durability: str = "fsync"


FULL = Size()
SMALL = Size(events=3_000, laps=2, contacts=500, connections=2, sample_s=0.1)


def steps(size: Size) -> int:
    """How many lines `run` will say."""
    return 3


def run(size: Size, folder: Path, say: Say) -> list[dict[str, Any]]:
    """One result."""
    data = folder / "backlog"
    bounds = {"WAYFARE_LOG_RECORDS_MAX": str(size.log_records_max), "WAYFARE_MEMORY_BYTES_MAX": str(size.memory_bytes_max)}
    with (
        Sinks() as sinks,
        Deployment(data, flags=("--durability", size.durability), environ=SETTINGS | bounds) as deployment,
        closing(Ledgers(data, Config())) as ledgers,
    ):
        deployment.publish(workload.documents(sinks.smtp_port))
        for body in workload.contact_bodies(size.contacts):
            deployment.api.request("POST", "/v1/contacts", body)
        before, samples = wait_until_settled(deployment, SETTLE_S_MAX), _Samples(size, deployment, ledgers)
        with _stopped(deployment.pid):
            seen = _accept(size, deployment, samples)
            behind, full_bytes = ledgers.lag(), ledgers.used_bytes()
            say(
                f"{behind:,} records accepted while no shard ran, {seen.accepted / (seen.ended_s - seen.begun_s):,.0f}/s, {full_bytes / MIB:,.0f} MiB in Valkey"
            )
        drain = _drain(ledgers, samples, deployment.pid, behind)
        say(f"drained in {drain['drain_s']:,} s, {drain['drained_per_s']:,} records/s, the first commit after {drain['first_commit_s']} s")
        after = wait_until_settled(deployment, SETTLE_S_MAX)
        settled_s = time.monotonic() - samples.resumed_s
        samples.take()
        checks = _checks(size, canonical_checks(_expected(size), before, after, seen, sinks.counts()["total"]), behind)
        used_bytes = ledgers.used_bytes()
    say(in_words(checks))
    figures = {
        "accepted_per_s": round(seen.accepted / (seen.ended_s - seen.begun_s)),
        "behind_records": behind,
        **drain,
        "settled_s": round(settled_s, 2),
        "valkey": {"before_bytes": samples.first_bytes, "behind_bytes": full_bytes, "drained_bytes": used_bytes},
        "bytes_per_record_behind": round((full_bytes - samples.first_bytes) / behind, 1),
    }
    result = {"suite": "backlog", "durability": size.durability, "size": msgspec.to_builtins(size), "environment": SETTINGS | bounds, "figures": figures}
    return [{**result, "series": samples.series, "checks": checks, "holds": all_right(checks)}]


@contextmanager
def _stopped(root: int) -> Iterator[None]:
    """No shard of this deployment runs inside the block. What is there at its end goes on."""
    pids = [process.pid for process in descendants(root) if cpu.role_of(process.pid) == "shard"]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _accept(size: Size, deployment: Deployment, samples: _Samples) -> Seen:
    """Send all of it, closed loop."""
    client = Client(deployment, seed=1, events=size.events, contacts=size.contacts, connections=size.connections, batch=_batch(size), laps=size.laps)
    samples.begin()
    client.go()
    while client.running():
        samples.take()
        time.sleep(size.sample_s)
    return client.result()


def _batch(size: Size) -> int:
    return min(workload.BATCH_EVENTS, max(1, size.events // 4))


def _drain(ledgers: Ledgers, samples: _Samples, root: int, behind: int) -> dict[str, Any]:
    """From the moment at which the shards run until nothing is behind; TimeoutError after SETTLE_S_MAX."""
    samples.resumed_s = begun_s = time.monotonic()
    used, first_s, sampled_s = cpu.seconds_by_role(root), 0.0, begun_s
    while left := ledgers.lag():
        now = time.monotonic()
        if left < behind and not first_s:
            first_s = now
        if now - sampled_s >= samples.every_s:
            samples.take()
            sampled_s = now
        if now - begun_s > SETTLE_S_MAX:
            raise TimeoutError(f"{left:,} records are still behind after {SETTLE_S_MAX} s")
        time.sleep(LOOK_S)
    drain_s = time.monotonic() - begun_s
    return {
        "first_commit_s": round((first_s or time.monotonic()) - begun_s, 2),
        "drain_s": round(drain_s, 2),
        "drained_per_s": round(behind / drain_s),
        "cpu_us_per_event": cpu.per_event_us(used, cpu.seconds_by_role(root), behind),
    }


def _expected(size: Size) -> workload.Expected:
    """What must come of all laps."""
    once = workload.make(1, size.events, size.contacts, _batch(size)).expected
    return workload.Expected(*(size.laps * count for count in msgspec.structs.astuple(once)))


def _checks(size: Size, canonical: Checks, behind: int) -> Checks:
    return {"accepted while no shard ran": (size.events * size.laps, behind), **canonical}


class _Samples:
    """Records behind, mails waiting, and memory, over time; seconds count from the first event."""

    def __init__(self, size: Size, deployment: Deployment, ledgers: Ledgers) -> None:
        self.every_s, self._root, self._ledgers = size.sample_s, deployment.pid, ledgers
        self.first_bytes = ledgers.used_bytes()
        self.resumed_s = 0.0
        self.series: dict[str, list[tuple[float, float]]] = {name: [] for name in ("lag_records", "mails_waiting", "valkey_used_bytes")}
        self.series |= {f"{role}_resident_bytes": [] for role in ("valkey", "shard", "gateway", "pool")}

    def begin(self) -> None:
        """The first event is sent now."""
        self._begun_s = time.monotonic()

    def take(self) -> None:
        """Look once."""
        at_s, resident = round(time.monotonic() - self._begun_s, 2), memory.resident_by_role(self._root)
        values: dict[str, float] = {"lag_records": self._ledgers.lag(), "mails_waiting": self._ledgers.pending("email")}
        values["valkey_used_bytes"] = self._ledgers.used_bytes()
        values |= {f"{role}_resident_bytes": resident[role] for role in ("valkey", "shard", "gateway", "pool")}
        for name, value in values.items():
            self.series[name].append((at_s, value))


def table(found: list[dict[str, Any]]) -> Table:
    """What was behind, how it went, what it took."""
    figures, shown = found[0]["figures"], Table("", "", title=f"{found[0]['figures']['behind_records']:,} records behind, {found[0]['durability']}")
    rows = {
        "accepted while no shard ran": f"{figures['accepted_per_s']:,}/s",
        "first commit after": f"{figures['first_commit_s']} s",
        "drained in": f"{figures['drain_s']:,} s, {figures['drained_per_s']:,} records/s",
        "all mails sent after": f"{figures['settled_s']:,} s",
        "Valkey: before, behind, drained": ", ".join(f"{size / MIB:,.0f} MiB" for size in figures["valkey"].values()),
        "bytes of Valkey per record behind": f"{figures['bytes_per_record_behind']}",
        **{f"CPU µs per record drained: {role}": f"{used:.2f}" for role, used in figures["cpu_us_per_event"].items()},
    }
    for name, cell in rows.items():
        shown.add_row(name, cell)
    shown.caption = in_words(found[0]["checks"])
    return shown
