"""An export of a fulfillment list as CSV, a page at a time: in memory are one page of rows and the ids of one partition, whatever the list's size."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from actions.list_csv import columns_of, csv_lines, flat_row
from actions.tokens import sign, verify
from engine.config import Config
from engine.core.errors import WayfareError
from engine.core.fulfillment import Export
from engine.ports import Lists

BOM = "\ufeff"  # without it Excel reads the names of people as if they were in its own code page
PURPOSE = "export"


class ExportGone(WayfareError):
    """An export that expired, or whose place another one took. The email that needs it is dead; the link says so."""


class Link(msgspec.Struct, frozen=True, array_like=True):
    """What the token of a link holds. The columns are those that the list named when it was sent; none: all."""

    export: Export
    until_ms: int
    columns: list[str]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Link).decode


def make_link(public_url: str, secret: str, link: Link) -> str:
    """The address from which an export can be fetched without a key, until it expires."""
    return f"{public_url}/v1/fulfillment/{quote(link.export.list, safe='')}/export/{sign(secret, PURPOSE, _encode(link))}"


def read_link(secret: str, token: str) -> Link | None:
    """What a token holds; None for what `secret` did not sign."""
    payload = verify(secret, PURPOSE, token)
    try:
        return None if payload is None else _decode(payload)
    except msgspec.MsgspecError:
        return None


async def export_csv(lists: Lists, export: Export, columns: Sequence[str], config: Config) -> AsyncIterator[str]:
    """The CSV in pieces, the first of them with the byte order mark and the names of the columns. Raises ExportGone, Unavailable."""
    columns = columns or await _found_columns(lists, export, config)
    yield BOM + csv_lines(columns, (), head=True)
    async for page in _pages(lists, export, config):
        yield csv_lines(columns, page)


async def export_within(lists: Lists, export: Export, columns: Sequence[str], config: Config) -> bytes | None:
    """The whole CSV; None where it is larger than `attachment_bytes_max`."""
    pieces, size = [], 0
    async for text in export_csv(lists, export, columns, config):
        piece = text.encode(errors="replace")
        size += len(piece)
        if size > config.attachment_bytes_max:
            return None
        pieces.append(piece)
    return b"".join(pieces)


async def _found_columns(lists: Lists, export: Export, config: Config) -> list[str]:
    """Every column that a row has, up to `export_columns_max`: the fields are what senders made them."""
    found: set[str] = set()
    async for page in _pages(lists, export, config):
        found.update(columns_of(page))
    return columns_of([dict.fromkeys(found)])[: config.export_columns_max]


async def _pages(lists: Lists, export: Export, config: Config) -> AsyncIterator[list[dict[str, Any]]]:
    """The rows, partition by partition, by contact; who was erased meanwhile is left out."""
    for partition in range(config.partitions):
        contacts = await lists.contacts(export, partition)
        if contacts is None:
            raise ExportGone("the export of this list is gone")
        for start in range(0, len(contacts), config.export_page_rows):
            page = contacts[start : start + config.export_page_rows]
            rows = await lists.rows(export, partition, page)
            yield [flat_row(contact, row) for contact, row in zip(page, rows, strict=True) if row is not None]
