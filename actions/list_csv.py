"""Fulfillment lists as CSV (RFC 4180, CRLF), for the route that shows a list and for the file that is mailed.

A spreadsheet takes a cell that begins with `=`, `+`, `-`, `@`, a tab or a line's end for a formula; such a text gets an apostrophe in front, as
OWASP says, also where spaces stand before it. Numbers are left alone.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.codec import decode_any

# The last four are the full-width forms, which spreadsheets take for the same.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", *"\uff1d\uff0b\uff0d\uff20")


def flat_row(contact: str, row: bytes) -> dict[str, Any]:
    """A row of a list as columns: the contact's fields by name, then `contact` and `added_ms`, which no field can shadow."""
    entry = decode_any(row)
    return {**entry.pop("fields", {}), **entry, "contact": contact}


def columns_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """`contact`, then every other column by name."""
    return ["contact", *sorted({column for row in rows for column in row} - {"contact"})]


def csv_lines(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, head: bool = False) -> str:
    """A line for each row, after the line of the columns' names where `head`."""
    text = io.StringIO()
    writer = csv.writer(text)
    if head:
        writer.writerow([_cell(column) for column in columns])
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = str(value)
    return f"'{text}" if not isinstance(value, int | float) and text.lstrip(" ").startswith(FORMULA_STARTS) else text
