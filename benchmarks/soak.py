"""The soak suite: a steady open loop at half of what the deployment commits, for minutes; memory must be flat.

First the knee: the canonical workload in a closed loop, `knee_runs` times, and the median of what was committed per second. Then the canonical
workload at `share` of it. Every second the resident memory of each role is read, what the server says that it uses, what was committed
and what is not yet; and a marker is sent: one contact's field is set by an event, and asked for over HTTP until it is there.

The line through memory begins after the warm-up, in which what is bounded fills: log entries that are kept (`log_retain_records`), then dedupe keys
(`dedupe_keys_max` in each partition, which takes two million events), contacts, the allocators' own reserves.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from rich.table import Table

from benchmarks import cpu, memory, workload
from benchmarks.client import DRAIN_S_MAX, Client, all_right, canonical_checks, in_words, percentiles, wait_until_none
from benchmarks.deployment import Api, Deployment, Ledgers, Sinks, wait_until_settled
from benchmarks.load import Seen
from benchmarks.memory import Series
from engine.config import Config

LOOK_MS = 2
MARKER = "marker"
SPAN_S = 5.0  # over which the latency's percentiles are taken, one after the other
SERVER = "server's data"  # what the server says that it uses; its resident memory is that of the role `valkey`

FULL_AFTER_EVENTS = Config().partitions * Config().dedupe_keys_max * 5 // 4  # partitions do not get equal shares: the last one is full by then

Say = Callable[[str], None]


class Size(msgspec.Struct, frozen=True):
    """How long a run is: the warm-up ends after `warm_events`, then come `seconds`. `lap_events` are made beforehand and sent again and again under new ids."""

    seconds: float = 600
    warm_events: int = FULL_AFTER_EVENTS
    every_s: float = 1  # between samples
    share: float = 0.5
    contacts: int = workload.CONTACTS
    knee_events: int = 200_000
    knee_runs: int = 3
    lap_events: int = 400_000
    connections: int = 4
    durability: str = "fsync"


FULL = Size()
SMALL = Size(seconds=3, warm_events=0, every_s=0.2, share=0.2, contacts=2_000, knee_events=4_000, knee_runs=1, lap_events=2_000, connections=2)


def steps(size: Size) -> int:
    """How many lines `run` will say."""
    return size.knee_runs + 1


def run(size: Size, folder: Path, say: Say) -> list[dict[str, Any]]:
    """One result. Data goes under `folder`."""
    data = folder / "soak"
    with Sinks() as sinks, Deployment(data, flags=("--durability", size.durability)) as deployment, closing(Ledgers(data, Config())) as ledgers:
        deployment.publish(workload.documents(sinks.smtp_port))
        for body in workload.contact_bodies(size.contacts):
            deployment.api.request("POST", "/v1/contacts", body)
        knees = []
        for number in range(1, size.knee_runs + 1):
            knees.append(_knee(size, deployment, ledgers, number))
            say(f"knee, run {number} of {size.knee_runs}: {knees[-1]:,.0f} events/s committed")
        rate = median(knees) * size.share
        found = _soak(size, deployment, ledgers, sinks, rate)
        say(f"{size.seconds:g} s and the warm-up at {rate:,.0f} events/s: {in_words(found['checks'])}; memory {found['verdict']}")
    return [{"suite": "soak", "size": msgspec.to_builtins(size), "knee_per_s": round(median(knees)), **found}]


def _knee(size: Size, deployment: Deployment, ledgers: Ledgers, seed: int) -> float:
    """Events committed per second in a closed loop."""
    batch = _batch(size.knee_events)
    client = Client(deployment, seed=seed, events=size.knee_events, contacts=size.contacts, connections=size.connections, batch=batch)
    wait_until_settled(deployment)
    client.go()
    seen = client.result()
    return seen.accepted / (wait_until_none(ledgers.lag, 0.02) - seen.begun_s)


def _soak(size: Size, deployment: Deployment, ledgers: Ledgers, sinks: Sinks, rate: float) -> dict[str, Any]:
    """The open loop, sampled; then what must be equal."""
    warm_s = size.warm_events / rate
    laps = max(1, round(rate * (warm_s + size.seconds) / size.lap_events))
    batch = _batch(size.lap_events)
    expected = workload.make(0, size.lap_events).expected  # how many of what kind does not depend on the seed, nor on the contacts
    client = Client(deployment, seed=90_000, events=size.lap_events, contacts=size.contacts, connections=size.connections, rate=rate, batch=batch, laps=laps)
    before, taken, used = wait_until_settled(deployment), sinks.counts()["total"], cpu.seconds_by_role(deployment.pid)
    samples = _Samples(deployment, ledgers, size.every_s)
    try:
        client.go()
        while client.running() or len(samples.markers) < memory.SAMPLES_MIN:  # a short run on a slow machine needs a line as well
            samples.take()
        seen = client.result()
    finally:
        client.kill()
        samples.close()
    after = wait_until_settled(deployment, DRAIN_S_MAX)
    spent = cpu.per_event_us(used, cpu.seconds_by_role(deployment.pid), seen.accepted)
    checks = canonical_checks(_times(expected, laps, len(samples.markers)), before, after, seen, sinks.counts()["total"] - taken)
    slopes = {name: memory.slope(series, warm_s) for name, series in samples.memory.items()}
    return {
        "events_per_s": round(rate),
        "laps": laps,
        "warm_s": round(warm_s, 1),
        "memory": {name: {**msgspec.to_builtins(found), "bytes_last": round(samples.memory[name][-1][1])} for name, found in slopes.items()},
        "targets": {f"growth of {name}, at 95 %": _target(found) for name, found in slopes.items()},
        "verdict": "flat" if all(found.verdict == "flat" for found in slopes.values()) else ", ".join(_not_flat(slopes)),
        "percentiles": {"from the 202 until it is seen": percentiles(samples.markers), "request": percentiles(seen.latencies_ms)},
        "cpu_us_per_event": spent,
        "refused_for_the_moment": seen.retried,
        "series": {**samples.series(), **_spans(seen)},
        "checks": checks,
        "holds": all_right(checks),
    }


def _batch(events: int) -> int:
    """A small run sends its few events in four requests."""
    return min(workload.BATCH_EVENTS, events // 4)


def _target(found: memory.Slope) -> dict[str, Any]:
    """The most that it may grow by, as far as the samples can tell."""
    return {"found": found.bytes_per_min + found.within, "at_most": memory.FLAT_BYTES_PER_MIN, "unit": "bytes a minute"}


def _times(expected: workload.Expected, laps: int, markers: int) -> workload.Expected:
    """What must come of so many laps, and of markers, each of which enrolls."""
    return workload.Expected(expected.sent * laps, expected.distinct * laps, expected.enrolled * laps + markers, expected.emails * laps)


def _not_flat(slopes: dict[str, memory.Slope]) -> list[str]:
    return [f"{name} {found.verdict}" for name, found in slopes.items() if found.verdict != "flat"]


class _Samples:
    """Samples of everything, with connections of their own."""

    def __init__(self, deployment: Deployment, ledgers: Ledgers, every_s: float) -> None:
        self._deployment, self._ledgers, self._every_s = deployment, ledgers, every_s
        self._api = Api(deployment.url, deployment.key)
        self._begun_s = time.monotonic()
        self._committed = (0.0, ledgers.committed())
        self.memory: dict[str, Series] = {name: [] for name in (*cpu.ROLES, cpu.OTHER, SERVER)}
        self.markers: list[float] = []
        self._lag: Series = []
        self._rate: Series = []
        self._marked: Series = []

    def take(self) -> None:
        """Look at everything, send a marker, and sleep until the next sample is due."""
        now_s = time.monotonic() - self._begun_s
        for role, used in memory.resident_by_role(self._deployment.pid).items():
            self.memory[role].append((round(now_s, 2), used))
        self.memory[SERVER].append((round(now_s, 2), self._ledgers.used_bytes()))
        self._lag.append((round(now_s, 2), self._ledgers.lag()))
        before_s, before = self._committed
        self._committed = (now_s, self._ledgers.committed())
        if now_s > before_s:
            self._rate.append((round(now_s, 2), round((self._committed[1] - before) / (now_s - before_s))))
        waited_ms = self._mark(len(self.markers) + 1)
        self.markers.append(waited_ms)
        self._marked.append((round(now_s, 2), round(waited_ms, 2)))
        time.sleep(max(0.0, self._begun_s + now_s + self._every_s - time.monotonic()))

    def _mark(self, number: int) -> float:
        """Milliseconds from the 202 until the event has set its contact's field; up to LOOK_MS and one request of it are the looking."""
        self._api.json("POST", "/v1/events", {"contact": MARKER, "name": "order.placed", "data": {"total": 10 + number, "notify": False}})
        accepted_s = time.monotonic()
        while (self._deployment.contact(MARKER) or {"fields": {}})["fields"].get("last_total") != 10 + number:
            if time.monotonic() > accepted_s + DRAIN_S_MAX:
                raise TimeoutError(f"a marker was not there after {DRAIN_S_MAX} s")
            time.sleep(LOOK_MS / 1000)
        return (time.monotonic() - accepted_s) * 1000

    def series(self) -> dict[str, Series]:
        """What the report plots; memory in MiB."""
        found = {f"memory MiB: {name}": [(second, round(used / 2**20, 2)) for second, used in series] for name, series in self.memory.items()}
        return {"records/s committed": self._rate, "records not yet committed": self._lag, "marker ms": self._marked, **found}

    def close(self) -> None:
        self._api.close()


