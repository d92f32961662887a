"""A breaker per destination: after `failures` failures in a row nothing more is tried for a while, then one probe at a time.

Pure: the time comes in. A destination is known only while it has failures, so the healthy ones cost nothing, and at most
`destinations_max` are remembered (the one that failed longest ago is forgotten).
"""

from __future__ import annotations

from collections.abc import Iterator

CLOSED = "closed"  # all is well: no limit
OPEN = "open"  # nothing is tried
PROBING = "probing"  # one at a time


class Breakers:
    """The breakers of one channel, by destination."""

    def __init__(self, failures: int, open_ms: int, destinations_max: int) -> None:
        self._failures = failures
        self._open_ms = open_ms
        self._most = destinations_max
        self._known: dict[str, tuple[int, int]] = {}  # destination → (failures in a row, open until)

    def succeeded(self, dest: str) -> bool:
        """A success closes the breaker; whether it stood open."""
        failures, _ = self._known.pop(dest, (0, 0))
        return failures >= self._failures

    def failed(self, dest: str, now_ms: int) -> bool:
        """A failure; whether it opened the breaker (again). Failures of what was under way when it opened don't prolong it."""
        failures, until_ms = self._known.pop(dest, (0, 0))
        opens = failures + 1 >= self._failures and now_ms >= until_ms
        self._known[dest] = (failures + 1, now_ms + self._open_ms if opens else until_ms)
        if len(self._known) > self._most:
            del self._known[next(iter(self._known))]
        return opens

    def trip(self, dest: str, until_ms: int) -> bool:
        """Open at once, until a time; whether it was closed before."""
        failures, _ = self._known.pop(dest, (0, 0))
        self._known[dest] = (max(failures, self._failures), until_ms)
        return failures < self._failures

    def state(self, dest: str, now_ms: int) -> str:
        """closed, open or probing."""
        failures, until_ms = self._known.get(dest, (0, 0))
        if failures < self._failures:
            return CLOSED
        return OPEN if now_ms < until_ms else PROBING

    def not_closed(self, now_ms: int) -> Iterator[tuple[str, str]]:
        """Each destination that is open or probing, with its state."""
        for dest, (failures, until_ms) in self._known.items():
            if failures >= self._failures:
                yield dest, OPEN if now_ms < until_ms else PROBING
