"""A list as CSV: whatever people have for names, it is one cell, and never a formula."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.list_csv import columns_of, csv_lines, flat_row
from actions.list_mail import file_name
from actions.mime import _FILE_NAME
from engine.codec import encode

VALUES = st.one_of(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40), st.integers(), st.booleans(), st.none())


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "=c"]), VALUES), min_size=1, max_size=5))
def test_every_value_is_one_cell_and_no_formula(rows: list[dict[str, Any]]) -> None:
    listed = [{"contact": f"c{number}", **row} for number, row in enumerate(rows)]
    columns = columns_of(listed)
    head, *lines = read(csv_lines(columns, listed, head=True))
    assert [name.lstrip("'") for name in head] == columns
    assert len(lines) == len(rows)
    for line, row in zip(lines, listed, strict=True):
        for cell, column in zip(line, columns, strict=True):
            value = row.get(column)
            assert cell in {"" if value is None else str(value), f"'{value}"}
            assert isinstance(value, int) or not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+43 1", "'+43 1"),
        ("-5", "'-5"),
        (-5, "-5"),
        (2.5, "2.5"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1", "'  =1"),
        ("\t=1", "'\t=1"),
        ("\r\n=1", "'\r\n=1"),
        ("\uff1d1", "'\uff1d1"),
        ('a "b", c', 'a "b", c'),
        ("\u202etxt.exe", "\u202etxt.exe"),
        ("🎁 Zoë", "🎁 Zoë"),
        (None, ""),
        (True, "True"),
        (["a", 1], "['a', 1]"),
    ],
)
def test_values_are_written_so(value: Any, cell: str) -> None:
    assert read(csv_lines(["v"], [{"v": value}])) == [[cell]]


def test_no_field_stands_in_the_place_of_the_contact() -> None:
    row = encode({"contact": "ann", "added_ms": 5, "fields": {"contact": "bob", "added_ms": "x", "name": "Ann"}})
    assert flat_row("ann", row) == {"contact": "ann", "added_ms": 5, "name": "Ann"}


@pytest.mark.parametrize("name", ["kits", "kits & more", "../../etc", 'a"b', "пакети", "x" * 100])
def test_a_list_name_makes_a_file_name_that_mail_takes(name: str) -> None:
    assert _FILE_NAME.fullmatch(file_name(name, "2026-03-27"))
