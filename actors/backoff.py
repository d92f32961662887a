"""How long to wait before something that died is started again: at once the first time, then at growing distances, up to a bound.

A pure value over the time that it is given, in milliseconds of any clock that never runs back.
"""

from __future__ import annotations


class Backoff:
    """The distances between starts. What stayed alive for twice the longest distance counts as healthy again."""

    def __init__(self, shortest_ms: int, longest_ms: int) -> None:
        self._shortest_ms = shortest_ms
        self._longest_ms = longest_ms
        self._wait_ms = 0
        self._died_ms: int | None = None

    def died(self, now_ms: int) -> int:
        """When it may be started again."""
        calm = self._died_ms is None or now_ms - self._died_ms > 2 * self._longest_ms + self._wait_ms
        self._wait_ms = 0 if calm else min(self._longest_ms, max(self._shortest_ms, self._wait_ms * 2))
        self._died_ms = now_ms
        return now_ms + self._wait_ms
