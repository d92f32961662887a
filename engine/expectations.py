"""What a script expects, compared with what happened: every `action` line in order, and contacts as they stand at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.core.comparisons import equal
from engine.core.errors import Problem
from engine.core.names import shown
from engine.core.reading import Place

Line = dict[str, Any]
_LINE_KEYS = ("at", "contact", "map", "element", "action", "detail", "what")
_NOTHING = "nothing"


class Difference(msgspec.Struct, frozen=True):
    """One place where what happened is not what was expected."""

    path: str
    expected: Any
    found: Any

    def __str__(self) -> str:
        return f"{self.path}: expected {_shown(self.expected)}, found {_shown(self.found)}"


def check_expectations(expect: Any, problems: list[Problem]) -> None:
    """Report what is wrong with the expectations themselves: a misspelt key would never differ."""
    place = Place(expect, problems, path="expect")
    if expect is None or not place.known(("actions", "contacts"), "`expect`"):
        return
    for item in place.at("actions").items("`actions`") if place.has("actions") else ():
        item.known(_LINE_KEYS, "an expected action")
    if not place.has("contacts"):
        return
    contacts = place.at("contacts")
    if not isinstance(contacts.raw, Mapping):
        contacts.problem(f"`contacts` must be a mapping by contact, not {shown(contacts.raw)}")
        return
    for contact in contacts.raw:
        one = contacts.at(contact)
        if one.known(("tags", "fields", "positions"), "an expected contact"):
            _check_contact(one)


def _check_contact(place: Place) -> None:
    if place.has("tags"):
        _check_texts(place.at("tags"), "`tags`", "a tag")
    for key in ("fields", "positions"):
        if place.has(key) and not isinstance(place.raw[key], Mapping):
            place.at(key).problem(f"`{key}` must be a mapping, not {shown(place.raw[key])}")
        elif key == "positions" and place.has(key):
            for map_id in place.raw[key]:
                _check_texts(place.at(key).at(map_id), "the positions in a map", "the id of an element")


def _check_texts(place: Place, what: str, item_is: str) -> None:
    for item in place.items(what):
        item.text(item_is)


def differences(expect: Any, lines: list[Line]) -> list[Difference]:
    """Where what happened differs; only what is written is compared."""
    if not expect:
        return []
    found = _actions(expect["actions"] or [], lines) if "actions" in expect else []
    contacts = {line["contact"]: line for line in lines if line["what"] == "contact"}
    for name, wanted in (expect.get("contacts") or {}).items():
        found += _contact(f"contacts.{name}", wanted or {}, contacts.get(name) or {"fields": {}, "tags": [], "enrollments": []})
    return found


def _actions(wanted: list[Line], lines: list[Line]) -> list[Difference]:
    happened = [line for line in lines if line["what"] == "action"]
    found = []
    for index in range(max(len(wanted), len(happened))):
        path = f"actions[{index}]"
        if index >= len(wanted):
            found.append(Difference(path, _NOTHING, _brief(happened[index])))
        elif index >= len(happened):
            found.append(Difference(path, wanted[index], _NOTHING))
        else:
            found += _inside(path, wanted[index], happened[index])
    return found


def _inside(path: str, wanted: Any, happened: Any) -> list[Difference]:
    """Mappings are compared key by key, only those written; everything else as a whole."""
    if isinstance(wanted, Mapping) and isinstance(happened, Mapping):
        return [one for key, value in wanted.items() for one in _inside(f"{path}.{key}", value, happened.get(key))]
    if equal(wanted, happened) or (wanted is None and happened is None):
        return []
    if path.endswith(".map") and happened == f"sequence:{wanted}":
        return []
    return [Difference(path, wanted, _NOTHING if happened is None else happened)]


def _contact(path: str, wanted: Mapping[str, Any], line: Line) -> list[Difference]:
    found = []
    if "tags" in wanted and {*(wanted["tags"] or [])} != {*line["tags"]}:
        found.append(Difference(f"{path}.tags", wanted["tags"], line["tags"]))
    for name, value in (wanted.get("fields") or {}).items():
        found += _inside(f"{path}.fields.{name}", value, line["fields"].get(name))
    if "positions" in wanted:
        happened: dict[str, list[str]] = {}
        for enrollment in line["enrollments"]:
            happened.setdefault(enrollment["map"], []).extend(enrollment["positions"])
        expected = {_named(name, happened): sorted(places) for name, places in (wanted["positions"] or {}).items() if places}
        if expected != {name: sorted(places) for name, places in happened.items()}:
            found.append(Difference(f"{path}.positions", wanted["positions"], happened))
    return found


def _named(name: str, happened: Mapping[str, Any]) -> str:
    """A sequence may be called by its id alone."""
    return f"sequence:{name}" if name not in happened and f"sequence:{name}" in happened else name


def _brief(line: Line) -> Line:
    return {key: line[key] for key in ("at", "contact", "map", "element", "action") if key in line}


def _shown(value: Any) -> str:
    return value if value == _NOTHING else msgspec.json.encode(value).decode()
