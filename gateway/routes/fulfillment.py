"""`GET /v1/fulfillment/{list}`: who is on a fulfillment list, as JSON or CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

from aiohttp import web

from engine.codec import decode_any
from gateway.problems import Refusal
from gateway.routing import Call, Route, json_answer

# A spreadsheet takes a cell that begins with one of these for a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", *"\uff1d\uff0b\uff0d\uff20")  # the last four are the full-width forms


async def get_list(call: Call) -> web.Response:
    """The rows of a list; CSV with `Accept: text/csv` or `?format=csv`."""
    name = call.named("list")
    rows = await call.services.directory.rows(f"fulfillment:{name}")
    snapshot = await call.services.published.newest()
    if not rows and (snapshot is None or name not in (snapshot.documents.get("fulfillment") or {})):
        raise Refusal("not-found", "There is no such fulfillment list.")
    entries = [{"contact": contact, **decode_any(row)} for contact, row in sorted(rows.items())]
    if call.query("format") == "csv" or "text/csv" in call.request.headers.get("Accept", ""):
        disposition = {"Content-Disposition": 'attachment; filename="fulfillment.csv"'}
        return web.Response(body=as_csv(entries).encode(), content_type="text/csv", charset="utf-8", headers=disposition)
    return json_answer({"list": name, "contacts": entries})


def as_csv(entries: list[dict[str, Any]]) -> str:
    """One line per contact, `contact` first and the other columns by name; nothing in it is a formula to a spreadsheet."""
    flat = [_flat(entry) for entry in entries]
    columns = ["contact", *sorted({column for entry in flat for column in entry} - {"contact"})]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([_cell(column) for column in columns])
    writer.writerows([_cell(entry.get(column)) for column in columns] for entry in flat)
    return text.getvalue()


def _flat(entry: dict[str, Any]) -> dict[str, Any]:
    fields = entry.get("fields")
    if not isinstance(fields, dict):
        return entry
    return {**fields, **{name: value for name, value in entry.items() if name != "fields"}}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = str(value)
    return f"'{text}" if not isinstance(value, int | float) and text.lstrip(" ").startswith(FORMULA_STARTS) else text


ROUTES = [
    Route(method="GET", path="/v1/fulfillment/{list}", handler=get_list, scope="read", summary="Who is on a fulfillment list; JSON or CSV.", query=("format",))
]
