"""From a body to records, and from the log's answers to the client's: what all routes of ingestion share.

The straight way decodes a whole body in one call and looks at each item once; only where something is wrong is the body cut into
items, each decoded by itself, so that every fault is told with the index of its item and the rest gets in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar
from zlib import crc32

import msgspec
from aiohttp import web

from engine.codec import encode
from engine.config import Config
from engine.core.errors import Full, ResultUnknown
from engine.core.partitioning import partition_of
from engine.core.records import Record
from gateway.admission import Answers, worst_of
from gateway.bodies import JSON, LINES, THREAD_BYTES, items_of, type_of
from gateway.problems import Refusal, refused
from gateway.routing import Call
from gateway.services import Services

BOM = b"\xef\xbb\xbf"
CONTROLS = frozenset(map(chr, [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029]))
INT_MIN, INT_MAX = -(2**63), 2**64 - 1

T = TypeVar("T")


class Rejected(msgspec.Struct):
    """One item that was not accepted: its place in the body, counted from 0, and why."""

    index: int
    error: str


class Item(Generic[T]):
    """A kind of item that can be ingested: its type, and how one becomes a record (ValueError says what is wrong with it).

    `brackets` counts opening brackets that are surely in some items beside those of a deeply nested one: their own, and what most of them have.
    """

    def __init__(self, kind: type[T], record: Callable[[T, Config], Record], brackets: Callable[[list[T]], int] = len) -> None:
        self.record, self.brackets = record, brackets
        self.one = msgspec.json.Decoder(kind).decode
        self.lines = msgspec.json.Decoder(kind).decode_lines
        self.many = msgspec.json.Decoder(list[kind]).decode  # type: ignore[valid-type]
        self.parts = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Batch:
    """What one body came to: records by partition, the items that were rejected, and where each record came from."""

    __slots__ = ("batches", "indexes", "oversized", "records", "rejected")

    def __init__(self) -> None:
        self.batches: dict[int, list[Record]] = {}
        self.records: list[Record] = []
        self.indexes: range | list[int] = range(0)  # the item of each record
        self.rejected: list[Rejected] = []
        self.oversized = 0  # of the rejected, those that were too large

    def group(self, partitions: int) -> None:
        """Sort the records into their partitions."""
        batches = self.batches
        for record in self.records:
            partition = crc32(record.contact.encode()) % partitions
            batch = batches.get(partition)
            if batch is None:
                batches[partition] = [record]
            else:
                batch.append(record)


async def read_items(body: bytes, kind: str, item: Item[Any], config: Config) -> Batch:
    """A batch out of a body; Refusal where the body as a whole is unreadable or has too many items.

    A large body in which something is wrong is taken apart in a thread, so that others need not wait for it.
    """
    body = _bare(body)
    batch = _straight(body, kind, item, config)
    if batch is not None:
        return batch
    if len(body) < THREAD_BYTES:
        return _one_by_one(body, kind, item, config)
    return await asyncio.to_thread(_one_by_one, body, kind, item, config)


def _bare(body: bytes) -> bytes:
    body = body.removeprefix(BOM)
    if not body.strip(b" \t\r\n"):
        raise Refusal("unreadable", "The body is empty.")
    return body


def _straight(body: bytes, kind: str, item: Item[Any], config: Config) -> Batch | None:
    """All items at once; None where anything is wrong with any of them."""
    batch = Batch()
    try:
        _decode(batch, body, kind, item, config)
    except (msgspec.DecodeError, ValueError, RecursionError, OverflowError):  # a UnicodeDecodeError is a ValueError
        return None
    batch.group(config.partitions)
    return batch


def _decode(batch: Batch, body: bytes, kind: str, item: Item[Any], config: Config) -> None:
    parts: Sequence[Any] = ()
    if kind == LINES:
        decoded, parts = item.lines(body), _lines(body)
        if len(parts) != len(decoded):
            raise ValueError  # an item stands on several lines, or several on one
    elif body.lstrip()[:1] == b"[":
        decoded = item.many(body)
    else:
        decoded, parts = [item.one(body)], (body,)
    _check_count(len(decoded), config)
    if len(body) > config.event_bytes_max:
        parts = parts or item.parts(body)
        if max(map(len, parts)) > config.event_bytes_max:
            raise ValueError
    record = item.record
    batch.records = [record(found, config) for found in decoded]
    batch.indexes = range(len(decoded))
    encode(batch.records)  # what can't be stored (numbers beyond 64 bits) fails here and not in the company of other requests
    # Nothing is nested deeper than there are opening brackets beyond those that the items have anyway; a bracket in a text only means one look more.
    if _opened(body) - item.brackets(decoded) >= config.event_depth_max:
        for part, found in zip(parts or item.parts(body), batch.records, strict=True):
            if _opened(bytes(part)) > config.event_depth_max:
                check_storable(found, config)


def _opened(text: bytes) -> int:
    return text.count(b"{") + text.count(b"[")


def _lines(body: bytes) -> list[bytes]:
    return [line for line in body.split(b"\n") if line and not line.isspace()]


def _one_by_one(body: bytes, kind: str, item: Item[Any], config: Config) -> Batch:
    batch = Batch()
    items = items_of(body, kind)
    _check_count(len(items), config)
    batch.indexes = indexes = []
    for index, part in enumerate(items):
        if len(part) > config.event_bytes_max:
            batch.oversized += 1
            batch.rejected.append(Rejected(index, f"larger than {config.event_bytes_max} bytes"))
            continue
        try:
            record = item.record(item.one(part), config)
            check_storable(record, config)
            encode(record)
        except (msgspec.DecodeError, ValueError, OverflowError) as error:
            batch.rejected.append(Rejected(index, _in_words(error)))
        except RecursionError:
            batch.rejected.append(Rejected(index, f"nested deeper than {config.event_depth_max}"))
        else:
            batch.records.append(record)
            indexes.append(index)
    batch.group(config.partitions)
    return batch


def _check_count(count: int, config: Config) -> None:
    if count > config.events_per_request_max:
        raise Refusal("too-large", f"A request may have {config.events_per_request_max} items, this one has {count}.")


def _in_words(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "not UTF-8, or half of a surrogate pair"
    if isinstance(error, OverflowError):
        return "a number does not fit into 64 bits"
    if type(error) is msgspec.DecodeError:
        return f"not JSON that can be stored: {error}"
    return str(error)


def check_storable(value: object, config: Config) -> None:
    """Refuse by ValueError what would hurt others later: nesting beyond `event_depth_max`, numbers beyond 64 bits.

    Works level by level, so that nothing here is nested either.
    """
    level: list[Any] = [getattr(value, name) for name in value.__struct_fields__] if isinstance(value, msgspec.Struct) else [value]
    for _ in range(config.event_depth_max + 1):
        below: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                below.extend(part.values())
            elif isinstance(part, list):
                below.extend(part)
            elif isinstance(part, int) and not INT_MIN <= part <= INT_MAX:
                raise ValueError("a number does not fit into 64 bits")
        if not below:
            return
        level = below
    raise ValueError(f"nested deeper than {config.event_depth_max}")


def check_contact(contact: str, config: Config) -> None:
    """A contact id: not empty, at most `contact_id_chars_max` characters, none of them a control character; else ValueError."""
    if not 0 < len(contact) <= config.contact_id_chars_max:
        raise ValueError(f"`contact` must have 1 to {config.contact_id_chars_max} characters")
    check_text("contact", contact)


def check_text(name: str, text: str) -> None:
    """No control characters; else ValueError."""
    if not text.isprintable() and not CONTROLS.isdisjoint(text):
        raise ValueError(f"`{name}` holds a control character")


async def ingest(call: Call, item: Item[Any], source: str) -> web.Response:
    """Read, validate, append; 202, 207 or a Refusal, as INTERFACE.md says."""
    services, request, caller = call.services, call.request, call.caller.name
    admission, config = services.admission, services.config
    admission.check_open()
    kind = type_of(request)
    if kind not in (JSON, LINES):
        raise Refusal("unsupported-type", "Send application/json or application/x-ndjson.")
    async with services.bodies.read(request) as body:
        batch = await read_items(body, kind, item, config)
        key = request.headers.get("Idempotency-Key")
        if key is not None:
            earlier = await services.once.begin(caller, request.path, key, body)
            if earlier is not None:
                return earlier
            services.once.name(batch.records, batch.indexes, caller, key)
        answers = await admission.append(batch.batches, len(batch.records)) if batch.records else {}
    response = _answer(services, batch, answers, source)
    if key is not None:
        await services.once.end(caller, request.path, key, response)
    return response


def _answer(services: Services, batch: Batch, answers: Answers, source: str) -> web.Response:
    metrics, rejected = services.metrics, batch.rejected
    if rejected:
        metrics.events_rejected.labels("invalid").inc(len(rejected))
    if not batch.records:
        if rejected:
            raise _all_bad(batch)
        return web.json_response({"accepted": 0}, status=202)
    failure = worst_of(answers, batch.batches)
    if failure is not None:
        raise refused(failure)
    accepted = len(batch.records)
    if any(isinstance(answers[partition], Exception) for partition in batch.batches):
        late = not_in(batch, answers, services.config.partitions)
        accepted -= len(late)
        metrics.events_rejected.labels("busy").inc(len(late))
        rejected = sorted([*rejected, *late], key=lambda one: one.index)
    services.count_accepted(source, accepted)
    if not rejected:
        return web.Response(status=202, body=b'{"accepted":%d}' % accepted, content_type="application/json")
    return web.Response(status=207, body=msgspec.json.encode({"accepted": accepted, "rejected": rejected}), content_type="application/json")


def _all_bad(batch: Batch) -> Refusal:
    large = batch.oversized == len(batch.rejected)
    return Refusal("too-large" if large else "invalid", "No item was accepted.", accepted=0, rejected=batch.rejected)


def not_in(batch: Batch, answers: Answers, partitions: int) -> list[Rejected]:
    """The records that did not get in, by the place of their items: nothing of this is lost silently."""
    late = []
    for index, record in zip(batch.indexes, batch.records, strict=True):
        answer = answers[partition_of(record.contact, partitions)]
        if isinstance(answer, Full):
            late.append(Rejected(index, "busy: this part of the log is full; send it again later"))
        elif isinstance(answer, ResultUnknown):
            late.append(Rejected(index, "unknown: the storage did not answer; send it again with the same id"))
        elif isinstance(answer, Exception):
            late.append(Rejected(index, "unavailable: the storage cannot be reached; send it again later"))
    return late
