"""What limits.yaml says about a single contact's messages: zone, default consent, caps, quiet hours, suppression lists.

Rates and delivery modes are read by the pools (actions/limits.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Any

import msgspec

from engine.core.errors import Problem
from engine.core.guard import STATUSES
from engine.core.local_time import zone
from engine.core.names import shown
from engine.core.reading import Place
from engine.core.times import parse_clock, parse_duration

KEYS = ("timezone", "default_consent", "rates", "caps", "quiet_hours", "delivery", "suppression")
CONSENT = {"email": "subscribed", "sms": "unsubscribed"}  # SMS needs an opt-in
QUIET_HOURS = {"sms": (21 * 60, 8 * 60)}


class Cap(msgspec.Struct, frozen=True):
    """At most so many promotional sends in a rolling window; `skip`: what is over is suppressed instead of deferred."""

    at_most: int
    per_ms: int
    per: str
    skip: bool


class SendLimits(msgspec.Struct, kw_only=True):
    """Limits by channel. Quiet hours are minutes past midnight, the start inside, the end outside."""

    timezone: str = "UTC"
    zone: Any = UTC
    default_consent: dict[str, str] = {}
    caps: dict[str, list[Cap]] = {}
    quiet_hours: dict[str, tuple[int, int]] = {}
    suppressed: dict[str, frozenset[str]] = {}


def read_limits(document: Any, problems: list[Problem]) -> SendLimits:
    """The limits of a workspace's document; every problem is reported, and what cannot be read has its default."""
    limits = SendLimits(default_consent=dict(CONSENT), quiet_hours=dict(QUIET_HOURS))
    place = Place(document, problems, path="limits")
    if not place.known(KEYS, "limits"):
        return limits
    if place.has("timezone"):
        limits.zone, limits.timezone = _zone(place.at("timezone"))
    for channel, at in _entries(place, "default_consent"):
        limits.default_consent[channel] = at.one_of(STATUSES, f"the default consent of {channel}") or "unsubscribed"
    for item in place.at("caps").items("`caps`") if place.has("caps") else ():
        _read_cap(item, limits.caps)
    for channel, at in _entries(place, "quiet_hours"):
        _read_quiet(channel, at, limits.quiet_hours)
    for channel, at in _entries(place, "suppression"):
        limits.suppressed[channel] = frozenset(text.lower().removeprefix("@") for item in at.items(channel) if (text := item.text("an address")))
    return limits


def _zone(place: Place) -> tuple[tzinfo, str]:
    name = place.text("`timezone`")
    found = zone(name) if name else None
    if name and found is None:
        place.problem(f'there is no time zone "{name}"', "write an IANA name such as Europe/Berlin")
    return found or UTC, name if found else "UTC"


def _entries(place: Place, key: str) -> list[tuple[str, Place]]:
    if not place.has(key) or place.raw[key] is None:
        return []
    inner = place.at(key)
    if not isinstance(inner.raw, Mapping):
        inner.problem(f"`{key}` must be a mapping by channel, not {shown(inner.raw)}")
        return []
    return [(str(channel), inner.at(channel)) for channel in inner.raw]


def _read_cap(place: Place, caps: dict[str, list[Cap]]) -> None:
    if not place.known(("channel", "at_most", "per", "then"), "a cap"):
        return
    missing = [key for key in ("channel", "at_most", "per") if not place.has(key)]
    if missing:
        place.problem(f"the cap has no `{missing[0]}`", "write `{channel: email, at_most: 3, per: 1d}`")
        return
    channel, at_most, per_ms = place.at("channel").text("`channel`"), place.at("at_most").number("`at_most`"), place.at("per").taken(parse_duration)
    if at_most != int(at_most) or at_most < 1 or per_ms <= 0:
        place.problem("a cap allows a whole number of at least 1 in a time that is not 0")
        return
    then = place.at("then").one_of(("defer", "skip"), "`then`") if place.has("then") else "defer"
    caps.setdefault(channel, []).append(Cap(int(at_most), per_ms, str(place.raw["per"]), then == "skip"))


def _read_quiet(channel: str, place: Place, quiet: dict[str, tuple[int, int]]) -> None:
    if place.raw is None or place.raw is False:
        quiet.pop(channel, None)
        return
    if not place.known(("from", "to"), "quiet hours"):
        return
    if not place.has("from") or not place.has("to"):
        place.problem("quiet hours need `from` and `to`", 'write `{from: "21:00", to: "08:00"}`')
        return
    start, end = place.at("from").taken(parse_clock), place.at("to").taken(parse_clock)
    if start == end:
        quiet.pop(channel, None)  # from is inside, to outside: no time lies between
    else:
        quiet[channel] = (start, end)
