"""The memory twin of the log: entries are kept encoded, so nobody shares a record with its sender."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.codec import encode
from engine.config import Config
from engine.core.errors import Full
from engine.core.guard import ERASED, tightened
from engine.core.partitioning import partition_of
from engine.core.records import Record, Update
from engine.ports import Read
from engine.storage.guard_text import marks_of, with_mark
from engine.storage.log_entries import Entry, batches_of, entries
from engine.storage.memory_partition import Clock, Partition


def append(partition: Partition, blobs: Sequence[tuple[int, bytes]], bound: int, now_ms: int) -> int:
    """Number and stamp entries; the first number. Full where the partition holds `bound` uncommitted records or more."""
    if partition.next - partition.offset >= bound:
        raise Full("the log of this partition holds as many uncommitted records as it may")
    first = partition.next
    partition.stamp_ms = max(partition.stamp_ms, now_ms)
    for size, blob in blobs:
        partition.next += size
        partition.entries.append(Entry(partition.next - 1, size, partition.stamp_ms, blob))
    return first


def forbid(partition: Partition, number: int, contact: str, channel: str, status: str) -> None:
    """Write a mark that makes the guard stricter, and hold it until a commit has passed the record of that number."""
    text = partition.guard.get(contact, "")
    stands = dict(mark.split("=", 1) for mark in text.split() if "=" in mark)
    status = tightened(stands.get(channel, ""), status)
    if text != ERASED:
        partition.guard[contact] = with_mark(text, channel, status)
    _, marks = partition.held_marks.get(contact, (0, {}))
    partition.held_marks[contact] = (number, {**marks, channel: status})


class MemoryLog:
    """Reading the log, for the shard."""

    def __init__(self, partitions: Sequence[Partition], config: Config, clock: Clock) -> None:
        self._partitions = partitions
        self._config = config
        self._clock = clock

    def read(self, offsets: Mapping[int, int], records_max: int) -> Read:
        """Batches from each partition's next offset on."""
        batches = {}
        for number, offset in offsets.items():
            found = [entry for entry in self._partitions[number].entries if entry.last >= offset]
            if found:
                batches[number] = batches_of(number, offset, found, self._config, records_max)
        return Read(self._clock(), batches)

    def append(self, batches: Mapping[int, Sequence[Record]]) -> None:
        """Append beyond the clients' bound."""
        bound = self._config.log_records_max + self._config.log_reserve_records
        for number, records in batches.items():
            if records:
                append(self._partitions[number], entries(records, self._config), bound, self._clock())

    def trim(self, partition: int, below: int) -> int:
        """Drop committed entries below an offset or beyond retention."""
        where = self._partitions[partition]
        cutoff_ms = self._clock() - self._config.log_retain_ms
        while where.entries and where.entries[0].last < where.offset and (where.entries[0].last < below or where.entries[0].stamp_ms < cutoff_ms):
            where.entries.popleft()
        before, where.tail = where.tail, where.entries[0].last - where.entries[0].size + 1 if where.entries else where.next
        return where.tail - before


class MemoryIntake:
    """Appending to the log, for the gateway."""

    def __init__(self, partitions: Sequence[Partition], config: Config, clock: Clock) -> None:
        self._partitions = partitions
        self._config = config
        self._clock = clock

    async def append(self, batches: Mapping[int, Sequence[Record]], *, reserve: bool = False) -> dict[int, int | Exception]:
        """Append per partition; the first offset of each, or the exception that it met."""
        bound = self._config.log_records_max + (self._config.log_reserve_records if reserve else 0)
        answers: dict[int, int | Exception] = {}
        for number, records in batches.items():
            if records:
                try:
                    first = answers[number] = append(self._partitions[number], entries(records, self._config), bound, self._clock())
                    for index, contact, channel, status in marks_of(records):
                        forbid(self._partitions[number], first + index, contact, channel, status)
                except Full as error:
                    answers[number] = error
        return answers

    def refusing(self) -> int:
        """Always 0: this twin has no bound on its memory but the process's."""
        return 0

    async def unsubscribe(self, contact: str, channel: str, status: str) -> None:
        """Write the guard's mark, held until a commit has passed the record, and append the record."""
        where = self._partitions[partition_of(contact, self._config.partitions)]
        blob = encode([Update(contact, consent={channel: status}, tighten=True)])
        number = append(where, [(1, blob)], where.next + 1, self._clock())
        forbid(where, number, contact, channel, status)

    async def lag(self) -> dict[int, tuple[int, int]]:
        """Per partition: records not yet committed, and the age in ms of the oldest."""
        lags = {}
        for number, where in enumerate(self._partitions):
            stamp_ms = next((entry.stamp_ms for entry in where.entries if entry.last >= where.offset), None)
            lags[number] = (where.next - where.offset, 0 if stamp_ms is None else max(0, self._clock() - stamp_ms))
        return lags
