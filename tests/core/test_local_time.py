"""Local time: gaps, folds, windows, date fields, anniversaries."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.local_time import from_field, instant, iso, next_date, next_opening, next_time, zone, zone_of

YORK = ZoneInfo("America/New_York")
BERLIN = ZoneInfo("Europe/Berlin")
SAMOA = ZoneInfo("Pacific/Apia")


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(("now", "minutes", "days", "local", "expected"), [
    ("2026-01-05T09:00:00Z", 9 * 60, [], UTC, "2026-01-06T09:00:00Z"),  # strictly later
    ("2026-01-05T08:59:59Z", 9 * 60, [], UTC, "2026-01-05T09:00:00Z"),
    ("2026-03-08T06:00:00Z", 150, [], YORK, "2026-03-08T07:30:00Z"),  # 02:30 does not exist: 03:30
    ("2026-03-07T14:00:00Z", 9 * 60, [], YORK, "2026-03-08T13:00:00Z"),  # a day of 23 hours
    ("2026-11-01T04:00:00Z", 90, [], YORK, "2026-11-01T05:30:00Z"),  # 01:30 comes twice: the first
    ("2026-11-01T05:30:00Z", 90, [], YORK, "2026-11-02T06:30:00Z"),  # and not the second
    ("2026-01-05T09:00:00Z", 0, [4], UTC, "2026-01-09T00:00:00Z"),
    ("2026-01-09T00:00:00Z", 0, [4], UTC, "2026-01-16T00:00:00Z"),
    ("2011-12-30T09:00:00Z", 9 * 60, [4], SAMOA, "2011-12-30T19:00:00Z"),  # Samoa had no Friday 30 December: on by that day
])  # fmt: skip
def test_next_time(now: str, minutes: int, days: list[int], local: Any, expected: str) -> None:
    assert iso(next_time(ms(now), minutes, days, local)) == expected


@pytest.mark.parametrize(("now", "start", "end", "days", "expected"), [
    ("2026-01-05T09:00:00Z", 9 * 60, 18 * 60, [], None),
    ("2026-01-05T17:59:59Z", 9 * 60, 18 * 60, [], None),
    ("2026-01-05T18:00:00Z", 9 * 60, 18 * 60, [], "2026-01-06T09:00:00Z"),  # the end is outside
    ("2026-01-05T23:00:00Z", 22 * 60, 6 * 60, [0], None),
    ("2026-01-06T05:59:00Z", 22 * 60, 6 * 60, [0], None),  # Monday's window, on Tuesday
    ("2026-01-06T23:00:00Z", 22 * 60, 6 * 60, [0], "2026-01-12T22:00:00Z"),
    ("2026-01-05T12:00:00Z", 0, 24 * 60, [], None),
    ("2026-01-05T05:00:00Z", 22 * 60, 6 * 60, [0], "2026-01-05T22:00:00Z"),  # Sunday's window does not open
])  # fmt: skip
def test_windows(now: str, start: int, end: int, days: list[int], expected: str | None) -> None:
    found = next_opening(ms(now), start, end, days, UTC)
    assert (iso(found) if found else None) == expected


@pytest.mark.parametrize(("value", "offset", "minutes", "local", "expected"), [
    ("2026-02-10", -7 * 86_400_000, 510, YORK, "2026-02-03T13:30:00Z"),
    ("2026-03-09", -86_400_000, None, YORK, "2026-03-08T05:00:00Z"),  # by the calendar, not by 24 hours
    ("2026-02-10T18:00", 0, None, BERLIN, "2026-02-10T17:00:00Z"),
    ("2026-02-10T23:30:00Z", 0, 540, BERLIN, "2026-02-11T08:00:00Z"),  # the day it is there
    (1_770_681_600_000, 0, None, UTC, "2026-02-10T00:00:00Z"),
    (1_770_681_600, 0, None, UTC, "2026-02-10T00:00:00Z"),
    ("9999-12-31", 86_400_000, None, UTC, None),
    ("0001-01-01", -86_400_000, None, UTC, None),
    ("tomorrow", 0, None, UTC, None), (True, 0, None, UTC, None), (None, 0, None, UTC, None), ([], 0, None, UTC, None), (1e300, 0, None, UTC, None),
])  # fmt: skip
def test_date_fields(value: Any, offset: int, minutes: int | None, local: Any, expected: str | None) -> None:
    found = from_field(value, offset, minutes, local)
    assert (iso(found) if found is not None else None) == expected


@pytest.mark.parametrize(("now", "value", "offset", "yearly", "later", "expected"), [
    ("2026-01-05T00:00:00Z", "2026-01-05", 0, False, False, "2026-01-05T00:00:00Z"),
    ("2026-01-05T00:00:01Z", "2026-01-05", 0, False, False, None),
    ("2026-01-05T00:00:00Z", "1980-02-29", 0, True, False, "2026-02-28T00:00:00Z"),
    ("2028-01-05T00:00:00Z", "1980-02-29", 0, True, False, "2028-02-29T00:00:00Z"),
    ("2026-02-28T00:00:00Z", "1980-02-29", 0, True, True, "2027-02-28T00:00:00Z"),
    ("2026-12-30T00:00:00Z", "1980-01-02", -5 * 86_400_000, True, False, "2027-12-28T00:00:00Z"),
    ("2026-12-20T00:00:00Z", "1980-01-02", -5 * 86_400_000, True, False, "2026-12-28T00:00:00Z"),
    ("2026-12-20T00:00:00Z", "never", 0, True, False, None),
])  # fmt: skip
def test_anniversaries(now: str, value: str, offset: int, yearly: bool, later: bool, expected: str | None) -> None:
    found = next_date(ms(now), value, offset, None, UTC, yearly=yearly, later=later)
    assert (iso(found) if found is not None else None) == expected


def test_zones() -> None:
    assert zone("Nowhere/Land") is None
    assert zone("../etc/passwd") is None
    assert zone_of({"timezone": "Europe/Berlin"}, UTC) == BERLIN
    assert zone_of({"timezone": "Nowhere"}, YORK) == YORK
    assert zone_of({"timezone": 5}, YORK) == YORK


def test_times_are_written_without_a_needless_fraction() -> None:
    assert iso(1_767_603_600_000) == "2026-01-05T09:00:00Z"
    assert iso(1_767_603_600_250) == "2026-01-05T09:00:00.250Z"
    assert instant("2026-01-05T09:00:00.250Z", UTC) == 1_767_603_600_250


@given(st.integers(ms("2000-01-01T00:00:00Z"), ms("2035-01-01T00:00:00Z")), st.integers(0, 1439), st.sampled_from([UTC, YORK, BERLIN, SAMOA]))
def test_the_next_time_is_later_and_shows_that_clock_or_the_gap(now: int, minutes: int, local: Any) -> None:
    found = next_time(now, minutes, [], local)
    assert now < found <= now + 50 * 3_600_000
    shown = datetime.fromtimestamp(found / 1000, local)
    assert shown.hour * 60 + shown.minute - minutes in (0, 60, -23 * 60)
