"""The latency suite: from acceptance to dispatch, at a fifth of what the ring sustains and at 80 % of it, beside a bare round trip to its server.

What it sustains is a closed loop's events by the time until the last mail has left. Then an open loop of batches makes the load, and markers go through it: single
events, each of which decides a transactional mail, timed from the 202 to the sink. Meanwhile a bare client on the same server asks PING, which waits
for whatever the server is doing, and SET, which with `fsync` waits for the disk as well: an append, a commit and a mark cannot be faster than that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from rich.table import Table

from actors.folders import Folders
from benchmarks import workload
from benchmarks.client import Checks, Client, all_right, canonical_checks, in_words, percentiles, wait_until_none
from benchmarks.deployment import Deployment, Ledgers, Sinks, wait_until_settled
from benchmarks.load import Seen
from benchmarks.markers import Markers, documents, note_until_arrived
from engine.config import Config
from engine.storage.redis_call import Call, checked, command
from engine.storage.redis_client import RedisClient

SETTLE_S_MAX = 300
TRIP_EVERY_S = 0.02
LOOK_S = 0.02
TRIPS = ("ping", "set")
AT_MOST_MS = {0.2: 25, 0.8: 250}  # p99, by the share of the load

Say = Callable[[str], None]


class Size(msgspec.Struct, frozen=True):
    """`runs` at each share of what is sustained, of `seconds` each; medians count."""

    events: int = 400_000  # of the closed loop that finds what is sustained
    contacts: int = workload.CONTACTS
    connections: int = 4
    shares: tuple[float, ...] = (0.2, 0.8)
    runs: int = 5
    seconds: float = 15
    markers_per_s: float = 40
    durabilities: tuple[str, ...] = ("fsync",)


FULL = Size()
SMALL = Size(events=3_000, contacts=500, connections=2, runs=1, seconds=1, markers_per_s=20)


def steps(size: Size) -> int:
    """How many lines `run` will say."""
    return len(size.durabilities) * (1 + len(size.shares) * size.runs)


def run(size: Size, folder: Path, say: Say) -> list[dict[str, Any]]:
    """One result per durability."""
    return [_measure(size, folder / durability, durability, say) for durability in size.durabilities]


def _measure(size: Size, data: Path, durability: str, say: Say) -> dict[str, Any]:
    with (
        Sinks() as sinks,
        Deployment(data, flags=("--durability", durability)) as deployment,
        closing(Ledgers(data, Config())) as ledgers,
        closing(RedisClient(f"unix://{Folders(str(data)).socket}", Config())) as bare,
    ):
        bench = _Bench(size, deployment, sinks, ledgers, bare)
        sustained, first = bench.closed()
        say(f"{durability}: {sustained:,.0f} events/s sustained, {in_words(first)}")
        runs = []
        for share in size.shares:
            for _ in range(size.runs):
                runs.append({"share": share, **bench.at(sustained * share)})
                took, trip = runs[-1]["percentiles"], runs[-1]["round_trips"]["set"]
                words = f"p50 {took['50']} ms, p99 {took['99']} ms from acceptance to dispatch; SET p99 {trip['99']} ms"
                say(f"{durability}: {words} at {share:.0%}, {in_words(runs[-1]['checks'])}")
    figures = {f"at {share:.0%}": _medians([found for found in runs if found["share"] == share], share) for share in size.shares}
    holds = all_right(first) and all(all_right(found["checks"]) for found in runs)
    result = {"suite": "latency", "durability": durability, "size": msgspec.to_builtins(size), "sustained_per_s": round(sustained)}
    return {**result, "figures": figures, "runs": runs, "holds": holds}


class _Bench:
    """The deployment with everybody's address, and loads put on it, each under ids and contacts of its own."""

    def __init__(self, size: Size, deployment: Deployment, sinks: Sinks, ledgers: Ledgers, bare: RedisClient) -> None:
        self._size, self._deployment, self._sinks, self._ledgers, self._bare = size, deployment, sinks, ledgers, bare
        self._seeds, self._markers = count(1), 0
        deployment.publish(documents(sinks.smtp_port, workload.MAP))
        for body in workload.contact_bodies(size.contacts):
            deployment.api.request("POST", "/v1/contacts", body)

    def _client(self, seed: int, events: int, rate: float = 0) -> Client:
        size = self._size
        return Client(self._deployment, seed=seed, events=events, contacts=size.contacts, connections=size.connections, rate=rate, batch=_batch(events))

    def closed(self) -> tuple[float, Checks]:
        """Events/s by the time until nothing is left to do."""
        seed = next(self._seeds)
        client, before, taken = self._client(seed, self._size.events), wait_until_settled(self._deployment, SETTLE_S_MAX), self._sinks.counts()["total"]
        client.go()
        seen = client.result()
        wait_until_none(self._ledgers.lag, LOOK_S)
        settled_s = wait_until_none(lambda: self._ledgers.pending("email"), LOOK_S) - seen.begun_s
        after = wait_until_settled(self._deployment, SETTLE_S_MAX)
        expected = workload.make(seed, self._size.events, self._size.contacts, _batch(self._size.events)).expected
        return seen.accepted / settled_s, canonical_checks(expected, before, after, seen, self._sinks.counts()["total"] - taken)

    def at(self, rate: float) -> dict[str, Any]:
        """One run: an open loop of `rate` events/s, and markers through it."""
        size, seed = self._size, next(self._seeds)
        events = max(100, int(rate * size.seconds))
        client, before, taken = self._client(seed, events, rate), wait_until_settled(self._deployment, SETTLE_S_MAX), self._sinks.counts()["total"]
        client.go()
        with Markers(self._deployment, size.markers_per_s, self._markers) as markers:
            trips_ms = self._trips(client)
        seen: Seen = client.result()
        after = wait_until_settled(self._deployment, SETTLE_S_MAX)
        note_until_arrived(markers.sent, self._sinks)
        self._markers += len(markers.sent)
        expected = workload.make(seed, events, size.contacts, _batch(events)).expected
        expected.emails += len(markers.sent)
        return {
            "offered_per_s": round(rate),
            "accepted_per_s": round(seen.accepted / (seen.ended_s - seen.begun_s)),
            "markers": len(markers.sent),
            "percentiles": percentiles([one.dispatch_ms for one in markers.sent]),
            "round_trips": {name: percentiles(found) for name, found in trips_ms.items()},
            "checks": canonical_checks(expected, before, after, seen, self._sinks.counts()["total"] - taken),
        }

    def _trips(self, client: Client) -> dict[str, list[float]]:
        """Milliseconds of bare round trips while the load is on."""
        calls = {"ping": command("PING"), "set": command("SET", "wf:round-trip", 1, writes=True)}
        found: dict[str, list[float]] = {name: [] for name in TRIPS}
        while client.running():
            for name, call in calls.items():
                found[name].append(self._trip(call))
            time.sleep(TRIP_EVERY_S)
        return found

    def _trip(self, call: Call) -> float:
        began = time.perf_counter()
        checked(self._bare.run([call]))
        return (time.perf_counter() - began) * 1000


