"""Fulfillment lists: who is on one, as JSON or CSV; and the links to lists that were too large to be mailed."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from actions.list_csv import columns_of, csv_lines, flat_row
from actions.list_exports import ExportGone, export_csv, read_link
from actions.list_mail import file_name
from engine.codec import decode_any
from engine.core.errors import WayfareError
from engine.core.fulfillment import table_of
from engine.core.local_time import iso
from engine.logs import logger
from gateway.problems import Refusal
from gateway.routing import Call, Route, json_answer

log = logger("gateway")

_GONE = "This link has expired. Ask for the list to be sent again, or fetch the list itself with a key."


async def get_list(call: Call) -> web.Response:
    """The rows of a list; CSV with `Accept: text/csv` or `?format=csv`."""
    name = call.named("list")
    rows = await call.services.directory.rows(table_of(name))
    snapshot = await call.services.published.newest()
    if not rows and (snapshot is None or name not in (snapshot.documents.get("fulfillment") or {})):
        raise Refusal("not-found", "There is no such fulfillment list.")
    if call.query("format") == "csv" or "text/csv" in call.request.headers.get("Accept", ""):
        flat = [flat_row(contact, row) for contact, row in sorted(rows.items())]
        return web.Response(body=csv_lines(columns_of(flat), flat, head=True).encode(errors="replace"), headers=_file("fulfillment.csv"))
    return json_answer({"list": name, "contacts": [{"contact": contact, **decode_any(row)} for contact, row in sorted(rows.items())]})


async def get_export(call: Call) -> web.StreamResponse:
    """What was on a list when it was sent, as CSV, a page at a time. The token in the path is the key."""
    services = call.services
    link = read_link(services.signing_secret, call.named("token"))
    if link is None or link.export.list != call.named("list"):
        raise Refusal("not-found", "This link is not valid. It may have been cut off: use the whole link of the message.")
    if link.until_ms <= services.clock():
        raise Refusal("gone", _GONE)
    pieces = export_csv(services.lists, link.export, link.columns, services.config)
    try:
        first = await anext(pieces)
        second = await anext(pieces, "")
    except ExportGone:
        raise Refusal("gone", _GONE) from None
    response = web.StreamResponse(headers={**_file(file_name(link.export.list, iso(link.export.due_ms)[:10])), "Cache-Control": "private, no-store"})
    await response.prepare(call.request)
    try:
        await response.write((first + second).encode(errors="replace"))
        await _copy(pieces, response)
    except ConnectionError:
        pass  # whoever asked has gone
    except WayfareError as error:
        log.warning("an export broke off", list=link.export.list, error=str(error))
        if call.request.transport is not None:
            call.request.transport.abort()  # so that nobody takes a part for the whole
    return response


async def _copy(pieces: AsyncIterator[str], response: web.StreamResponse) -> None:
    async for piece in pieces:
        await response.write(piece.encode(errors="replace"))
    await response.write_eof()


def _file(name: str) -> dict[str, str]:
    return {"Content-Type": "text/csv; charset=utf-8", "Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}


ROUTES = [
    Route(method="GET", path="/v1/fulfillment/{list}", handler=get_list, scope="read", summary="Who is on a fulfillment list; JSON or CSV.", query=("format",)),
    Route(
        method="GET",
        path="/v1/fulfillment/{list}/export/{token}",
        handler=get_export,
        scope=None,
        summary="A list as it was sent, from the link of its mail.",
        gives="text/csv",
    ),
]
