"""The memory twin of tallies."""

from __future__ import annotations

from collections.abc import Mapping

from engine.ports import TALLY_BUCKETS, TALLY_WINDOW_MS
from engine.storage.memory_partition import Clock


class MemoryTallies:
    """Counts over sliding windows."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: dict[str, dict[tuple[int, str], int]] = {}
        self._windows: dict[str, int] = {}

    async def add(self, name: str, counts: Mapping[str, int], window_ms: int = 0) -> dict[str, int]:
        """Add, and say what the window holds."""
        now_ms = self._clock()
        window_ms = self._windows[name] = window_ms or self._windows.get(name, TALLY_WINDOW_MS)
        width = -(-window_ms // TALLY_BUCKETS)
        held = {key: count for key, count in self._counts.get(name, {}).items() if key[0] > now_ms - window_ms}
        for what, count in counts.items():
            key = (now_ms - now_ms % width, what)
            held[key] = held.get(key, 0) + count
        self._counts[name] = held
        sums: dict[str, int] = {}
        for (_, what), count in held.items():
            sums[what] = sums.get(what, 0) + count
        return sums

    async def forget(self, name: str) -> None:
        """Begin anew."""
        self._counts.pop(name, None)
        self._windows.pop(name, None)
