"""Which partition a contact or an entity belongs to: crc32 of its id, modulo a count that is fixed at creation."""

from __future__ import annotations

from zlib import crc32

ENTITY = "\x00"  # before an entity's key among the checkpoints; no contact id may hold it


def partition_of(key: str, partitions: int) -> int:
    """The partition, 0 ≤ p < `partitions`, of a contact id or of an entity key such as `router:inbound`."""
    return crc32(key.encode()) % partitions
