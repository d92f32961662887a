"""The timers suite: a storm of waits that all end in the same second, while fresh transactional events go on arriving.

Contacts are enrolled beforehand into a map whose wait ends at one chosen instant. Before it, markers (markers.py) go through the deployment alone; from
the instant on, they go through the storm. Released are waits whose timer has fired and whose checkpoint stands, counted in storage every LOOK_S;
behind its wait each contact gets a tag and leaves the map. The rate is all waits by the time from the instant to the last release.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from rich.table import Table

from benchmarks import markers
from benchmarks.client import Checks, all_right, in_words, percentiles, wait_until_none
from benchmarks.deployment import Deployment, Ledgers, Metrics, Sinks, wait_until_settled
from benchmarks.markers import Marker, Markers, note_arrivals
from engine.config import Config

LOOK_S = 0.02
BIN_S = 0.25  # of the series
WARM_S = 0.5  # the first markers wake a pool that had nothing to carry; those due so shortly before the instant may not be through when it comes
BATCH_EVENTS = 2_000
TARGETS = {"released_per_s": 50_000, "p99_ratio": 2.0}
MAP_ID = "storm"
ALONE, STORM = "fresh events alone", "fresh events in the storm"

Say = Callable[[str], None]
Counts = list[tuple[float, float]]


class Size(msgspec.Struct, frozen=True):
    """How many waits end at once, and how many fresh events a second arrive. The instant is put so that enrolling at `enrol_per_s_min` is done before it."""

    waits: int = 1_000_000
    runs: int = 3
    fresh_per_s: int = 100
    alone_s: float = 15
    enrol_per_s_min: int = 10_000
    spare_s: float = 5
    storm_s_max: float = 300
    durabilities: tuple[str, ...] = ("fsync", "relaxed")


FULL = Size()
SMALL = Size(waits=1_000, runs=1, fresh_per_s=50, alone_s=0.5, enrol_per_s_min=400, spare_s=1, storm_s_max=30, durabilities=("fsync",))


def steps(size: Size) -> int:
    """How many lines `run` will say."""
    return 2 * size.runs * len(size.durabilities)


def run(size: Size, folder: Path, say: Say) -> list[dict[str, Any]]:
    """One result per durability; every run is a storm of its own on the same deployment."""
    return [_measure(size, folder / durability, durability, say) for durability in size.durabilities]


def _measure(size: Size, data: Path, durability: str, say: Say) -> dict[str, Any]:
    runs = []
    with Sinks() as sinks, Deployment(data, flags=("--durability", durability)) as deployment, closing(Ledgers(data, Config())) as ledgers:
        sent = 0
        for number in range(1, size.runs + 1):
            before = wait_until_settled(deployment)
            due_ms = _enrol(size, deployment, sinks)
            wait_until_none(ledgers.lag, LOOK_S, size.storm_s_max)
            waiting = ledgers.waiting(due_ms)
            say(f"{durability}: run {number}: {waiting:,} contacts wait for the same second")
            found, fresh = _storm(size, deployment, ledgers, due_ms, sent)
            after = wait_until_settled(deployment, size.storm_s_max)
            note_arrivals(fresh, sinks)
            runs.append(_result_of(found, fresh, _checks(size, before, after, waiting, fresh)))
            sent += len(fresh)
            say(f"{durability}: run {number}: {runs[-1]['released_per_s']:,} waits/s released, {in_words(runs[-1]['checks'])}")
    ratios = [found["p99_ratio"] for found in runs if found["p99_ratio"]]
    medians = {"released_per_s": median(found["released_per_s"] for found in runs), "p99_ratio": round(median(ratios), 2) if ratios else 0.0}
    return {
        "suite": "timers",
        "durability": durability,
        "size": msgspec.to_builtins(size),
        "medians": medians,
        "targets": TARGETS,
        "percentiles": {name: _median_of([found["percentiles"][name] for found in runs]) for name in (ALONE, STORM)},
        "series": runs[-1]["series"],
        "holds": all(found["holds"] for found in runs),
        "runs": runs,
    }


def _enrol(size: Size, deployment: Deployment, sinks: Sinks) -> int:
    """Publish the map and let everybody enter it; the instant at which their waits end, in epoch milliseconds."""
    instant = int(time.time() + size.waits / size.enrol_per_s_min + size.alone_s + 2 * WARM_S + size.spare_s)
    storm = {
        "map": MAP_ID,
        "reentry": "restart",
        "triggers": [{"event": "storm.awaited"}],
        "path": [
            {"id": "wait", "wait": {"until": datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%S")}},
            {"id": "woken", "change_tags": {"add": ["woken"]}},
            {"id": "exit", "exit": True},
        ],
    }
    deployment.publish(markers.documents(sinks.smtp_port, storm))
    for first in range(0, size.waits, BATCH_EVENTS):
        contacts = range(first, min(size.waits, first + BATCH_EVENTS))
        deployment.api.insist("POST", "/v1/events", [{"contact": f"s{number}", "name": "storm.awaited"} for number in contacts])
    return instant * 1000


def _storm(size: Size, deployment: Deployment, ledgers: Ledgers, due_ms: int, first: int) -> tuple[dict[str, Any], list[Marker]]:
    """Markers alone, then the storm with markers through it: when it began and ended, what was released when, and all markers."""
    begin_s = time.monotonic() + due_ms / 1000 - time.time()
    if begin_s < time.monotonic() + size.alone_s + 2 * WARM_S:
        raise RuntimeError(f"enrolling {size.waits:,} contacts was slower than {size.enrol_per_s_min:,}/s: their waits end too early to measure")
    counts: Counts = []
    with Markers(deployment, size.fresh_per_s, first) as fresh:
        time.sleep(max(0, begin_s - time.monotonic()))
        while not counts or counts[-1][1]:
            if time.monotonic() > begin_s + size.storm_s_max:
                raise TimeoutError(f"{counts[-1][1]:,.0f} waits are still held after {size.storm_s_max:g} s")
            counts.append((time.monotonic() - begin_s, ledgers.waiting(due_ms)))
            time.sleep(LOOK_S)
    return {"begin_s": begin_s, "end_s": begin_s + counts[-1][0], "counts": counts}, fresh.sent


def _result_of(storm: dict[str, Any], fresh: list[Marker], checks: Checks) -> dict[str, Any]:
    """A storm in figures. Markers count by when they were due: alone or in the storm."""
    begin_s, end_s, counts = storm["begin_s"], storm["end_s"], storm["counts"]
    alone = percentiles([one.dispatch_ms for one in fresh if fresh[0].due_s + WARM_S <= one.due_s < begin_s - WARM_S])
    within = percentiles([one.dispatch_ms for one in fresh if begin_s <= one.due_s < end_s])
    return {
        "released_per_s": round(checks["waits released"][1] / (end_s - begin_s)),
        "seconds": round(end_s - begin_s, 2),
        "p99_ratio": round(within["99"] / alone["99"], 2) if within and alone and alone["99"] else 0.0,
        "percentiles": {ALONE: alone, STORM: within},
        "series": {
            "waits_released_per_s": _rates(counts),
            "fresh_event_ms": [(round(one.due_s - begin_s, 2), round(one.dispatch_ms, 2)) for one in fresh],
        },
        "checks": checks,
        "holds": all_right(checks),
    }


def _rates(counts: Counts) -> Counts:
    """Waits released per second, over BIN_S each, from what was left at each look."""
    rates: Counts = []
    since_s, left = counts[0]
    for at_s, still in counts[1:]:
        if at_s - since_s >= BIN_S or not still:  # the last bin is what is left
            rates.append((round(at_s, 2), round((left - still) / (at_s - since_s))))
            since_s, left = at_s, still
    return rates


def _checks(size: Size, before: Metrics, after: Metrics, waiting: int, fresh: list[Marker]) -> Checks:
    def grew(name: str, **labels: str) -> int:
        return int(after.total(name, **labels) - before.total(name, **labels))

    return {
        "waits": (size.waits, waiting),
        "waits released": (size.waits, grew("wayfare_element_entries_total", map=MAP_ID, element="woken")),
        "fresh events applied": (len(fresh), grew("wayfare_element_entries_total", map=markers.MAP_ID, element="tell")),
        "their emails delivered": (len(fresh), grew("wayfare_effects_total", channel="email", outcome="delivered")),
        "their emails that the sink got": (len(fresh), sum(one.dispatched_s > 0 for one in fresh)),
        "conservation drift": (0, int(after.total("wayfare_conservation_drift"))),
    }


def _median_of(found: list[dict[str, float]]) -> dict[str, float]:
    """Percentile by percentile over the runs."""
    return {name: median(each[name] for each in found if each) for name in next((each for each in found if each), {})}


def table(found: list[dict[str, Any]]) -> Table:
    """The medians, one column per durability."""
    shown = Table("median", *(each["durability"] for each in found), "target", title="timer storm")
    shown.add_row("waits/s released", *(f"{each['medians']['released_per_s']:,.0f}" for each in found), f"{TARGETS['released_per_s']:,.0f}")
    for name in (ALONE, STORM):
        shown.add_row(f"{name}: p50, p99 ms", *(", ".join(f"{each['percentiles'][name].get(cut, 0):.1f}" for cut in ("50", "99")) for each in found), "")
    shown.add_row("p99 in the storm by alone", *(f"{each['medians']['p99_ratio']:.2f}" for each in found), f"at most {TARGETS['p99_ratio']:.0f}")
    shown.add_row("all counts right", *("yes" if each["holds"] else "NO" for each in found), "")
    return shown
