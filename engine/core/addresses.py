"""Addresses and numbers: what an email address and a phone number look like when something is sent to them, "" for what is none.

The same reading serves sending and looking up, so an answer that comes from a number finds the contact that was written to.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import phonenumbers

ADDRESS_CHARS_MAX = 320

_EMAIL = re.compile(r"[^\s@<>,;:\"()\[\]\\\x00-\x1f\x7f]+@[^\s@<>,;:\"()\\\x00-\x1f\x7f]+")


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
