"""What gateways and the command line read and administer, across all partitions, in Redis."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from engine.codec import encode
from engine.config import Config
from engine.core.index import start_of
from engine.core.partitioning import partition_of
from engine.ports import PartitionState
from engine.storage.redis_call import Call, beyond, checked, command, only, partition_key
from engine.storage.redis_client import AsyncRedisClient
from engine.storage.redis_commit import state_call
from engine.storage.redis_control import PROCESSES, living, processes_calls
from engine.storage.redis_log import memory_of

_CLEAR_AFTER_MS = 60_000  # a process this long silent does not publish in the moment between our read and our delete
_decode_entry = msgspec.msgpack.Decoder(dict[str, Any]).decode
_decode_poison = msgspec.msgpack.Decoder(tuple[int, bytes, str]).decode


class RedisDirectory:
    """Reads and administrative writes."""

    def __init__(self, client: AsyncRedisClient, config: Config) -> None:
        self._client = client
        self._config = config
        self._partitions = range(config.partitions)

    async def contact(self, contact: str) -> bytes | None:
        """One checkpoint."""
        found: bytes | None = await self._one(command("HGET", partition_key(partition_of(contact, self._config.partitions), "cp"), contact))
        return found

    async def find(self, kind: str, value: str) -> list[str]:
        """The contacts with this email or phone, in one round trip over all partitions."""
        start = start_of(kind, value)
        if not start:
            return []
        beyond_them = start[:-1] + "\x01"
        found = await self._all("ZRANGEBYLEX", "ix", f"[{start}", f"({beyond_them}", "LIMIT", 0, self._config.found_contacts_max)
        return sorted(entry.decode()[len(start) :] for reply in found for entry in reply)

    async def rows(self, table: str) -> dict[str, bytes]:
        """All rows of a table, of all partitions."""
        found = await self._all("HGETALL", f"t:{table}")
        return {field.decode(): value for reply in found for field, value in zip(reply[::2], reply[1::2], strict=True)}

    async def counters(self) -> dict[str, int]:
        """All counters, summed over the partitions; those of effects begin with `fx:`."""
        total: Counter[str] = Counter()
        for prefix, name in (("", "n"), ("fx:", "fxn")):
            for reply in await self._all("HGETALL", name):
                for field, value in zip(reply[::2], reply[1::2], strict=True):
                    total[prefix + field.decode()] += int(value)
        return dict(total)

    async def timers(self) -> int:
        """How many contacts wait for a time."""
        return sum(await self._all("ZCARD", "due"))

    async def states(self) -> dict[int, PartitionState]:
        """The committed state of each partition (without marks and dedupe keys)."""
        return dict(enumerate(checked(await self._client.run([state_call(partition) for partition in self._partitions]))))

    async def keys(self) -> dict[str, dict[str, Any]]:
        """API keys by the sha256 of the key."""
        reply = await self._one(command("HGETALL", "wf:keys"))
        return {digest.decode(): _decode_entry(entry) for digest, entry in zip(reply[::2], reply[1::2], strict=True)}

    async def put_key(self, digest: str, entry: dict[str, Any] | None) -> None:
        """Store or delete (None) an API key."""
        if entry is None:
            await self._one(command("HDEL", "wf:keys", digest, writes=True))
        else:
            await self._one(command("HSET", "wf:keys", digest, encode(entry), writes=True))

    async def once(self, key: str, value: bytes, ttl_ms: int) -> bytes | None:
        """Set if absent; the value that stood there before, or None where this one was first. `ttl_ms` 0 keeps it for good."""
        expiry = ("PX", ttl_ms) if ttl_ms else ()
        found: bytes | None = await self._one(command("SET", f"wf:once:{key}", value, "NX", "GET", *expiry, writes=True))
        return found

    async def kept(self, key: str) -> bytes | None:
        """What `once` keeps under a key."""
        found: bytes | None = await self._one(command("GET", f"wf:once:{key}"))
        return found

    async def processes(self) -> dict[str, bytes]:
        """What every live process published last; what expired long ago is cleared away."""
        live, gone = living(*checked(await self._client.run(processes_calls())))
        if gone:
            await self._one(command("HDEL", PROCESSES, *gone, writes=True))
        return live

    async def audit(self, entry: dict[str, Any]) -> None:
        """Append an administrative act; the newest `audit_max` are kept."""
        await self._one(beyond("XADD", "wf:audit", "MAXLEN", "=", self._config.audit_max, "*", "b", encode(entry)))

    async def audited(self, most: int) -> list[dict[str, Any]]:
        """The newest administrative acts first."""
        return [_decode_entry(fields[1]) for _, fields in await self._one(command("XREVRANGE", "wf:audit", "+", "-", "COUNT", most))]

    async def set_aside(self, most: int) -> list[dict[str, Any]]:
        """Poisoned records, the newest of each partition first."""
        found = []
        for partition, reply in enumerate(await self._all("LRANGE", "aside", -most, -1)):
            for blob in reversed(reply):
                offset, record, reason = _decode_poison(blob)
                found.append({"partition": partition, "offset": offset, "record": record, "reason": reason})
        return found[:most]

    async def ping(self) -> dict[str, Any]:
        """Reachability and memory; raises Unavailable."""
        used, most = await self._one(command("INFO", "memory", parse=lambda reply: memory_of(reply, self._config)))
        return {"used_bytes": used, "max_bytes": most, "durability": self._config.durability}

    async def _one(self, call: Call) -> Any:
        return only(await self._client.run([call]))

    async def _all(self, name: str, key: str, *args: str | int) -> list[Any]:
        """A command on the same key of every partition."""
        return checked(await self._client.run([command(name, partition_key(partition, key), *args) for partition in self._partitions]))
