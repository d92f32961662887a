"""Tasks: what team members are asked to do. A task hangs on its contact until it is completed, long after the position moved on.

Completing runs the actions of the outcome that was chosen, at the element that assigned the task, then fires `task.completed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.core.action_kind import Act
from engine.core.contact import Enrollment, Position, Task
from engine.core.effects import Row, effect_id

if TYPE_CHECKING:
    from engine.core.turn import CoreTurn

TABLE = "tasks"


def assign(turn: CoreTurn, due_ms: int, row: Mapping[str, Any]) -> str:
    """Open a task of the element at hand; its id, which is made as an effect's is."""
    contact, enrollment, owner = turn.contact, turn.enrollment, turn.map
    task_id = effect_id(contact.id, contact.born, enrollment.number, enrollment.hops, turn.ordinal)
    turn.ordinal += 1
    element = owner.ids[turn.position.at]
    task = Task(task_id, enrollment.number, owner.id, owner.version, element, turn.now_ms, due_ms, enrollment.event, enrollment.entry)
    contact.tasks.append(task)
    enrollment.outcomes.pop(element, None)
    place = {"contact": contact.id, "map": owner.id, "element": element, "enrollment": enrollment.number}
    turn.row(TABLE, task_id, {**row, **place, "assigned_ms": turn.now_ms, "due_ms": due_ms})
    return task_id


def complete(turn: CoreTurn, task_id: str, outcome: str) -> None:
    """Complete a task ("" for the oldest open one). Nothing happens where it is not open, or has no such outcome."""
    contact = turn.contact
    task = next((task for task in contact.tasks if task.id == task_id or not task_id), None)
    if task is None:
        return
    owner = turn.workspace.map_version(task.map, task.version)
    at = owner.index.get(task.element, 0) if owner is not None else 0
    declared = owner.outcomes.get(at) if owner is not None else None
    if declared and outcome not in declared:
        if turn.journal is not None:
            turn.journal("ignored", task.map, task.element, {"reason": f'the task has no outcome "{outcome}"'})
        return
    contact.tasks = [other for other in contact.tasks if other is not task]
    turn.changes.rows.append(Row(TABLE, task.id, None))
    # The enrollment may be over: the actions get a number of their own, so that their effects have ids of their own.
    contact.enrolled += 1
    if owner is not None and declared:
        ghost = Enrollment(contact.enrolled, task.map, task.version, [Position(0, at)], event=task.event, entry=task.entry)
        _act(turn, ghost, declared[outcome])
    for enrollment in contact.enrollments:
        if enrollment.number == task.enrollment and task.element in turn.workspace.map_of(enrollment).task_waits:
            enrollment.outcomes[task.element] = outcome
    data = {"task": task.id, "map": task.map, "element": task.element, "enrollment": task.enrollment, "outcome": outcome}
    turn.fire("task.completed", data)


def _act(turn: CoreTurn, ghost: Enrollment, act: Act) -> None:
    turn.enrollment = ghost
    turn.position = ghost.positions[0]
    turn.map = turn.workspace.map_of(ghost)
    turn.event = ghost.event or {}
    turn.entry = turn.event if ghost.entry is None else ghost.entry
    turn.ordinal = 0
    turn.kind_channel = ""
    turn.halted = False
    act(turn)
