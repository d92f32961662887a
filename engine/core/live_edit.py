"""Live edits: contacts of a map with `policy: follow` move to its newest version, by element id, when they are next touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.core.compiled import CompiledMap
from engine.core.contact import AT_GOAL, CALLING, HOLDING, PARKED, RESTING, RUNNING, WAITING, Enrollment
from engine.core.errors import Problem
from engine.core.leaving import rouse

if TYPE_CHECKING:
    from engine.core.turn import CoreTurn

_HOLDERS = {WAITING: ("wait", "end"), AT_GOAL: ("goal",), RESTING: ("end",)}


def target_of(old: CompiledMap, new: CompiledMap, at: int) -> int | None:
    """Where an element of the old version is in the new one, None where it vanished without a mapping."""
    name = old.ids[at]
    return new.index.get(new.moves.get(name, name))


def preview(old: CompiledMap, new: CompiledMap) -> dict[str, str]:
    """Who moves where: element of the old version → element of the new one, "" where it vanished without a mapping."""
    found = {}
    for at, name in enumerate(old.ids):
        target = target_of(old, new, at)
        found[name] = "" if target is None else new.ids[target]
    return found


def check_follow(old: CompiledMap | None, new: CompiledMap, problems: list[Problem]) -> None:
    """Elements that hold contacts and vanished without a mapping refuse the publish."""
    place = f"maps/{new.id}"
    if old is None:
        return
    for name, target in preview(old, new).items():
        if not target and _holds(old, name):
            remedy = f"write `moves: {{{name}: NEW-ID}}`"
            problems.append(Problem(file=place, place=f"{place}: moves", message=f'the element "{name}" vanished, and contacts may stand on it', remedy=remedy))


def _holds(owner: CompiledMap, name: str) -> bool:
    return owner.words[owner.index[name]] in ("wait", "goal", "end", "add_to_automation", "add_to_sequence", "add_to_lead_router")


def follow(turn: CoreTurn) -> None:
    """Move the contact's enrollments to the newest versions that take them along."""
    for enrollment in list(turn.contact.enrollments):
        newest = turn.workspace.maps.get(enrollment.map)
        if newest is not None and newest.follow and newest.version != enrollment.version:
            _move(turn, enrollment, turn.workspace.map_of(enrollment), newest)


def _move(turn: CoreTurn, enrollment: Enrollment, old: CompiledMap, new: CompiledMap) -> None:
    enrollment.version = new.version
    before, after = turn.tally(old), turn.tally(new)
    for position in enrollment.positions:
        was, name = position.at, old.ids[position.at]
        target = target_of(old, new, was)
        before[old.outs[was]] += 1
        position.at = 0 if target is None else target
        after[new.ins[position.at]] += 1
        if target is None:
            turn.park(enrollment, position, f"element vanished: {name}")
            continue
        if turn.journal is not None and new.ids[target] != name:
            turn.tell("moved", enrollment, target, {"reason": f"version {new.version}", "from": name})
        if position.state in (CALLING, HOLDING, PARKED, RUNNING) and new.words[target] == old.words[was]:
            continue
        if new.words[target] not in _HOLDERS.get(position.state, ()) or new.ids[target] != name:
            _arrive(turn, enrollment, position.number)


def _arrive(turn: CoreTurn, enrollment: Enrollment, number: int) -> None:
    """A position came to another element, or its element became something else: it arrives there as if by the path."""
    position = next(position for position in enrollment.positions if position.number == number)
    rouse(turn, enrollment)
    if enrollment.paused_at:
        position.state, position.ref = RUNNING, 0
        turn.stand(position, turn.now_ms)
    else:
        turn.wake(enrollment, position)
