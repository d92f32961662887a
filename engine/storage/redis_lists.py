"""Exports of fulfillment lists in Redis: one hash in each partition, copied from the list's by one script and expiring by itself."""

from __future__ import annotations

from collections.abc import Sequence

from engine.config import Config
from engine.core.errors import WayfareError
from engine.core.fulfillment import Export, export_table, table_of
from engine.storage.redis_call import checked, command, only, partition_key, script
from engine.storage.redis_client import AsyncRedisClient

MARK = b"\x00"  # the field that holds the export's time


class RedisLists:
    """Exports, for pools and gateways."""

    def __init__(self, client: AsyncRedisClient, config: Config) -> None:
        self._client, self._config = client, config

    async def freeze(self, export: Export, life_ms: int) -> int:
        """Make an export, once; how many rows it has."""
        names = table_of(export.list), export_table(export.list, export.slot)
        calls = [script("freeze", number, *names, export.due_ms, life_ms) for number in range(self._config.partitions)]
        counts = checked(await self._client.run(calls))
        if min(counts) < 0:
            raise WayfareError("a newer export stands in its place")
        return sum(counts)

    async def contacts(self, export: Export, partition: int) -> list[str] | None:
        """The contacts of an export in one partition, sorted; None where it is gone."""
        key = _key(export, partition)
        stands, names = checked(await self._client.run([command("HGET", key, MARK), command("HKEYS", key)]))
        return sorted(name.decode() for name in names if name != MARK) if stands == str(export.due_ms).encode() else None

    async def rows(self, export: Export, partition: int, contacts: Sequence[str]) -> list[bytes | None]:
        """Their rows; None for those who were erased meanwhile."""
        found: list[bytes | None] = only(await self._client.run([command("HMGET", _key(export, partition), *contacts)])) if contacts else []
        return found

    async def take_off(self, export: Export, partition: int, contacts: Sequence[str]) -> int:
        """Take those off the list whose rows are still the export's; how many."""
        if not contacts:
            return 0
        names = table_of(export.list), export_table(export.list, export.slot)
        taken: int = only(await self._client.run([script("take_off", partition, *names, export.due_ms, *contacts)]))
        if taken < 0:
            raise WayfareError("the export is gone")
        return taken


def _key(export: Export, partition: int) -> str:
    return partition_key(partition, f"t:{export_table(export.list, export.slot)}")
