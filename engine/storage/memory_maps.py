"""The memory twin of published snapshots, for gateways and shards alike."""

from __future__ import annotations

from collections.abc import Sequence

from engine.codec import encode
from engine.core.records import UseSnapshot
from engine.ports import Snapshot
from engine.storage.memory_log import append
from engine.storage.memory_partition import Clock, Partition


class MemoryWorkspaces:
    """Published snapshots."""

    def __init__(self, partitions: Sequence[Partition], clock: Clock) -> None:
        self._partitions = partitions
        self._clock = clock
        self._snapshots: dict[int, Snapshot] = {}
        self._newest = 0

    async def publish(self, snapshot: Snapshot, expected: int) -> bool:
        """Store under its number and append `UseSnapshot` to every log; False if `expected` is no longer the newest."""
        if not (self._newest == snapshot.number and self._snapshots[snapshot.number] == snapshot):
            if self._newest != expected:
                return False
            self._snapshots[snapshot.number], self._newest = snapshot, snapshot.number
        for where in self._partitions:
            append(where, [(1, encode([UseSnapshot(snapshot.number)]))], where.next + 1, self._clock())
        return True

    async def newest(self) -> int:
        """The number of the newest snapshot, 0 for none."""
        return self._newest

    async def get(self, number: int) -> Snapshot | None:
        """One snapshot."""
        return self._snapshots.get(number)

    def snapshot(self, number: int) -> Snapshot | None:
        """One snapshot, for a synchronous shard."""
        return self._snapshots.get(number)
