"""What measuring suites have in common: a load process under their hand, and how its figures and counts are put into words."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from statistics import quantiles
from typing import Protocol

import msgspec

from benchmarks import workload
from benchmarks.deployment import Metrics
from benchmarks.load import Seen

DRAIN_S_MAX = 180

Checks = dict[str, tuple[int, int]]
"""What must be equal: name → (wanted, found)."""


class Place(Protocol):
    """Where events are sent to: a Deployment, or anything else with an address and a key."""

    @property
    def url(self) -> str: ...
    @property
    def key(self) -> str: ...


class Client:
    """One load process (load.py), ready to send when it is made. `rate` in events/s makes an open loop, 0 a closed one."""

    def __init__(
        self,
        place: Place,
        *,
        seed: int,
        events: int,
        contacts: int = workload.CONTACTS,
        connections: int = 4,
        rate: float = 0,
        batch: int = workload.BATCH_EVENTS,
        laps: int = 1,
        draw: str = workload.CANONICAL,
    ) -> None:
        flags = {"url": place.url, "key": place.key, "seed": seed, "events": events, "contacts": contacts}
        flags |= {"connections": connections, "rate": rate, "batch": batch, "laps": laps, "draw": draw}
        command = [sys.executable, "-m", "benchmarks.load", *(f"--{name}={value}" for name, value in flags.items())]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdin is not None
        self._out, self._in = self._process.stdout, self._process.stdin
        self._out.readline()

    def go(self) -> None:
        """Let it send."""
        self._in.write("go\n")
        self._in.flush()

    def running(self) -> bool:
        return self._process.poll() is None

    def result(self) -> Seen:
        """What it saw, once it is through; RuntimeError where it failed (its own words are on standard error)."""
        text = self._out.read()
        self._in.close()
        self._out.close()
        if self._process.wait() != 0:
            raise RuntimeError("the load client failed")
        return msgspec.json.decode(text, type=Seen)

    def kill(self) -> None:
        self._process.kill()


def wait_until_none(count: Callable[[], int], every_s: float, seconds_max: float = DRAIN_S_MAX) -> float:
    """When nothing was left, in seconds of the monotonic clock (up to `every_s` late); TimeoutError after `seconds_max`."""
    deadline = time.monotonic() + seconds_max
    while count():
        if time.monotonic() > deadline:
            raise TimeoutError(f"still at work after {seconds_max:g} s")
        time.sleep(every_s)
    return time.monotonic()


def percentiles(values: list[float]) -> dict[str, float]:
    """Of milliseconds, by the names that the report plots."""
    if not values:
        return {}
    cuts = quantiles(values, n=1000, method="inclusive") if len(values) > 1 else values * 999
    return {name: round(cuts[place - 1], 2) for name, place in {"50": 500, "90": 900, "99": 990, "99.9": 999}.items()}


def canonical_checks(expected: workload.Expected, before: Metrics, after: Metrics, seen: Seen, arrived: int) -> Checks:
    """Of the canonical workload, between two scrapes of a settled deployment; `arrived`: emails that the sink counted."""

    def grew(name: str, **labels: str) -> int:
        return int(after.total(name, **labels) - before.total(name, **labels))

    return {
        "accepted": (expected.sent, seen.accepted),
        "duplicates found": (expected.sent - expected.distinct, grew("wayfare_events_duplicate_total")),
        "enrolled": (expected.enrolled, grew("wayfare_element_entries_total", map=workload.MAP_ID, element="later")),
        "emails delivered": (expected.emails, grew("wayfare_effects_total", channel="email", outcome="delivered")),
        "emails that the sink counted": (expected.emails, arrived),
    }


def all_right(checks: Checks) -> bool:
    """Whether everything that must be equal is."""
    return all(wanted == found for wanted, found in checks.values())


def in_words(checks: Checks) -> str:
    """The checks of a run in words."""
    wrong = [f"{name}: {found:,} instead of {wanted:,}" for name, (wanted, found) in checks.items() if found != wanted]
    return "; ".join(wrong) or "all counts right"