def _spans(seen: Seen) -> dict[str, Series]:
    """p50 and p99 of the requests' latencies, span after span."""
    spans: dict[int, list[float]] = {}
    for answered_s, latency_ms in zip(seen.answered_s, seen.latencies_ms, strict=True):
        spans.setdefault(int(answered_s // SPAN_S), []).append(latency_ms)
    cuts = {(number + 1) * SPAN_S: percentiles(found) for number, found in sorted(spans.items())}
    return {f"request ms, p{name}": [(second, cut[name]) for second, cut in cuts.items()] for name in ("50", "99")}


def table(found: list[dict[str, Any]]) -> Table:
    """Memory by role: how much, how it grows, the verdict."""
    result = found[0]
    shown = Table(
        "memory",
        "MiB at the end",
        "KiB a minute (95 %)",
        "verdict",
        title=f"soak: {result['events_per_s']:,} events/s ({result['knee_per_s']:,} in a closed loop)",
    )
    for name, grown in result["memory"].items():
        shown.add_row(name, f"{grown['bytes_last'] / 2**20:,.1f}", f"{grown['bytes_per_min'] / 1024:+,.0f} ± {grown['within'] / 1024:,.0f}", grown["verdict"])
    seen = result["percentiles"]["from the 202 until it is seen"]
    shown.caption = f"p50 {seen['50']} ms, p99 {seen['99']} ms from the 202 until it is seen; {in_words(result['checks'])}"
    return shown
