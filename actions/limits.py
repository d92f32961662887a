"""What limits.yaml says about sending: rates, allowances of a day, warm-up, delivery modes; and the tokens that a pool holds of them.

A rate is `500/s`, `30/m` or `1000/h`; it is spent from grants of one place in storage (GCRA), in slices of at most a tenth of a second's
worth, which expire in a second. What isn't used by then is burned, so a dead pool never makes a limit overflow. A limit's name is
`channel`, `channel:dest` or either with `/day`; an allowance of a day is a number, and days change in the workspace's time zone. A warm-up
table is an allowance that grows day by day; where there are both, the smaller one holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from engine.core.errors import InvalidConfig, Problem
from engine.core.quiet import Quiet
from engine.core.send_limits import SendLimits
from engine.core.send_limits import read_limits as read_all
from engine.core.sender_care import WarmUp
from engine.ports import DEFAULT_CONSENT, Budget

GRANT_MS = 1_000
SLICE_S = 0.1  # of the rate, at once: smooth enough for a provider, few enough round trips
DAY_RETRY_MS_MAX = 60_000  # an exhausted day is asked again, since the allowance may have been raised

_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(s|m|h)")
_SECONDS = {"s": 1, "m": 60, "h": 3_600}
_NAMED_IN_LOWER_CASE = frozenset({"email", "webhook"})  # whose destinations are domains and hosts
_ONCE_BY_DEFAULT = frozenset({"email", "sms", "postcard"})


class Limits(msgspec.Struct, frozen=True):
    """The limits of one channel, read from limits.yaml. Rates are per second; the key "" is the whole channel, others are destinations."""

    channel: str
    rates: dict[str, float] = {}
    days: dict[str, int] = {}
    once: bool = True  # at_most_once
    timezone: str = "UTC"
    consent: dict[str, str] = {}  # for contacts that have none on record
    warm_up: dict[str, WarmUp] = {}
    throttled: frozenset[str] = frozenset()  # destinations that are slowed down where they ask for it
    suppressed: frozenset[str] = frozenset()
    quiet: Quiet | None = None

    def allowance(self, dest: str, day: str) -> int | None:
        """What may be sent on a day; None where nothing limits it."""
        table = self.warm_up.get(dest)
        found = [most for most in (self.days.get(dest), table.allowance(day) if table else None) if most is not None]
        return min(found, default=None)

    def day(self, now_ms: int) -> str:
        """The calendar day, such as 2026-01-05."""
        return datetime.fromtimestamp(now_ms / 1_000, ZoneInfo(self.timezone)).date().isoformat()

    def day_wait_ms(self, now_ms: int) -> int:
        """How long until the next day begins, at most a minute."""
        now = datetime.fromtimestamp(now_ms / 1_000, ZoneInfo(self.timezone))
        midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), now.tzinfo)
        return max(1, min(DAY_RETRY_MS_MAX, int((midnight.astimezone(UTC) - now.astimezone(UTC)).total_seconds() * 1_000)))


def read_limits(document: Mapping[str, Any], channel: str, read: SendLimits | None = None) -> Limits:
    """The part of limits.yaml that a channel's pool needs. Raises InvalidConfig naming the entry that can't be read.

    `read` is what a compiled workspace has read of it already.
    """
    rates, days = {}, {}
    for name, value in (document.get("rates") or {}).items():
        place, daily, _ = str(name).partition("/day")
        kept, _, dest = place.partition(":")
        if kept != channel:
            continue
        dest = dest.lower() if channel in _NAMED_IN_LOWER_CASE else dest
        if daily:
            days[dest] = _allowance(name, value)
        else:
            rates[dest] = parse_rate(name, value)
    mode = (document.get("delivery") or {}).get(channel, "at_most_once" if channel in _ONCE_BY_DEFAULT else "at_least_once")
    if mode not in ("at_most_once", "at_least_once"):
        raise InvalidConfig(f"limits.yaml: delivery.{channel} must be at_most_once or at_least_once, not {mode!r}")
    timezone = str(document.get("timezone") or "UTC")
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise InvalidConfig(f"limits.yaml: unknown time zone {timezone!r}") from None
    read = read or read_all(document, [])
    return Limits(
        channel,
        rates,
        days,
        mode == "at_most_once",
        timezone,
        {**DEFAULT_CONSENT, **(document.get("default_consent") or {})},
        warm_up={dest.lower(): table for name, table in read.warm_up.items() for kept, _, dest in [name.partition(":")] if kept == channel},
        throttled=read.mail_domains if channel == "email" else frozenset(),
        suppressed=read.suppressed.get(channel, frozenset()),
        quiet=read.quiet_hours.get(channel),
    )


def limit_problems(document: Any, file: str = "limits.yaml") -> list[Problem]:
    """What is wrong with the rates and delivery modes of limits.yaml, entry by entry, before it is published."""
    if not isinstance(document, Mapping):
        return []  # that it is no mapping is told where the sections are read
    entries: list[tuple[str, object, Any]] = []
    for key in ("rates", "delivery"):
        found = document.get(key) or {}
        if not isinstance(found, Mapping):
            return [Problem(file=file, line=getattr(document, "lines", {}).get(key, 0), place=key, message="must be a mapping")]
        entries += [(key, name, value) for name, value in found.items()]
    problems = []
    for key, name, value in entries:
        channel = str(name).partition("/")[0].partition(":")[0]
        try:
            read_limits({key: {name: value}}, channel)
        except InvalidConfig as error:
            line = getattr(document[key], "lines", {}).get(name, 0)
            problems.append(Problem(file=file, line=line, place=f"{key}.{name}", message=str(error).removeprefix("limits.yaml: ")))
    return problems


def parse_rate(name: object, value: Any) -> float:
    """`500/s` as tokens per second; a bare number is per second."""
    found = _RATE.fullmatch(str(value).strip())
    if found:
        return float(found[1]) / _SECONDS[found[2]]
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    raise InvalidConfig(f"limits.yaml: rates.{name} must be like 500/s, 30/m or 1000/h, not {value!r}")


def _allowance(name: object, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidConfig(f"limits.yaml: rates.{name} must be a whole number, not {value!r}")
    return value


class Tokens:
    """What this pool may still send under the limits of its channel, right now. Times are those of `clock`."""

    def __init__(self, limits: Limits, budget: Budget, clock: Callable[[], int]) -> None:
        self.limits = limits
        self._budget = budget
        self._clock = clock
        self._held: dict[str, int] = {}
        self._expiry_ms: dict[str, int] = {}
        self._closed: dict[str, int] = {}  # dest → not before

    def slice(self, dest: str) -> int:
        """The most that one grant can bring; 0 where there is no such limit."""
        rate = self.limits.rates.get(dest, 0)
        return max(1, int(rate * SLICE_S)) if dest in self.limits.rates else 0

    def limited(self) -> list[str]:
        """Destinations with a limit of their own."""
        return [dest for dest in {*self.limits.rates, *self.limits.days, *self.limits.warm_up} if dest]

    def wait_ms(self, dest: str) -> int:
        """How long a limit stays closed; 0 where it is open."""
        return max(0, self._closed.get(dest, 0) - self._clock())

    async def take(self, dest: str, want: int) -> int:
        """Up to `want` tokens of the rate of a destination ("" is the channel); `want` where it has no limit."""
        if dest not in self.limits.rates or want <= 0:
            return want
        now_ms = self._clock()
        tokens = self._held.get(dest, 0) if now_ms < self._expiry_ms.get(dest, 0) else 0
        rate = self.limits.rates[dest]
        if not rate:
            self._closed[dest] = now_ms + GRANT_MS  # 0/s: nothing, until limits.yaml says otherwise
        elif tokens < want and not self.wait_ms(dest):
            most = self.slice(dest)
            granted, retry_ms = await self._budget.grant(self._name(dest), rate, most, min(want - tokens, most))
            if granted:
                tokens, self._expiry_ms[dest] = tokens + granted, now_ms + GRANT_MS
            if tokens < want:
                # Waiting for a quarter of a slice instead of a single token saves three round trips in four and more.
                self._closed[dest] = now_ms + max(retry_ms, 1 if most < 4 else int(SLICE_S * 250))
        used = min(tokens, want)
        self._held[dest] = tokens - used
        return used

    def give_back(self, dest: str, tokens: int) -> None:
        """Return tokens that were taken a moment ago and not used; they expire with the others."""
        if dest in self.limits.rates:
            self._held[dest] = self._held.get(dest, 0) + tokens

    async def take_day(self, dest: str, want: int) -> int:
        """Up to `want` of a day's allowance; asked only for what is in hand, because it is not given back."""
        if want <= 0 or (dest not in self.limits.days and dest not in self.limits.warm_up):
            return want
        now_ms = self._clock()
        day = self.limits.day(now_ms)
        most = self.limits.allowance(dest, day)
        if most is None:
            return want
        granted = await self._budget.grant_day(f"{self._name(dest)}/day", most, want, day)
        if granted < want:
            self._closed[dest] = now_ms + self.limits.day_wait_ms(now_ms)
        return granted

    def _name(self, dest: str) -> str:
        return f"{self.limits.channel}:{dest}" if dest else self.limits.channel
