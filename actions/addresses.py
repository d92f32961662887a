"""Where messages go: a contact's own address or number, and what `to` of a notice means (owner, user:ID, an address).

What cannot be reached gives an empty text, and the effect is then suppressed with a reason, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import phonenumbers

from engine.core.action_kind import Site, Turn

NO_EMAIL = "no email address"
NO_PHONE = "no valid phone number"
ADDRESS_CHARS_MAX = 320

_EMAIL = re.compile(r"[^\s@<>,;:\"()\[\]\\\x00-\x1f\x7f]+@[^\s@<>,;:\"()\\\x00-\x1f\x7f]+")
To = Callable[[Turn], str]


def email_address(raw: Any) -> str:
    """An email address as it is sent to, "" where this is none. Only what would break a message is refused."""
    text = raw.strip() if isinstance(raw, str) else ""
    return text if len(text) <= ADDRESS_CHARS_MAX and _EMAIL.fullmatch(text) else ""


def phone_number(raw: Any, region: Any = None) -> str:
    """A number in E.164, "" where it is none. `region` is the two letters of a country, for numbers without a `+`."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        raw = f"+{raw}"
    if not isinstance(raw, str) or len(raw) > 40:
        return ""
    return _e164(raw, region.upper() if isinstance(region, str) and len(region) == 2 else None)


@lru_cache(maxsize=10_000)
def _e164(text: str, region: str | None) -> str:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if phonenumbers.is_possible_number(number) else ""


def email_of_contact(turn: Turn) -> str:
    """The contact's own address."""
    return email_address(turn.contact.fields.get("email"))


def phone_of_contact(turn: Turn) -> str:
    """The contact's own number."""
    fields = turn.contact.fields
    return phone_number(fields.get("phone"), fields.get("country"))


def notice_to(site: Site, to: str, what: str) -> To:
    """Who is told: `what` is email or phone, `to` the owner, `user:ID`, or an address or number (which may hold merge fields)."""
    read = email_address if what == "email" else phone_number
    if to == "owner":
        address = site.text(f"{{{{ owner.{what} }}}}", key="to")
        return lambda turn: read(address(turn))
    if to.startswith("user:"):
        member = site.need("team", to.removeprefix("user:"), key="to")
        found = read(member.get(what))
        if member and not found:
            site.problem(f'"{to}" has no {what} that can be used in team.yaml', key="to", remedy=f"write `{what}:` beside the name")
        return lambda _: found
    if "{{" not in to and not read(to):
        site.problem(f'"{to[:60]}" is neither owner, nor user:ID, nor {"an address" if what == "email" else "a number such as +12025550123"}', key="to")
    text = site.text(to, key="to")
    return lambda turn: read(text(turn))
