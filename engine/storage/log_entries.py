"""Entries of the log: cutting records into them, and making batches of what was read back, with the numbers checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from engine.codec import decode_records, encode
from engine.config import Config
from engine.core.errors import DamagedLog, UnreadableBatch
from engine.core.records import Record
from engine.ports import LogBatch


class Entry(NamedTuple):
    """An entry as it is stored: the number of its last record, how many it holds, its stamp, its msgpack."""

    last: int
    size: int
    stamp_ms: int
    raw: bytes


def entries(records: Sequence[Record], config: Config) -> list[tuple[int, bytes]]:
    """Records as (count, blob) entries of at most `entry_records_max` records, and of `batch_bytes_max` bytes unless one record alone is larger."""
    found: list[tuple[int, bytes]] = []
    for at in range(0, len(records), config.entry_records_max):
        _divide(records[at : at + config.entry_records_max], config.batch_bytes_max, found)
    return found


def _divide(records: Sequence[Record], bytes_max: int, found: list[tuple[int, bytes]]) -> None:
    blob = encode(records)
    if len(blob) > bytes_max and len(records) > 1:
        half = len(records) // 2
        _divide(records[:half], bytes_max, found)
        _divide(records[half:], bytes_max, found)
    else:
        found.append((len(records), blob))


def batches_of(partition: int, offset: int, found: Iterable[Entry], config: Config, records_max: int) -> list[LogBatch]:
    """Decode entries into batches, checking that their numbers follow on from `offset`; see `EventLog.read`."""
    batches: list[LogBatch] = []
    expected, records_seen, bytes_seen = offset, 0, 0
    for last, count, stamp_ms, raw in found:
        first = last - count + 1
        if first != expected and not (not batches and first < offset <= last):
            raise DamagedLog(partition, expected, first)
        if batches and (records_seen + last + 1 - expected > records_max or bytes_seen + len(raw) > config.batch_bytes_max):
            break
        try:
            records = _decode(raw, count)
        except (msgspec.DecodeError, RecursionError) as error:
            if batches:
                break
            raise UnreadableBatch(partition, expected, last + 1 - expected, stamp_ms, raw, str(error)) from error
        batches.append(LogBatch(expected, stamp_ms, records[expected - first :], len(raw)))
        records_seen += last + 1 - expected
        bytes_seen += len(raw)
        expected = last + 1
    return batches


def _decode(raw: bytes, count: int) -> list[Record]:
    records = decode_records(raw)
    if len(records) != count:
        raise msgspec.DecodeError(f"it holds {len(records)} records instead of {count}")
    return records
