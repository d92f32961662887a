"""The suppression list: addresses, numbers and whole domains to which nothing is sent, whatever a contact's consent says.

It is asked where an effect is decided, and by the pool once more with the newest list, since that may have been published in between.
"""

from __future__ import annotations

import re

from engine.core.addresses import email_address, phone_number
from engine.core.sender_care import is_domain

_E164 = re.compile(r"\+[1-9]\d{6,14}")


def entry_of(text: str) -> str:
    """An entry, or an address that is sent to, as they are compared: `Ann <Ann@Example.com>` as `ann@example.com`, `@example.com` as `example.com`."""
    text = text.rpartition("<")[2].partition(">")[0].strip().lower().removeprefix("@").rstrip(".")
    if "@" in text or _E164.fullmatch(text) or any(map(str.isalpha, text)):
        return text
    return phone_number(text) or text


def entry_fault(channel: str, entry: str) -> str:
    """What is wrong with an entry that would never hold anything back; "" where nothing is."""
    if channel == "sms" and not _E164.fullmatch(entry):
        return "is not a number such as +12025550123"
    if channel == "email" and not (email_address(entry) if "@" in entry else is_domain(entry)):
        return "is neither an address nor a domain such as @example.com"
    return ""


def is_suppressed(entries: frozenset[str], to: str) -> bool:
    """Whether this address, number, or the domain of this address is listed. A domain does not mean those below it."""
    entry = entry_of(to)
    return entry in entries or entry.rpartition("@")[2] in entries
