"""What an event does to the positions that stand there: `exit_on` ends, goals take, waits let go. A position moves once for an event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.core.compiled import CompiledMap, GoalRule, Listeners, WaitRule
from engine.core.contact import AT_GOAL, CALLING, RUNNING, WAITING, Enrollment, Position
from engine.core.leaving import drop, end, remove_child, rouse, withdraw

if TYPE_CHECKING:
    from engine.core.turn import CoreTurn

NOTHING: dict[str, Any] = {}


def hear(turn: CoreTurn, heard: list[tuple[Enrollment, CompiledMap, Listeners]], name: str, data: Mapping[str, Any]) -> set[int]:
    """Apply an event to enrollments that listen to it; the numbers of those in which something moved. Paused ones keep it."""
    moved: set[int] = set()
    once: set[int] = set()  # by identity: equal positions are not the same one
    awake = []
    for item in heard:
        if item[0].paused_at:
            _keep(turn, *item, name, data)
        elif not _exits(turn, *item, name, data):
            awake.append(item)
    for enrollment, owner, listeners in awake:
        for goal in listeners.goals:
            if (
                enrollment.positions
                and goal.test(turn.contact, data, _entry(enrollment), turn.now_ms)
                and _meet(turn, enrollment, owner, goal, name, data, once)
            ):
                moved.add(enrollment.number)
    for enrollment, owner, listeners in awake:
        for wait in listeners.waits.values():
            if _answer(turn, enrollment, owner, wait, name, data, once):
                moved.add(enrollment.number)
    return moved


def _keep(turn: CoreTurn, enrollment: Enrollment, owner: CompiledMap, listeners: Listeners, name: str, data: Mapping[str, Any]) -> None:
    """Keep an event to which the map of a paused enrollment would listen now."""
    if not any(test(turn.contact, data, _entry(enrollment), turn.now_ms) for test in listeners.tests()):
        return
    if len(enrollment.kept) >= turn.workspace.bounds.kept_events_max:
        turn.changes.count(f"{owner.ignored}kept_events_max")
        turn.tell("ignored", enrollment, enrollment.positions[0].at, {"event": name, "reason": "kept_events_max"})
        return
    enrollment.kept.append((turn.now_ms, name, owner.project(data) or {}))


def _entry(enrollment: Enrollment) -> Mapping[str, Any]:
    entry = enrollment.entry
    return (enrollment.event if entry is None else entry) or NOTHING


def _exits(turn: CoreTurn, enrollment: Enrollment, owner: CompiledMap, listeners: Listeners, name: str, data: Mapping[str, Any]) -> bool:
    """`exit_on`: the enrollment ends, wherever its positions are."""
    for test in listeners.exits:
        if enrollment.positions and test(turn.contact, data, _entry(enrollment), turn.now_ms):
            turn.tell("exited", enrollment, enrollment.positions[0].at, {"reason": f"exit_on {name}"})
            withdraw(turn, enrollment, [entry[0] for entry in enrollment.sent])
            end(turn, enrollment, "exited")
            return True
    return False


def _meet(turn: CoreTurn, enrollment: Enrollment, owner: CompiledMap, goal: GoalRule, name: str, data: Mapping[str, Any], once: set[int]) -> bool:
    """A goal is met: what stands upstream or waits at it moves on below it, as one position."""
    taken = [position for position in enrollment.positions if _stands(position, goal) and id(position) not in once]
    if not taken:
        return False
    first = taken[0]
    rouse(turn, enrollment)
    if turn.journal is not None:
        detail = {"event": name, "from": [owner.ids[position.at] for position in taken]}
        turn.journal("goal", owner.id, owner.ids[goal.at], detail)
    others = [position for position in enrollment.positions if position.at in goal.siblings and _waits_at_goal(position)]
    numbers = [position.number for position in taken + others]
    calls = [(position.number, position.ref) for position in taken if position.state == CALLING]
    for position in taken[1:]:
        drop(turn, enrollment, position)
    for position in others:
        if position.at != goal.at and all(position is not other for other in taken):
            turn.tell("exited", enrollment, position.at, {"reason": f"{owner.ids[goal.at]} was met first"})
            drop(turn, enrollment, position)
    withdraw(turn, enrollment, numbers)
    replace_event(turn, enrollment, owner, data)
    once.add(id(first))
    tally = turn.tally(owner)
    tally[owner.ins[goal.at]] += 1
    tally[owner.outs[goal.at]] += 1
    turn.go(enrollment, first, goal.next)
    for number, child in calls:
        remove_child(turn, enrollment, number, child)
    return True


def _stands(position: Position, goal: GoalRule) -> bool:
    return position.at in goal.upstream or position.at == goal.at


def _waits_at_goal(position: Position) -> bool:
    return position.state in (AT_GOAL, RUNNING)


def _answer(turn: CoreTurn, enrollment: Enrollment, owner: CompiledMap, wait: WaitRule, name: str, data: Mapping[str, Any], once: set[int]) -> bool:
    """A wait for an event lets its positions go on, with that event at hand."""
    answered = False
    for position in enrollment.positions:
        if position.at != wait.at or position.state != WAITING or id(position) in once:
            continue
        if wait.task and (data.get("element") != wait.task or data.get("enrollment") != enrollment.number):
            continue
        if not wait.test(turn.contact, data, _entry(enrollment), turn.now_ms):
            continue
        turn.tell("moved", enrollment, position.at, {"reason": f"event {name}"})
        replace_event(turn, enrollment, owner, data)
        once.add(id(position))
        turn.go(enrollment, position, wait.then)
        answered = True
    return answered


def replace_event(turn: CoreTurn, enrollment: Enrollment, owner: CompiledMap, data: Mapping[str, Any]) -> None:
    """The event at hand is another one now; `entry` stays what started the enrollment."""
    if owner.reads_entry and enrollment.entry is None:
        enrollment.entry = enrollment.event or {}
    enrollment.event = owner.project(data)
    if enrollment is turn.enrollment:
        turn.event = enrollment.event or NOTHING
        turn.entry = _entry(enrollment)
