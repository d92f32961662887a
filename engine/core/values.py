"""Values of documents: `event.x`, `entry.x` and fields by name, literals, `{value_of: NAME}` and `{now: +30d}`.

A `Getter` takes contact, event at hand, entry and time, and gives the value, None where it is missing. A `Scope` is where
a value stands while the workspace is compiled: it hears of problems and of what is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Any, Protocol

from engine.core.contact import Contact
from engine.core.local_time import iso
from engine.core.names import field_fault, shown
from engine.core.times import parse_offset

Getter = Callable[[Contact, Mapping[str, Any], Mapping[str, Any], int], Any]


class Scope(Protocol):
    """Where values and predicates stand. `read_names` collects the names that they read."""

    zone: tzinfo
    default_consent: Mapping[str, str]
    read_names: set[str]

    def problem(self, message: str, *, key: str = "", remedy: str = "") -> None:
        """Report a problem."""

    def need(self, what: str, name: str, *, key: str = "") -> Mapping[str, Any]:
        """A named thing of the workspace; a missing one is reported."""

    def product(self, name: str, *, key: str = "") -> None:
        """Report a product that is missing, where the workspace lists any: one that lists none may still hear of purchases."""


def getter(name: str, scope: Scope) -> Getter:
    """What takes the value called `name`: `event.x.y`, `entry.x.y` or a contact field (`a.b` looks into a field `a` too)."""
    scope.read_names.add(name)
    source, _, rest = name.partition(".")
    if source in ("event", "entry") and rest:
        return _of_event(rest) if source == "event" else _of_entry(rest)
    if fault := field_fault(name):
        scope.problem(fault, key=name, remedy="read a contact's field, `event.x` or `entry.x`")
    if not rest:
        return lambda contact, event, entry, now: contact.fields.get(name)
    parts = name.split(".")

    def nested(contact: Contact, event: Mapping[str, Any], entry: Mapping[str, Any], now: int) -> Any:
        found = contact.fields.get(name)
        return walk(contact.fields, parts) if found is None else found

    return nested


def _of_event(path: str) -> Getter:
    parts = path.split(".")
    if len(parts) == 1:
        return lambda contact, event, entry, now: event.get(path)
    return lambda contact, event, entry, now: walk(event, parts)


def _of_entry(path: str) -> Getter:
    parts = path.split(".")
    if len(parts) == 1:
        return lambda contact, event, entry, now: entry.get(path)
    return lambda contact, event, entry, now: walk(entry, parts)


def walk(found: Any, parts: list[str]) -> Any:
    """The value behind a path of keys (and indexes of lists), None where it ends before."""
    for part in parts:
        if isinstance(found, dict):
            found = found.get(part)
        elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            return None
    return found


def is_taken(raw: Any) -> bool:
    """Whether a mapping is a value to be taken: `{value_of: …}` or `{now: …}`."""
    return isinstance(raw, dict) and len(raw) == 1 and ("value_of" in raw or "now" in raw)


def taken(raw: Mapping[str, Any], scope: Scope, key: str) -> Getter:
    """The getter of `{value_of: NAME}` (with its type) or `{now: +30d}` (a UTC time as text)."""
    if "value_of" in raw:
        name = raw["value_of"]
        if isinstance(name, str) and name:
            return getter(name, scope)
        scope.problem(f"`value_of` takes a name such as `event.total`, not {shown(name)}", key=key)
        return lambda contact, event, entry, now: None
    offset = 0
    try:
        offset = parse_offset(raw["now"])
    except ValueError as error:
        scope.problem(str(error), key=key)
    return lambda contact, event, entry, now: iso(now + offset)


def literal_or_taken(raw: Any, scope: Scope, key: str) -> Getter:
    """The getter of any value that a document writes."""
    if is_taken(raw):
        return taken(raw, scope, key)
    return lambda contact, event, entry, now: raw
