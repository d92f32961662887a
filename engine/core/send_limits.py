"""What limits.yaml says: zone, default consent, caps, quiet hours, suppression lists, and the care of a sender's name (sender_care.py).

The values of rates and delivery modes are read by the pools (actions/limits.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, tzinfo
from typing import Any

import msgspec

from engine.core.caps import Cap
from engine.core.documents import suggest
from engine.core.errors import Problem
from engine.core.guard import STATUSES
from engine.core.local_time import DAY_MINUTES, zone
from engine.core.names import shown
from engine.core.quiet import Quiet
from engine.core.reading import Place
from engine.core.sender_care import HEALTH, Health, WarmUp, domain_of, read_domains, read_health, read_warm_up
from engine.core.suppression import entry_fault, entry_of
from engine.core.times import MINUTE_MS, parse_clock, parse_duration

KEYS = ("timezone", "default_consent", "rates", "caps", "quiet_hours", "delivery", "suppression", "warm_up", "throttle", "health")
CHANNELS = ("email", "sms", "webhook", "postcard", "payments", "wordpress", "membership", "facebook")
CONSENT = {"email": "subscribed", "sms": "unsubscribed"}  # SMS needs an opt-in
SPREAD_MS = 30 * MINUTE_MS
QUIET_HOURS = {"sms": Quiet(21 * 60, 8 * 60, SPREAD_MS)}


class SendLimits(msgspec.Struct, kw_only=True):
    """Limits by channel. Names of `warm_up` are `channel` or `channel:destination`; `mail_domains` have a queue of their own each."""

    timezone: str = "UTC"
    zone: Any = UTC
    default_consent: dict[str, str] = {}
    caps: dict[str, list[Cap]] = {}
    quiet_hours: dict[str, Quiet] = {}
    suppressed: dict[str, frozenset[str]] = {}
    warm_up: dict[str, WarmUp] = {}
    throttled: frozenset[str] = frozenset()
    mail_domains: frozenset[str] = frozenset()
    health: dict[str, Health] = {}


def read_limits(document: Any, problems: list[Problem], channels: Collection[str] = ()) -> SendLimits:
    """The limits of a workspace's document; every problem is reported, and what cannot be read has its default.

    `channels` are those of actions that the contract does not name.
    """
    limits = SendLimits(default_consent=dict(CONSENT), quiet_hours=dict(QUIET_HOURS), health=dict(HEALTH))
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
        limits.suppressed[channel] = _suppressed(channel, at)
    _read_care(place, limits)
    _check_names(place, {*CHANNELS, *channels})
    return limits


def _suppressed(channel: str, place: Place) -> frozenset[str]:
    found = set()
    for item in place.items(channel):
        if text := item.text("an entry of the suppression list"):
            found.add(entry_of(text))
            if fault := entry_fault(channel, entry_of(text)):
                item.problem(f"{shown(text)} {fault}")
    return frozenset(found)


def _read_care(place: Place, limits: SendLimits) -> None:
    for name, at in _entries(place, "warm_up"):
        if found := read_warm_up(name, at):
            limits.warm_up[name] = found
    for channel, at in _entries(place, "throttle"):
        if _email(channel, at, "slows down by domain"):
            limits.throttled = read_domains(at)
    for channel, at in _entries(place, "health"):
        if _email(channel, at, "has bounces and complaints") and (health := read_health(at, HEALTH["email"])):
            limits.health[channel] = health
        else:
            limits.health.pop(channel, None)
    names = [name.partition("/day")[0] for key in ("rates", "warm_up") for name, _ in _entries(place, key)]
    limits.mail_domains = limits.throttled | {domain_of(name.partition(":")[2]) for name in names if name.startswith("email:")}


def _email(channel: str, place: Place, why: str) -> bool:
    if channel == "email":
        return True
    place.problem(f"only email {why}, not {channel[:60]}")
    return False


def _check_names(place: Place, channels: Collection[str]) -> None:
    """Every entry names a channel that there is: a limit of another one would limit nothing."""
    for key in ("default_consent", "rates", "quiet_hours", "delivery", "suppression", "warm_up"):
        for name, at in _entries(place, key):
            _check_channel(name.partition("/")[0].partition(":")[0], at, channels)
    for item in place.at("caps").items("`caps`") if place.has("caps") else ():
        if item.has("channel") and isinstance(item.raw["channel"], str):
            _check_channel(item.raw["channel"], item.at("channel"), channels)


def _check_channel(channel: str, place: Place, channels: Collection[str]) -> None:
    if channel not in channels:
        place.problem(f'there is no channel "{channel[:60]}"', suggest(channel, channels) or f"there are {', '.join(sorted(channels))}")


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


def _read_quiet(channel: str, place: Place, quiet: dict[str, Quiet]) -> None:
    if place.raw is None or place.raw is False:
        quiet.pop(channel, None)
        return
    if not place.known(("from", "to", "spread"), "quiet hours"):
        return
    if not place.has("from") or not place.has("to"):
        place.problem("quiet hours need `from` and `to`", 'write `{from: "21:00", to: "08:00"}`')
        return
    start, end = place.at("from").taken(parse_clock), place.at("to").taken(parse_clock)
    if start == end:
        quiet.pop(channel, None)  # from is inside, to outside: no time lies between
    else:
        open_ms = (start - end) % DAY_MINUTES * MINUTE_MS
        quiet[channel] = Quiet(start, end, _spread(place, open_ms))


def _spread(place: Place, open_ms: int) -> int:
    """Over how long what was held goes out; no longer than the hours between the quiet ones."""
    if not place.has("spread"):
        return min(SPREAD_MS, open_ms)
    spread_ms = place.at("spread").taken(parse_duration, SPREAD_MS)
    if spread_ms > open_ms:
        place.at("spread").problem("`spread` must not be longer than the time between the quiet hours")
    return spread_ms
