"""The log in Redis: one stream per partition, appended by a script that numbers and stamps, read by XRANGE.

An entry's id is `<number of its last record>-<records in it>`, its fields are `t` (stamp, ms) and `b` (msgpack array of records).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from engine.codec import encode
from engine.config import Config
from engine.core.errors import Full, ResultUnknown, Unavailable
from engine.core.partitioning import partition_of
from engine.core.records import Record, Update
from engine.ports import LogBatch, Read
from engine.storage.guard_text import marks_of
from engine.storage.log_entries import Entry, batches_of, entries
from engine.storage.redis_call import Argument, Call, checked, command, only, partition_key, script
from engine.storage.redis_client import AsyncRedisClient, RedisClient

_ENTRIES_AT_FIRST = 8  # per partition, until the size of its entries is known


def append_call(partition: int, records: Sequence[Record], config: Config, *, reserve: bool) -> Call:
    """Append to one partition; the answer is the first number, or Full."""
    bound = config.log_records_max + (config.log_reserve_records if reserve else 0)
    marks: list[Argument] = [part for mark in marks_of(records) for part in mark]
    args: list[Argument] = [bound, len(marks), *marks]
    for entry in entries(records, config):
        args += entry
    return script("append_reserve" if reserve else "append", partition, *args)


def read_calls(offsets: Mapping[int, int], counts: Mapping[int, int]) -> list[Call]:
    """The server's time first, so that nothing unseen is stamped earlier; then each partition's entries from its offset on."""
    calls = [command("TIME", parse=milliseconds)]
    for partition, offset in offsets.items():
        calls.append(command("XRANGE", partition_key(partition, "log"), f"{offset}-0", "+", "COUNT", counts[partition], parse=_entries))
    return calls


def milliseconds(reply: list[bytes]) -> int:
    """Epoch milliseconds of a TIME reply."""
    return int(reply[0]) * 1000 + int(reply[1]) // 1000


def _entries(reply: list[tuple[bytes, list[bytes]]]) -> list[Entry]:
    found = []
    for entry_id, fields in reply:
        last, _, count = entry_id.partition(b"-")
        found.append(Entry(int(last), int(count), int(fields[1]), fields[3]))
    return found


class RedisLog:
    """Reading the log, for the shard that owns the partitions."""

    def __init__(self, client: RedisClient, config: Config) -> None:
        self._client = client
        self._config = config
        self._mean: dict[int, float] = {}  # records per entry at the last read of a partition

    def read(self, offsets: Mapping[int, int], records_max: int) -> Read:
        """Batches from each partition's next offset on; one round trip."""
        counts = {partition: self._count(partition, records_max) for partition in offsets}
        now_ms, *found = checked(self._client.run(read_calls(offsets, counts)))
        batches = {}
        for (partition, offset), entries_found in zip(offsets.items(), found, strict=True):
            if entries_found:
                batches[partition] = batches_of(partition, offset, entries_found, self._config, records_max)
                self._learn(partition, batches[partition])
        return Read(now_ms, batches)

    def append(self, batches: Mapping[int, Sequence[Record]]) -> None:
        """Append beyond the clients' bound; one round trip. The first error of a partition is raised."""
        checked(self._client.run([append_call(partition, records, self._config, reserve=True) for partition, records in batches.items() if records]))

    def trim(self, partition: int, below: int) -> int:
        """Drop committed entries below an offset or beyond retention."""
        dropped: int = only(self._client.run([script("trim", partition, below, self._config.log_retain_ms)]))
        return dropped

    def _count(self, partition: int, records_max: int) -> int:
        mean = self._mean.get(partition)
        return _ENTRIES_AT_FIRST if mean is None else max(1, int(records_max / mean))

    def _learn(self, partition: int, batches: list[LogBatch]) -> None:
        self._mean[partition] = sum(len(batch.records) for batch in batches) / len(batches)


class RedisIntake:
    """Appending to the log, for the gateway. Durable at the deployment's level when it returns."""

    def __init__(self, client: AsyncRedisClient, config: Config) -> None:
        self._client = client
        self._config = config
        self._crowded = False
        self._looked = float("-inf")

    async def append(self, batches: Mapping[int, Sequence[Record]], *, reserve: bool = False) -> dict[int, int | Exception]:
        """Append per partition, all in one round trip; the first offset of each, or the exception that it met."""
        wanted = {partition: records for partition, records in batches.items() if records}
        try:
            if not reserve and await self._memory_is_short():
                return dict.fromkeys(wanted, Full("the server's memory is past its watermark"))
            calls = [append_call(partition, records, self._config, reserve=reserve) for partition, records in wanted.items()]
            return dict(zip(wanted, await self._durably(calls), strict=True))
        except Unavailable as error:
            return dict.fromkeys(wanted, error)

    def refusing(self) -> int:
        """Milliseconds to wait while memory is past its watermark, as last seen."""
        return 1000 if self._crowded else 0

    async def unsubscribe(self, contact: str, channel: str, status: str) -> None:
        """Write the guard's mark and append the consent `Update` in one script."""
        blob = encode([Update(contact, consent={channel: status}, tighten=True)])
        checked(await self._durably([script("unsubscribe", partition_of(contact, self._config.partitions), contact, channel, status, blob)]))

    async def lag(self) -> dict[int, tuple[int, int]]:
        """Per partition: records not yet committed, and the age in ms of the oldest."""
        calls = [script("lag", partition, parse=tuple, writes=False) for partition in range(self._config.partitions)]
        return dict(enumerate(checked(await self._client.run(calls))))

    async def _durably(self, calls: list[Call]) -> list[Any]:
        """Run appends; under `replicated` each is unknown until a replica has it."""
        if self._config.durability != "replicated" or not calls:
            return await self._client.run(calls)
        *answers, replicas = await self._client.run([*calls, command("WAIT", 1, self._config.replica_wait_ms)])
        if isinstance(replicas, int) and replicas >= 1:
            return answers
        unknown = ResultUnknown("no replica has acknowledged the append")
        return [value if isinstance(value, Exception) else unknown for value in answers]

    async def _memory_is_short(self) -> bool:
        """Whether memory is past the watermark; looked up at most every `memory_look_ms`."""
        now = time.monotonic()
        if now - self._looked >= self._config.memory_look_ms / 1000:
            self._looked = now
            used, most = only(await self._client.run([command("INFO", "memory", parse=partial(memory_of, config=self._config))]))
            self._crowded = used >= most * self._config.memory_watermark
        return self._crowded


def memory_of(reply: bytes, config: Config) -> tuple[int, int]:
    """(used, most) bytes, of an INFO memory reply; where the server has no maxmemory, `memory_bytes_max` stands in."""
    figures = dict(line.split(":", 1) for line in reply.decode().splitlines() if ":" in line)
    return int(figures["used_memory"]), int(figures["maxmemory"]) or config.memory_bytes_max
