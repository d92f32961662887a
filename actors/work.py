"""What one partition has to do in one cycle of its shard: planned by the planner, stepped by the partition."""

from __future__ import annotations

from typing import NamedTuple

from engine.ports import LogBatch


class Work(NamedTuple):
    """One partition's work. `armed` is None where no scan is under way; `cursor` is where the scan goes on after this."""

    batches: list[LogBatch] = []
    due: list[str] = []  # contacts
    until_ms: int = 0  # up to here timers may fire: the last stamp read, or the storage's clock where the log is at its end
    released: dict[str, list[str]] = {}  # "channel/dest" → contacts that were parked there
    armed: list[str] | None = None
    cursor: int = 0
    late_ms: int = 0  # how long the earliest of `due` was due

    @property
    def size(self) -> int:
        """Records and timers."""
        return len(self.due) + sum(len(batch.records) for batch in self.batches)