def _batch(events: int) -> int:
    return min(workload.BATCH_EVENTS, max(1, events // 4))


def _medians(runs: list[dict[str, Any]], share: float) -> dict[str, Any]:
    """Over the runs of one share, each percentile by itself."""
    cuts = runs[0]["percentiles"]
    found: dict[str, Any] = {"offered_per_s": runs[0]["offered_per_s"], "percentiles": {cut: median(each["percentiles"][cut] for each in runs) for cut in cuts}}
    found["round_trips"] = {name: {cut: median(each["round_trips"][name][cut] for each in runs) for cut in cuts} for name in TRIPS}
    if share in AT_MOST_MS:
        found["p99_ms"] = {"median": found["percentiles"]["99"], "at_most": AT_MOST_MS[share]}
    return found


def table(found: list[dict[str, Any]]) -> Table:
    """A row per share, and the bare round trips beside it."""
    shown = Table("load", "events/s", "p50 ms", "p90", "p99", "p99.9", "target p99", title="from acceptance to dispatch")
    for each in found:
        for name, figures in each["figures"].items():
            target = figures.get("p99_ms", {}).get("at_most", "")
            rows = {f"{each['durability']} {name}": figures["percentiles"], **{f"  bare {trip.upper()}": figures["round_trips"][trip] for trip in TRIPS}}
            for row, took in rows.items():
                cells = (f"{figures['offered_per_s']:,}", str(target)) if not row.startswith(" ") else ("", "")
                shown.add_row(row, cells[0], *(f"{took[cut]:,.2f}" for cut in ("50", "90", "99", "99.9")), cells[1])
    shown.caption = "all counts right" if all(each["holds"] for each in found) else "COUNTS ARE WRONG"
    return shown
