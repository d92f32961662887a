"""Local time: calendar waits, windows, dates relative to a field, and how times are written.

Instants are epoch milliseconds, UTC. A local time that does not exist (spring) moves forward by the gap, one that exists
twice (autumn) takes the first: both are what a `datetime` with `fold=0` means. Nothing here raises for a value of a
contact: what cannot be read is None.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

DAY_MINUTES = 24 * 60
_DAYS_AHEAD = 15  # a week, and the days that a zone has skipped
_FIRST_MS = -62_135_596_800_000  # 0001-01-01T00:00:00Z
_LAST_MS = 253_402_300_799_000  # 9999-12-31T23:59:59Z
_SECONDS_BELOW = 100_000_000_000  # a smaller number is epoch seconds (1973 in milliseconds, 5138 in seconds)


@lru_cache(maxsize=1024)
def zone(name: str) -> tzinfo | None:
    """The zone of an IANA name, None where there is none of that name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def zone_of(fields: Mapping[str, Any], default: tzinfo) -> tzinfo:
    """The zone of a contact's `timezone` field, else `default`."""
    name = fields.get("timezone")
    return (zone(name) or default) if isinstance(name, str) and name else default


def iso(ms: int) -> str:
    """`2026-01-05T09:00:00Z`; milliseconds are written only where there are any. What no calendar has is its first or last second."""
    whole, rest = divmod(min(max(ms, _FIRST_MS), _LAST_MS), 1000)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:03d}Z" if rest else f"{text}Z"


def instant(value: Any, local: tzinfo) -> int | None:
    """The instant of a value: text as ISO 8601 (local where it has no offset), or a number of epoch seconds or milliseconds."""
    read = _read(value)
    if read is None:
        return None
    return _ms(read if read.tzinfo else read.replace(tzinfo=local))


def at_local(text: str, local: tzinfo) -> int | None:
    """The instant of a local date and time as a document writes it."""
    return instant(text, local)


def next_time(now_ms: int, minutes: int, days: Collection[int], local: tzinfo) -> int:
    """The next instant, strictly later than now, when the local clock shows `minutes` past midnight on one of `days` (0 = Monday; empty: all)."""
    today = datetime.fromtimestamp(now_ms / 1000, local).date()
    for ahead in range(-1, _DAYS_AHEAD):
        day = today + timedelta(days=ahead)
        if days and day.weekday() not in days:
            continue
        found = _clock(day, minutes, local)
        if found > now_ms:
            return found
    return now_ms + 1


def next_monthly(now_ms: int, day: int, minutes: int, local: tzinfo) -> int:
    """The next instant, strictly later than now, at `minutes` past midnight on this day of a month; on its last day where it is shorter."""
    today = datetime.fromtimestamp(now_ms / 1000, local).date()
    for ahead in range(-1, 3):
        years, month = divmod(today.month - 1 + ahead, 12)
        year = today.year + years
        found = _clock(date(year, month + 1, min(day, monthrange(year, month + 1)[1])), minutes, local)
        if found > now_ms:
            return found
    return now_ms + 1


def next_opening(now_ms: int, start: int, end: int, days: Collection[int], local: tzinfo) -> int:
    """0 inside the window, else its next opening. `end` is outside; a window that crosses midnight belongs to the day it opened."""
    today = datetime.fromtimestamp(now_ms / 1000, local).date()
    for day in (today - timedelta(days=1), today):
        if days and day.weekday() not in days:
            continue
        closes = end if end > start else end + DAY_MINUTES
        if _clock(day, start, local) <= now_ms < _clock(day, closes, local):
            return 0
    return next_time(now_ms, start, days, local)


def from_field(value: Any, offset_ms: int, minutes: int | None, local: tzinfo) -> int | None:
    """The instant of a date field, `offset_ms` away by the calendar, at `minutes` past midnight (None: as the field says)."""
    day = _local(value, local)
    return None if day is None else _shifted(day, offset_ms, minutes, local)


def next_date(now_ms: int, value: Any, offset_ms: int, minutes: int | None, local: tzinfo, *, yearly: bool, later: bool = False) -> int | None:
    """The next instant, now or later (strictly where `later`), of a date field or of its anniversary; None where there is none.

    29 February falls on the 28th in other years.
    """
    day = _local(value, local)
    if day is None:
        return None
    least = now_ms + later
    if not yearly:
        found = _shifted(day, offset_ms, minutes, local)
        return found if found is not None and found >= least else None
    year = datetime.fromtimestamp(now_ms / 1000, local).year
    away = abs(offset_ms) // (365 * 86_400_000) + 2
    for candidate in range(year - away, year + away + 1):
        found = _shifted(_in_year(day, candidate), offset_ms, minutes, local)
        if found is not None and found >= least:
            return found
    return None


def _in_year(day: datetime, year: int) -> datetime:
    try:
        return day.replace(year=year)
    except ValueError:
        return day.replace(year=year, day=28)


def _shifted(day: datetime, offset_ms: int, minutes: int | None, local: tzinfo) -> int | None:
    try:
        moved = day + timedelta(milliseconds=offset_ms)
    except OverflowError:
        return None
    if minutes is not None:
        return _clock(moved.date(), minutes, local)
    return _ms(moved.replace(tzinfo=local))


def _clock(day: date, minutes: int, local: tzinfo) -> int:
    moved = datetime.combine(day, time()) + timedelta(minutes=minutes)
    return int(moved.replace(tzinfo=local).timestamp() * 1000)


def _local(value: Any, local: tzinfo) -> datetime | None:
    """The value as a local time without zone."""
    read = _read(value)
    if read is None or read.tzinfo is None:
        return read
    try:
        return read.astimezone(local).replace(tzinfo=None, fold=0)
    except (OverflowError, ValueError):
        return None


def _read(value: Any) -> datetime | None:
    try:
        if isinstance(value, str):
            return datetime.fromisoformat(value.strip())
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / (1000 if abs(value) >= _SECONDS_BELOW else 1), UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def _ms(when: datetime) -> int | None:
    try:
        return round(when.timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        return None
