"""The memory twin of leases. Tokens are counted instead of drawn: nobody outside this process could guess them."""

from __future__ import annotations

from collections.abc import Sequence

from engine.ports import Lease
from engine.storage.memory_partition import Clock, Partition


class MemoryLeases:
    """Who owns a partition."""

    def __init__(self, partitions: Sequence[Partition], clock: Clock) -> None:
        self._partitions = partitions
        self._clock = clock

    def acquire(self, partition: int, owner: str, ttl_ms: int) -> Lease | None:
        """Take a free or expired lease; None where another holds it."""
        where = self._partitions[partition]
        if where.token and where.until_ms > self._clock():
            return None
        where.epoch += 1
        where.owner, where.token, where.until_ms = owner, f"{partition}.{where.epoch}", self._clock() + ttl_ms
        return Lease(partition, owner, where.token, where.epoch)

    def renew(self, leases: Sequence[Lease], ttl_ms: int) -> list[Lease]:
        """Renew; those that were lost are left out of the answer."""
        held = [lease for lease in leases if self._partitions[lease.partition].token == lease.token]
        for lease in held:
            self._partitions[lease.partition].until_ms = self._clock() + ttl_ms
        return held

    def release(self, leases: Sequence[Lease]) -> None:
        """Give up; another's lease is left alone."""
        for lease in leases:
            where = self._partitions[lease.partition]
            if where.token == lease.token:
                where.owner, where.token, where.until_ms = "", "", 0
                where.tries = (0, 0)

    def revoke(self, owner: str) -> None:
        """Take away every lease of an owner that is known to be dead."""
        for where in self._partitions:
            if where.owner == owner:
                where.owner, where.token, where.until_ms = "", "", 0

    def owners(self) -> dict[int, tuple[str, int, int]]:
        """Per partition: owner ("" where none), epoch, milliseconds left."""
        owners = {}
        for number, where in enumerate(self._partitions):
            left_ms = max(0, where.until_ms - self._clock())
            owners[number] = (where.owner if left_ms else "", where.epoch, left_ms)
        return owners
