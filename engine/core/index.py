"""The index by address and phone: for each contact the entries under which `Directory.find` finds it.

An entry is `kind NUL value NUL contact`, in a sorted set of the contact's partition: emails in lower case, numbers in E.164. A step that
changes one of the fields that entries are made of says which entries go and which come; all other steps pay nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.core.addresses import email_address, phone_number

KINDS = ("email", "phone")
FIELDS = frozenset({"email", "phone", "country"})  # what entries are made of; a number without a + is read by its country


def value_of(kind: str, raw: Any, region: Any = None) -> str:
    """A value as it stands in the index, "" for what nobody can be found by."""
    return email_address(raw).lower() if kind == "email" else phone_number(raw, region)


def start_of(kind: str, raw: Any) -> str:
    """What every entry of this address or number begins with; "" for what is none."""
    value = value_of(kind, raw) if kind in KINDS else ""
    return f"{kind}\x00{value}\x00" if value else ""


def entries(contact: str, fields: Mapping[str, Any]) -> set[str]:
    """The entries of a contact."""
    found = ((kind, value_of(kind, fields.get(kind), fields.get("country"))) for kind in KINDS)
    return {f"{kind}\x00{value}\x00{contact}" for kind, value in found if value}


def moved(before: set[str], after: set[str]) -> dict[str, bool]:
    """Entry → whether it comes (True) or goes."""
    return {**dict.fromkeys(before - after, False), **dict.fromkeys(after - before, True)}
