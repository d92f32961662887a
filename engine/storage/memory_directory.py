"""The memory twin of the directory."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

from engine.config import Config
from engine.core.index import start_of
from engine.core.partitioning import partition_of
from engine.ports import PartitionState
from engine.storage.memory_commit import state_of_partition
from engine.storage.memory_control import MemoryControl
from engine.storage.memory_partition import Clock, Partition


class MemoryDirectory:
    """Reads and administrative writes."""

    def __init__(self, partitions: Sequence[Partition], config: Config, clock: Clock) -> None:
        self._partitions = partitions
        self._config = config
        self._clock = clock
        self._keys: dict[str, dict[str, Any]] = {}
        self._once: dict[str, tuple[bytes, float]] = {}  # value, when it expires
        self._processes: dict[str, tuple[bytes, int]] = {}  # value, when it vanishes
        self._audit: deque[dict[str, Any]] = deque(maxlen=config.audit_max)

    async def contact(self, contact: str) -> bytes | None:
        """One checkpoint."""
        return self._partitions[partition_of(contact, self._config.partitions)].contacts.get(contact)

    async def find(self, kind: str, value: str) -> list[str]:
        """The contacts with this email or phone."""
        start = start_of(kind, value)
        most = self._config.found_contacts_max
        found = [sorted(entry for entry in where.index if entry.startswith(start))[:most] for where in self._partitions] if start else []
        return sorted(entry[len(start) :] for entries in found for entry in entries)

    async def rows(self, table: str) -> dict[str, bytes]:
        """All rows of a table, of all partitions."""
        return {field: value for where in self._partitions for field, value in where.rows.get(table, {}).items()}

    async def counters(self) -> dict[str, int]:
        """All counters, summed over the partitions; those of effects begin with `fx:`."""
        total: Counter[str] = Counter()
        for where in self._partitions:
            total.update(where.counters)
            total.update({f"fx:{channel}:{name}": count for (channel, name), count in where.fx.items()})
        return dict(total)

    async def timers(self) -> int:
        """How many contacts wait for a time."""
        return sum(len(where.due) for where in self._partitions)

    async def states(self) -> dict[int, PartitionState]:
        """The committed state of each partition (without marks and dedupe keys)."""
        return {number: state_of_partition(where, {}, []) for number, where in enumerate(self._partitions)}

    async def keys(self) -> dict[str, dict[str, Any]]:
        """API keys by the sha256 of the key."""
        return dict(self._keys)

    async def put_key(self, digest: str, entry: dict[str, Any] | None) -> None:
        """Store or delete (None) an API key."""
        if entry is None:
            self._keys.pop(digest, None)
        else:
            self._keys[digest] = entry

    async def once(self, key: str, value: bytes, ttl_ms: int) -> bytes | None:
        """Set if absent; the value that stood there before, or None where this one was first. `ttl_ms` 0 keeps it for good."""
        found, until_ms = self._once.get(key, (None, 0))
        if found is not None and until_ms > self._clock():
            return found
        self._once[key] = value, self._clock() + ttl_ms if ttl_ms else float("inf")
        return None

    async def kept(self, key: str) -> bytes | None:
        """What `once` keeps under a key."""
        found, until_ms = self._once.get(key, (None, 0))
        return found if until_ms > self._clock() else None

    def control(self) -> MemoryControl:
        """The port of the same store that sees the same processes."""
        return MemoryControl(self._clock, self._processes)

    async def processes(self) -> dict[str, bytes]:
        """What every live process published last."""
        return {name: value for name, (value, until_ms) in self._processes.items() if until_ms > self._clock()}

    async def audit(self, entry: dict[str, Any]) -> None:
        """Append an administrative act; the newest `audit_max` are kept."""
        self._audit.append(entry)

    async def audited(self, most: int) -> list[dict[str, Any]]:
        """The newest administrative acts first."""
        return list(reversed(self._audit))[:most]

    async def set_aside(self, most: int) -> list[dict[str, Any]]:
        """Poisoned records, the newest of each partition first."""
        found = [
            {"partition": number, "offset": offset, "record": record, "reason": reason}
            for number, where in enumerate(self._partitions)
            for offset, record, reason in reversed(where.set_aside)
        ]
        return found[:most]

    async def ping(self) -> dict[str, Any]:
        """Always there, without a bound on its memory."""
        return {"used_bytes": 0, "max_bytes": self._config.memory_bytes_max, "durability": self._config.durability}
