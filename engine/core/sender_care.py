"""How limits.yaml takes care of a sender's good name: warm-up tables, domains that throttle themselves, and the rates at which sending pauses.

This is their reading; pools act on them (actions/limits.py, actions/throttle.py, actions/health.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import msgspec

from engine.core.names import shown
from engine.core.reading import Place
from engine.core.times import parse_duration

WARM_UP_DAYS_MAX = 366
WINDOW_MS_MAX = 7 * 24 * 3_600_000
HEALTH_KEYS = ("bounces", "complaints", "window", "least", "holds")

_DOMAIN = re.compile(r"[^\s@:/|<>]+\.[^\s@:/|<>.]+")
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)\s*%")


class WarmUp(msgspec.Struct, frozen=True):
    """A table of allowances by calendar day: `days[0]` on `start` (and before it), `days[1]` the day after; none when it is over."""

    start: str
    days: tuple[int, ...]

    def allowance(self, day: str) -> int | None:
        """What may be sent on a day such as 2026-12-01; None: the table says nothing any more."""
        passed = (date.fromisoformat(day) - date.fromisoformat(self.start)).days
        return self.days[max(0, passed)] if passed < len(self.days) else None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """When a channel pauses itself: shares of what was sent within a window, once `least` were sent. `everything`: transactional mail stops too.

    The defaults are those at which Amazon SES says that it may pause an account.
    """

    bounces: float = 0.10
    complaints: float = 0.005
    window_ms: int = 3_600_000
    least: int = 500
    everything: bool = False


HEALTH = {"email": Health()}


def domain_of(to: str) -> str:
    """The domain of an email address, as limits.yaml names it."""
    return to.rpartition("@")[2].lower().rstrip(".")


def is_domain(text: str) -> bool:
    """Whether this looks like the domain of an email address."""
    return _DOMAIN.fullmatch(text) is not None


def read_warm_up(name: str, place: Place) -> WarmUp | None:
    """`{start: 2026-12-01, days: [50, 100, 500]}`."""
    if not place.known(("start", "days"), f"the warm-up of {name}"):
        return None
    if not place.has("start") or not place.has("days"):
        place.problem(f"the warm-up of {name} needs `start` and `days`", "write `{start: 2026-12-01, days: [50, 100, 500]}`")
        return None
    start = _day(place.at("start"))
    days = tuple(_allowances(place.at("days")))
    return WarmUp(start, days) if start and days else None


def _day(place: Place) -> str:
    try:
        return date.fromisoformat(str(place.raw)).isoformat()
    except ValueError:
        place.problem(f"{shown(place.raw)} is not a date such as 2026-12-01")
        return ""


def _allowances(place: Place) -> Iterator[int]:
    if isinstance(place.raw, list) and not 1 <= len(place.raw) <= WARM_UP_DAYS_MAX:
        place.problem(f"`days` has {len(place.raw)} days; it must have 1 to {WARM_UP_DAYS_MAX}")
        return
    for item in place.items("`days`"):
        if isinstance(item.raw, int) and not isinstance(item.raw, bool) and item.raw >= 0:
            yield item.raw
        else:
            item.problem(f"a day's allowance must be a whole number, not {shown(item.raw)}")


def read_domains(place: Place) -> frozenset[str]:
    """The domains that throttle themselves."""
    found = set()
    for item in place.items("`throttle`"):
        text = item.text("a domain")
        if text and not is_domain(text):
            item.problem(f"{shown(text)} is not a domain such as gmail.com")
        elif text:
            found.add(domain_of(text))
    return frozenset(found)


def read_health(place: Place, otherwise: Health) -> Health | None:
    """`{bounces: 10%, complaints: 0.5%, window: 1h, least: 500, holds: promotional}`; None (nothing, or false): the channel never pauses itself."""
    if place.raw is None or place.raw is False:
        return None
    if not place.known(HEALTH_KEYS, "health"):
        return otherwise
    window_ms = place.at("window").taken(parse_duration, otherwise.window_ms) if place.has("window") else otherwise.window_ms
    if not 60_000 <= window_ms <= WINDOW_MS_MAX:
        place.at("window").problem("the window must be 1m to 7d")
    return Health(
        bounces=_share(place, "bounces", otherwise.bounces),
        complaints=_share(place, "complaints", otherwise.complaints),
        window_ms=window_ms,
        least=_least(place, otherwise.least),
        everything=place.has("holds") and place.at("holds").one_of(("promotional", "everything"), "`holds`") == "everything",
    )


def _share(place: Place, key: str, otherwise: float) -> float:
    if not place.has(key):
        return otherwise
    raw: Any = place.raw[key]
    found = _SHARE.fullmatch(raw) if isinstance(raw, str) else None
    if found is None or not 0 < float(found[1]) <= 100:
        place.at(key).problem(f"`{key}` must be a share of what was sent, not {shown(raw)}", "write `5%`")
        return otherwise
    return float(found[1]) / 100


def _least(place: Place, otherwise: int) -> int:
    if not place.has("least"):
        return otherwise
    raw = place.raw["least"]
    if isinstance(raw, int) and not isinstance(raw, bool) and raw >= 1:
        return raw
    place.at("least").problem(f"`least` must be a whole number of at least 1, not {shown(raw)}")
    return otherwise
