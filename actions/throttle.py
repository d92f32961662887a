"""Throttles: a destination that asks us to slow down is sent to at half the pace, and then a little faster again and again.

Additive increase, multiplicative decrease, as TCP does it. The pace that is halved is the measured one, so nothing has to be configured, and each
pool slows its own share. Pure: times come in as epoch milliseconds, paces are messages a second. Only destinations that limits.yaml names are
measured, so the memory is bounded by the document.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from engine.core import token_bucket

STEPS = 10  # of the pace that was too fast: so much is added after each `hold_ms`
PACE_MIN = 0.1  # a second: below it, the waits between attempts of each message slow down enough
BURST_S = 0.1  # of the pace, at once


class Pace(msgspec.Struct):
    """One destination. `slow` is the pace after the last halving, 0 where nobody complained; `full` what it was before the first one."""

    began_ms: int = 0
    count: int = 0
    measured: float = 0.0  # of the window before
    slow: float = 0.0
    full: float = 0.0
    changed_ms: int = 0
    arrival_ms: float = 0.0


class Throttles:
    """The throttles of one channel, in one pool."""

    def __init__(self, dests: Collection[str], hold_ms: int) -> None:
        self._paces = {dest: Pace() for dest in dests}
        self._hold_ms = hold_ms
        self._slowed: set[str] = set()

    def sent(self, dest: str, count: int, now_ms: int) -> None:
        """So many go to a destination now."""
        pace = self._paces.get(dest)
        if pace is None:
            return
        if now_ms - pace.began_ms >= self._hold_ms:
            pace.measured = pace.count * 1_000 / max(1, now_ms - pace.began_ms)
            pace.began_ms, pace.count = now_ms, 0
        pace.count += count

    def slow_down(self, dest: str, now_ms: int) -> float:
        """A destination asks for it: its new pace; 0 where that was halved a moment ago, by an answer to what was under way then, or nothing is known."""
        pace = self._paces.get(dest)
        if pace is None or (pace.slow and now_ms - pace.changed_ms < self._hold_ms):
            return 0.0
        now = self.pace(dest, now_ms) or max(pace.measured, pace.count * 1_000 / max(1_000, now_ms - pace.began_ms))
        if now <= PACE_MIN:
            return 0.0
        pace.full = max(pace.full, now) if pace.slow else now
        pace.slow, pace.changed_ms, pace.arrival_ms = max(PACE_MIN, now / 2), now_ms, float(now_ms)
        self._slowed.add(dest)
        return pace.slow

    def pace(self, dest: str, now_ms: int) -> float:
        """The pace that a destination is held to; 0 where it is not."""
        if dest not in self._slowed:
            return 0.0
        pace = self._paces[dest]
        grown = pace.slow + (now_ms - pace.changed_ms) // self._hold_ms * pace.full / STEPS
        if grown < pace.full:
            return grown
        self._slowed.discard(dest)
        pace.slow = pace.full = 0.0
        return 0.0

    def room(self, now_ms: int) -> Iterator[tuple[str, int]]:
        """How many each destination that was slowed down takes now."""
        for dest in tuple(self._slowed):
            pace = self.pace(dest, now_ms)
            if pace:
                yield dest, self._granted(dest, pace, 1 << 20, now_ms)[0]

    def take(self, dest: str, want: int, now_ms: int) -> int:
        """Up to `want` messages to a destination."""
        pace = self.pace(dest, now_ms)
        if not pace:
            return want
        granted, self._paces[dest].arrival_ms = self._granted(dest, pace, want, now_ms)
        return granted

    def _granted(self, dest: str, pace: float, want: int, now_ms: int) -> tuple[int, float]:
        granted, arrival_ms, _ = token_bucket.grant(self._paces[dest].arrival_ms, now_ms, pace, pace * BURST_S, want)
        return granted, arrival_ms
