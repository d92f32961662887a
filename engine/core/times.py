"""How documents write times: durations such as `1d12h`, clock times such as `09:00`, days such as `mon`, local dates.

Every reader raises ValueError with a sentence that says what was expected.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from engine.core.names import shown

MINUTE_MS = 60_000
DURATION_MS_MAX = 100 * 366 * 24 * 60 * MINUTE_MS

_UNITS_MS = (7 * 24 * 60 * MINUTE_MS, 24 * 60 * MINUTE_MS, 60 * MINUTE_MS, MINUTE_MS, 1000)
_DURATION = re.compile(r"([+-])?(?=\d)(?:(\d{1,10})w)?(?:(\d{1,10})d)?(?:(\d{1,10})h)?(?:(\d{1,10})m)?(?:(\d{1,10})s)?", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)", re.ASCII)
_LOCAL = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?", re.ASCII)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def parse_duration(raw: Any, *, signed: bool = False) -> int:
    """`90s`, `15m`, `2h`, `3d`, `1w` or `1d12h` in milliseconds; `signed` also takes `-7d` and `+30d`. ValueError otherwise."""
    match = _DURATION.fullmatch(raw) if isinstance(raw, str) else None
    if match is None:
        sample = "`3d`, `-7d`" if signed else "`90s`, `3d`"
        raise ValueError(f"{shown(raw)} is not a duration such as {sample} or `1d12h`")
    if match[1] and not signed:
        raise ValueError(f"{shown(raw)} has a sign, and a duration has none here")
    total = sum(int(count) * unit for count, unit in zip(match.groups()[1:], _UNITS_MS, strict=True) if count)
    if total > DURATION_MS_MAX:
        raise ValueError(f"{shown(raw)} is longer than a hundred years")
    return -total if match[1] == "-" else total


def parse_offset(raw: Any) -> int:
    """A duration with or without a sign, in milliseconds."""
    return parse_duration(raw, signed=True)


def parse_clock(raw: Any, *, midnight_after: bool = False) -> int:
    """`09:00` as minutes past midnight; `midnight_after` also takes `24:00`."""
    match = _CLOCK.fullmatch(raw) if isinstance(raw, str) else None
    minutes = int(match[1]) * 60 + int(match[2]) if match and int(match[2]) < 60 else -1
    if not 0 <= minutes < (24 * 60 + midnight_after):
        raise ValueError(f'{shown(raw)} is not a clock time such as "09:00"')
    return minutes


def parse_window_end(raw: Any) -> int:
    """The end of a window: a clock time, or `24:00`."""
    return parse_clock(raw, midnight_after=True)


def parse_day(raw: Any) -> int:
    """`mon` … `sun` as 0 … 6."""
    if raw not in DAYS:
        raise ValueError(f"{shown(raw)} is not one of {', '.join(DAYS)}")
    return DAYS.index(raw)


def check_local(raw: Any) -> str:
    """A local date, or date and time: `2026-12-24`, `2026-12-24T09:00`. It comes back as it is written."""
    text = raw if isinstance(raw, str) and _LOCAL.fullmatch(raw) else ""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f'{shown(raw)} is not a local date and time such as "2026-12-24T09:00" (without a time zone)') from None
    return text
