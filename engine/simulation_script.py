"""Simulation scripts: what a script says becomes records with their times; what is wrong with it is reported all at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any

import msgspec

from engine.core import outcomes
from engine.core.errors import InvalidDocument, Problem
from engine.core.guard import STATUSES
from engine.core.local_time import instant
from engine.core.names import field_fault, shown
from engine.core.reading import Place
from engine.core.records import Command, Event, Outcome, Update
from engine.core.site import plain
from engine.core.times import parse_duration

SECTIONS = ("maps", "sequences", "templates", "products", "team", "routers", "fulfillment", "limits", "providers")
KEYS = ("title", "description", "workspace", "start", "until", "script", "expect", *SECTIONS)
START = "2026-01-05T09:00:00Z"
UNTIL = "30d"
_START_MS_MAX = 221_845_392_000_000  # the year 9000: every duration ends within what calendars have
_VERBS = ("add_to", "remove_from", "pause", "unpause")

Scripted = Event | Update | Command | Outcome


class Entry(msgspec.Struct):
    """One line of the script: a record, and when it comes (epoch ms). `line` says where it stands."""

    at_ms: int
    record: Scripted
    place: Place


class Script(msgspec.Struct, kw_only=True):
    """A script that was read. `entries` are in order of time."""

    documents: dict[str, Any]
    start_ms: int
    until_ms: int
    entries: list[Entry]
    expect: Any = None


def read_script(raw: Mapping[str, Any], read_workspace: Callable[[str], Mapping[str, Any]]) -> Script:
    """The script of a document; InvalidDocument with every problem. `read_workspace` reads the folder that it names."""
    problems: list[Problem] = []
    place = Place(raw, problems, path="script")
    if not place.known(KEYS, "a script"):
        raise InvalidDocument(problems)
    documents: dict[str, Any] = {}
    if place.has("workspace"):
        folder = place.at("workspace").text("`workspace`")
        documents = dict(read_workspace(folder)) if folder else {}
    documents.update({section: raw[section] for section in SECTIONS if section in raw})
    start = instant(raw.get("start", START), UTC)
    if start is None:
        place.at("start").problem(f"`start` must be a time such as {START}, not {shown(raw['start'])}")
    elif not 0 < start < _START_MS_MAX:
        place.at("start").problem("`start` must lie after 1970 and before 9000")
    until = place.at("until").taken(parse_duration) if place.has("until") else parse_duration(UNTIL)
    reader = _Entries(start or 0)
    entries = [entry for item in place.at("script").items("`script`") if (entry := reader.entry(item))] if place.has("script") else []
    if problems:
        raise InvalidDocument(problems)
    assert start is not None
    return Script(documents=documents, start_ms=start, until_ms=start + until, entries=sorted(entries, key=lambda entry: entry.at_ms), expect=raw.get("expect"))


class _Entries:
    """Reads the entries of a script that begins at `start` (epoch ms)."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.words: dict[str, tuple[tuple[str, ...], Callable[[Place, str, str], Scripted | None]]] = {
            "event": (("data", "time"), self.event),
            "update": ((), self.update),
            "command": ((), self.command),
            "outcome": ((), self.outcome),
        }

    def entry(self, place: Place) -> Entry | None:
        if not isinstance(place.raw, dict):
            place.problem(f"an entry must be a mapping such as `{{at: 0s, contact: ann, event: signup}}`, not {shown(place.raw)}")
            return None
        found = [word for word in self.words if word in place.raw]
        if len(found) != 1:
            place.problem("an entry has one of event, update, command, outcome" + (f", and this one has {' and '.join(found)}" if found else ""))
            return None
        also, read = self.words[found[0]]
        place.known(("at", "contact", "id", found[0], *also), "an entry")
        contact = self._text(place, "contact")
        at = place.at("at").taken(parse_duration) if place.has("at") else 0
        if not place.has("at"):
            place.problem("the entry does not say when it comes", "write `at: 0s`")
        record = read(place, contact, place.at("id").text("`id`") if place.has("id") else "")
        return Entry(self.start + at, record, place) if record is not None else None

    def _text(self, place: Place, key: str) -> str:
        if place.has(key):
            return place.at(key).text(f"`{key}`")
        place.problem(f"`{key}` is missing", f"write `{key}: …`")
        return ""

    def event(self, place: Place, contact: str, record_id: str) -> Scripted | None:
        data = _mapping(place, "data")
        time = instant(place.raw["time"], UTC) if place.has("time") else None
        if place.has("time") and time is None:
            place.at("time").problem(f"`time` must be a time such as {START}, not {shown(place.raw['time'])}")
        return Event(contact, self._text(place, "event"), data, record_id, time)

    def update(self, place: Place, contact: str, record_id: str) -> Scripted | None:
        inner = place.at("update")
        if not inner.known(("fields", "tags", "consent", "timezone"), "an update"):
            return None
        fields, consent = _mapping(inner, "fields"), _mapping(inner, "consent")
        for name in fields:
            if fault := field_fault(name):
                inner.at("fields").at(name).problem(fault)
        if inner.has("timezone"):
            fields["timezone"] = inner.at("timezone").text("`timezone`")
        for channel in consent:
            inner.at("consent").at(channel).one_of(STATUSES, f"the consent of {channel}")
        tags = inner.at("tags") if inner.has("tags") else Place({}, place.problems, path=place.path)
        tags.known(("add", "remove"), "`tags`")
        return Update(contact, fields, _texts(tags, "add"), _texts(tags, "remove"), consent, record_id)

    def command(self, place: Place, contact: str, record_id: str) -> Scripted | None:
        inner = place.at("command")
        if not inner.known(_VERBS, "a command"):
            return None
        if len(inner.raw) != 1:
            inner.problem("a command is one of add_to, remove_from, pause, unpause")
            return None
        verb = next(iter(inner.raw))
        return Command(contact, verb, self._text(inner, verb), record_id)

    def outcome(self, place: Place, contact: str, record_id: str) -> Scripted | None:
        inner = place.at("outcome")
        if not isinstance(inner.raw, dict):
            inner.problem(f"an outcome must be a mapping such as `{{action: send_sms, status: rejected}}`, not {shown(inner.raw)}")
            return None
        action = self._text(inner, "action")
        known = {"action", "status", "reason", "outcome"}
        data = {key: plain(value) for key, value in inner.raw.items() if key not in known or key == "outcome"}
        status = inner.at("status").text("`status`") if inner.has("status") else ""
        if action != "assign_task":
            if not inner.has("status"):
                inner.problem("the outcome has no `status`", f"write `status: rejected`, or one of {', '.join(outcomes.STATUSES)}")
            elif status:
                inner.at("status").one_of(outcomes.STATUSES, "`status`")
        reason = inner.at("reason").text("`reason`") if inner.has("reason") else ""
        return Outcome(contact, "", action, status, reason, data=data)


def _mapping(place: Place, key: str) -> dict[str, Any]:
    raw = place.raw.get(key)
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        place.at(key).problem(f"`{key}` must be a mapping, not {shown(raw)}")
        return {}
    found: dict[str, Any] = plain(raw)
    return found


def _texts(place: Place, key: str) -> list[str]:
    return [text for item in place.at(key).items(f"`{key}`") if (text := item.text("a tag"))] if place.has(key) else []
