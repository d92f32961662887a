"""The ingest suite: how much the gateway takes, and where its knee is, for single events and for batches of 10, 100 and 1,000.

Per batch size a closed loop over kept connections finds the most it takes; then an open loop sends at shares of that, rising until it breaks: a request's
latency counts from the time at which it was due, a refusal (429, 503) breaks it as well. The knee is the highest rate below the first that broke.
It is the whole ring that runs, canonical map, emails and all; between two loads logs and outbox are waited empty, and every count must be right.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from rich.table import Table

from benchmarks import workload
from benchmarks.client import Checks, Client, all_right, canonical_checks, in_words, percentiles
from benchmarks.deployment import Deployment, Ledgers, Sinks, wait_until_settled
from benchmarks.load import Seen
from engine.config import Config

DRAIN_S_MAX = 300
LOOK_S = 0.25

Say = Callable[[str], None]
Load = dict[str, Any]


class Size(msgspec.Struct, frozen=True):
    """A closed loop sends `requests_max` requests or `events_max` events, whichever is less; an open one lasts `rate_s` seconds. `p99_ms_max` is where a load breaks."""

    batches: tuple[tuple[int, int], ...] = ((1, 32), (10, 16), (100, 8), (1_000, 4))  # (events of a request, connections)
    requests_max: int = 40_000
    events_max: int = 400_000
    contacts: int = workload.CONTACTS
    runs: int = 3
    shares: tuple[float, ...] = (0.1, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)
    rate_s: float = 8
    p99_ms_max: float = 100
    durabilities: tuple[str, ...] = ("fsync",)


FULL = Size()
SMALL = Size(batches=((1, 4), (100, 2)), requests_max=400, events_max=2_000, contacts=500, runs=1, shares=(0.2, 0.5), rate_s=0.5)


class Bench:
    """A deployment with the canonical map, and loads put on it one after the other, each under event ids of its own."""

    def __init__(self, size: Size, deployment: Deployment, sinks: Sinks, ledgers: Ledgers) -> None:
        self._size, self._deployment, self._sinks, self._ledgers = size, deployment, sinks, ledgers
        self._seeds = count(1)
        deployment.publish(workload.documents(sinks.smtp_port))
        for body in workload.contact_bodies(size.contacts):
            deployment.api.request("POST", "/v1/contacts", body)

    def load(self, batch: int, events: int, rate: float = 0) -> Load:
        """Send the events, wait until nothing is left of them, check the counts."""
        seed, size = next(self._seeds), self._size
        connections = dict(size.batches)[batch]
        client = Client(self._deployment, seed=seed, events=events, contacts=size.contacts, connections=connections, rate=rate, batch=batch)
        expected = workload.make(seed, events, size.contacts, batch).expected
        before, taken = wait_until_settled(self._deployment, DRAIN_S_MAX), self._sinks.counts()["total"]
        client.go()
        lag = list(self._lag(client))
        seen = client.result()
        after = wait_until_settled(self._deployment, DRAIN_S_MAX)
        checks = canonical_checks(expected, before, after, seen, self._sinks.counts()["total"] - taken)
        return _described(seen, rate, lag, checks)

    def _lag(self, client: Client) -> Iterator[tuple[float, float]]:
        """(seconds, records accepted and not yet committed) while the client sends."""
        begun_s = time.monotonic()
        while client.running():
            yield round(time.monotonic() - begun_s, 2), self._ledgers.lag()
            time.sleep(LOOK_S)


def _described(seen: Seen, rate: float, lag: list[tuple[float, float]], checks: Checks) -> Load:
    """A load in figures. `rate` 0: as fast as answers came."""
    wall_s = seen.ended_s - seen.begun_s
    by_second = Counter(int(at_s) for at_s in seen.answered_s)
    a_request = seen.accepted / max(1, len(seen.answered_s))
    return {
        "offered_per_s": round(rate),
        "accepted_per_s": round(seen.accepted / wall_s),
        "refused_for_the_moment": seen.retried,
        "client_busy": round(seen.cpu_s / wall_s, 2),
        "percentiles": percentiles(seen.latencies_ms),
        "series": {
            "lag_records": lag,
            "accepted_per_s": [(second + 0.5, round(by_second[second] * a_request)) for second in range(int(wall_s))],  # whole seconds only
        },
        "checks": checks,
    }


def steps(size: Size) -> int:
    """How many lines `run` will say."""
    return len(size.durabilities) * len(size.batches) * (size.runs + len(size.shares))


def run(size: Size, folder: Path, say: Say) -> list[dict[str, Any]]:
    """One result per durability."""
    return [_measure(size, folder / durability, durability, say) for durability in size.durabilities]


def _measure(size: Size, data: Path, durability: str, say: Say) -> dict[str, Any]:
    """All batch sizes on one deployment."""
    figures, loads = {}, []
    with Sinks() as sinks, Deployment(data, flags=("--durability", durability)) as deployment, closing(Ledgers(data, Config())) as ledgers:
        bench = Bench(size, deployment, sinks, ledgers)
        for batch, _ in size.batches:
            closed = [_told(say, durability, batch, bench.load(batch, min(size.events_max, batch * size.requests_max))) for _ in range(size.runs)]
            most = median(found["accepted_per_s"] for found in closed)
            opened = list(_rising(size, bench, batch, most, partial(_told, say, durability, batch)))
            figures[str(batch)] = _knee(size, most, opened)
            loads += [{"batch": batch, **found} for found in (*closed, *opened)]
    holds = all(all_right(found["checks"]) for found in loads)
    return {"suite": "ingest", "durability": durability, "size": msgspec.to_builtins(size), "figures": figures, "loads": loads, "holds": holds}


def _told(say: Say, durability: str, batch: int, found: Load) -> Load:
    offered = f"{found['offered_per_s']:,} events/s offered" if found["offered_per_s"] else "closed loop"
    took, words = found["percentiles"], in_words(found["checks"])
    say(f"{durability}, {batch:,} a request, {offered}: {found['accepted_per_s']:,} accepted, p50 {took['50']} ms, p99 {took['99']} ms, {words}")
    return found


def _rising(size: Size, bench: Bench, batch: int, most: float, told: Callable[[Load], Load]) -> Iterator[Load]:
    """Open loops at shares of `most`, until one breaks."""
    for share in size.shares:
        rate = most * share
        requests = max(2, round(rate * size.rate_s / batch))
        found = told(bench.load(batch, requests * batch, rate))
        yield found
        if _broke(size, found):
            return


def _broke(size: Size, found: Load) -> bool:
    return bool(found["refused_for_the_moment"]) or found["percentiles"]["99"] > size.p99_ms_max


def _knee(size: Size, most: float, opened: list[Load]) -> dict[str, Any]:
    """The most by a closed loop, and the last open loop that did not break (none: the first one broke at once)."""
    held = [found for found in opened if not _broke(size, found)]
    at_knee = held[-1] if held else {"offered_per_s": 0, "percentiles": {}}
    return {
        "most_per_s": most,
        "knee_per_s": at_knee["offered_per_s"],
        "knee_shown": len(held) < len(opened),  # else it lies beyond the last rate
        "percentiles": at_knee["percentiles"],
    }


def table(found: list[dict[str, Any]]) -> Table:
    """A row per batch size; then what stood at each rate."""
    shown = Table("events a request", "events/s", "client busy", "p50 ms", "p90", "p99", "p99.9", "refused", title="ingestion")
    for each in found:
        for load in each["loads"]:
            took, offered = load["percentiles"], load["offered_per_s"]
            name = f"{load['batch']:,}{'' if offered else ', closed loop'}"
            cells = [f"{took[cut]:,.1f}" for cut in ("50", "90", "99", "99.9")]
            shown.add_row(name, f"{offered or load['accepted_per_s']:,}", f"{load['client_busy']:.0%}", *cells, f"{load['refused_for_the_moment']:,}")
        for batch, figures in each["figures"].items():
            beyond = "" if figures["knee_shown"] else "at least "
            shown.add_row(f"[bold]{int(batch):,}: the knee, {each['durability']}", f"[bold]{beyond}{figures['knee_per_s']:,}")
    shown.caption = "all counts right" if all(each["holds"] for each in found) else "COUNTS ARE WRONG"
    return shown
