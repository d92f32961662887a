"""Documents of maps and sequences become trees of elements, each problem with its file, line, place and remedy.

Reading goes on after a problem; whoever compiles stops if one was found. What needs the whole graph is in lint.py, what
needs the workspace (templates, products, other maps) is checked when the actions are prepared.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from engine.core.automation_map import AutomationMap, Element, Sequence, Trigger
from engine.core.documents import DEPTH_MAX
from engine.core.errors import Problem
from engine.core.parse_elements import Elements, close, name_elements
from engine.core.parse_triggers import read_trigger
from engine.core.reading import Place
from engine.core.times import parse_duration

__all__ = ["parse_duration", "parse_map", "parse_sequence"]

REENTRY = ("never", "after_end", "restart", "parallel")
_MAP_KEYS = ("map", "title", "reentry", "per", "cooldown", "triggers", "exit_on", "on_pause", "policy", "moves", "path")
_SEQUENCE_KEYS = ("sequence", "title", "unsubscribe_after_last_step", "policy", "moves", "steps")


def parse_map(doc: Mapping[str, Any], problems: list[Problem], kinds: Collection[str]) -> AutomationMap | None:
    """The tree of a map's document; None where it has no usable id. `kinds` are the names of the actions."""
    place = _document(doc, problems, "map", _MAP_KEYS)
    if place is None:
        return None
    found = AutomationMap(id=doc["map"], title=_title(place), file=place.file, line=place.line)
    found.triggers = _triggers(place, "triggers", found.id)
    found.exit_on = _triggers(place, "exit_on", found.id)
    if not any(trigger.kind == "added" and _is_own(trigger, found.id) for trigger in found.triggers):
        found.triggers.append(Trigger(kind="added", event="added", where={"event.map": found.id}, line=place.line))
    if place.has("reentry"):
        found.reentry = place.at("reentry").one_of(REENTRY, "`reentry`") or found.reentry
    if place.has("per"):
        found.per = place.at("per").text("`per`")
    if place.has("cooldown"):
        found.cooldown_ms = place.at("cooldown").taken(parse_duration)
    if place.has("on_pause"):
        found.stop_clock = bool(place.at("on_pause").one_of(("stop_clock",), "`on_pause`"))
    _live_edits(place, found)
    if place.has("path"):
        found.path = _closed(Elements(kinds, found.id).path(place.at("path")), place)
    else:
        place.problem("the map has no path", "write `path:` with a list of elements")
    return found


def parse_sequence(doc: Mapping[str, Any], problems: list[Problem], kinds: Collection[str]) -> tuple[AutomationMap, Sequence] | None:
    """A sequence as the map `sequence:ID`, and what it says beyond that.

    With `unsubscribe_after_last_step` the path ends in an exit; without it the last element is an `end` that never counts as rest.
    """
    place = _document(doc, problems, "sequence", _SEQUENCE_KEYS)
    if place is None:
        return None
    sequence = Sequence(id=doc["sequence"])
    if place.has("unsubscribe_after_last_step"):
        sequence.unsubscribe_after_last_step = place.at("unsubscribe_after_last_step").flag("`unsubscribe_after_last_step`")
    found = AutomationMap(id=f"sequence:{sequence.id}", title=_title(place), file=place.file, line=place.line)
    found.triggers = [Trigger(kind="added", event="added", where={"event.map": found.id}, line=place.line)]
    _live_edits(place, found)
    if not place.has("steps"):
        place.problem("the sequence has no steps", "write `steps:` with a list such as `- {after: 2d, send_email: {template: tip}}`")
    elements = Elements(kinds, found.id).steps(place.at("steps"), leaves=sequence.unsubscribe_after_last_step)
    found.path = _closed(elements, place)
    return found, sequence


def _document(doc: Mapping[str, Any], problems: list[Problem], what: str, keys: Collection[str]) -> Place | None:
    """The place of a whole document whose id, depth and keys were checked."""
    named = doc.get(what) if isinstance(doc, dict) else None
    place = Place(doc, problems, path=f"{what}s/{named}:" if isinstance(named, str) else f"a {what}")
    if isinstance(doc, dict) and _too_deep(doc):
        place.problem(f"nested deeper than {DEPTH_MAX} levels")
        return None
    if not place.known(keys, f"a {what}"):
        return None
    if what not in doc:
        place.problem(f"the document does not say which {what} it is", f"write `{what}: ID`")
        return None
    return place if place.at(what).name(f"the {what}'s id") else None


def _too_deep(raw: Any) -> bool:
    """Whether a document of plain data (a JSON body) is nested too deep for the readers, which recurse."""
    level = [raw]
    for _ in range(DEPTH_MAX):
        level = [item for node in level if isinstance(node, dict | list) for item in (node.values() if isinstance(node, dict) else node)]
        if not level:
            return False
    return True


def _title(place: Place) -> str:
    return place.at("title").text("`title`") if place.has("title") else ""


def _triggers(place: Place, key: str, map_id: str) -> list[Trigger]:
    found = [read_trigger(item, map_id, go=key == "triggers") for item in place.at(key).items(f"`{key}`")]
    return [trigger for trigger in found if trigger is not None]


def _is_own(trigger: Trigger, map_id: str) -> bool:
    """Whether an `added` trigger is this map's own, not one that listens to another map."""
    tests = trigger.where.get("all", [trigger.where])[0]
    return bool(tests.get("event.map") == map_id)


def _live_edits(place: Place, found: AutomationMap) -> None:
    if place.has("policy"):
        found.follow = place.at("policy").one_of(("pin", "follow"), "`policy`") == "follow"
    if place.has("moves"):
        moves = place.at("moves")
        if isinstance(moves.raw, dict):
            found.moves = {str(old): moves.at(old).name("the new element") for old in moves.raw}
        else:
            moves.problem("`moves` must be a mapping such as `{old-id: new-id}`")


def _closed(elements: list[Element], place: Place) -> list[Element]:
    close(elements, place.line)
    name_elements(elements)
    return elements
