"""Names: what an id may look like, and the words that cannot be field names because predicates use them."""

from __future__ import annotations

from typing import Any

NAME_CHARS_MAX = 100

OPERATORS = frozenset(
    ["eq", "ne", "gt", "gte", "lt", "lte", "in", "not_in", "contains", "starts_with", "ends_with", "exists", "before", "after", "within_last", "within_next"]
)
_STRUCTURE = frozenset(["all", "any", "not", "tag", "purchased", "in_map", "membership", "consent", "event"])
RESERVED = (OPERATORS - {"before", "after"}) | _STRUCTURE
"""What a predicate cannot test by its bare name. Not `owner`: the owner is kept as the field of that name. Not `before` and `after`: fields are called so."""

_PREFIXES = ("event.", "entry.", "consent.")


def name_fault(raw: Any) -> str:
    """What is wrong with an id of a map, element, list, …; an empty text where nothing is.

    Counters, rows and routes are keyed by `map:element`, so a colon, a slash and control characters cannot stand in one.
    """
    if not isinstance(raw, str):
        return f"must be text, not {shown(raw)}"
    if not raw or raw != raw.strip():
        return "is empty" if not raw.strip() else "begins or ends with a space"
    if len(raw) > NAME_CHARS_MAX:
        return f"is longer than {NAME_CHARS_MAX} characters"
    if not raw.isprintable() or ":" in raw or "/" in raw:
        return "holds a colon, a slash or a control character"
    return ""


def field_fault(raw: Any) -> str:
    """What is wrong with the name of a contact field; an empty text where nothing is."""
    if not isinstance(raw, str):
        return f"a field's name must be text, not {shown(raw)}"
    if not raw or len(raw) > NAME_CHARS_MAX or not raw.isprintable():
        return f"a field's name must have 1 to {NAME_CHARS_MAX} printable characters"
    if raw in RESERVED or raw.startswith(_PREFIXES):
        return f'"{raw}" is a word of the predicates and cannot be a field\'s name'
    return ""


def shown(raw: Any) -> str:
    """A value as a message may show it."""
    if raw is None:
        return "nothing"
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, dict):
        return "a mapping"
    if isinstance(raw, list):
        return "a list"
    text = f'"{raw}"' if isinstance(raw, str) else str(raw)
    return text if len(text) <= 60 else text[:59] + "…"
