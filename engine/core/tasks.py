"""Tasks: what team members are asked to do. A task hangs on its contact until it is completed, long after the position moved on.

Completing runs the actions of the outcome that was chosen, at the element that assigned the task, then fires `task.completed`. A task with a
due time reminds before it and fires `task.overdue` when it has come; both end when it is completed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.core.action_kind import Act, Turn
from engine.core.contact import Contact, Enrollment, Position, Task
from engine.core.effects import Row, effect_id
from engine.core.errors import WayfareError

if TYPE_CHECKING:
    from engine.core.turn import CoreTurn

TABLE = "tasks"


def assign(turn: CoreTurn, due_ms: int, row: Mapping[str, Any], remind_ms: Sequence[int]) -> str:
    """Open a task of the element at hand; its id, which is made as an effect's is. A reminder whose time is past already is left out."""
    contact, enrollment, owner = turn.contact, turn.enrollment, turn.map
    task_id = effect_id(contact.id, contact.born, enrollment.number, enrollment.hops, turn.ordinal)
    turn.ordinal += 1
    element = owner.ids[turn.position.at]
    task = Task(task_id, enrollment.number, owner.id, owner.version, element, turn.now_ms, due_ms, enrollment.event, enrollment.entry)
    task.nested = not turn.position.number
    if due_ms:
        contact.armed += 1
        task.armed = contact.armed
        task.alarms = [*sorted({due_ms - before for before in remind_ms if due_ms > due_ms - before > turn.now_ms}), due_ms]
    contact.tasks.append(task)
    enrollment.outcomes.pop(element, None)
    place = {"contact": contact.id, "map": owner.id, "element": element, "enrollment": enrollment.number}
    turn.row(TABLE, task_id, {**row, **place, "assigned_ms": turn.now_ms, "due_ms": due_ms})
    return task_id


def assignee_of(contact: Contact, to: str) -> str:
    """The member that a task goes to, "" where there is none; a role stays as it is written."""
    owner = contact.fields.get("owner") if to == "owner" else to.removeprefix("user:")
    return owner if isinstance(owner, str) else ""


def roles_of(member: Any) -> list[str]:
    """The roles of a team member."""
    roles = member.get("roles") if isinstance(member, Mapping) else None
    return [role for role in roles if isinstance(role, str)] if isinstance(roles, list) else []


def members_of(team: Mapping[str, Any], to: str, owner: str) -> list[Mapping[str, Any]]:
    """The members that `owner`, `user:ID` or `role:NAME` means; `owner` is the contact's."""
    if to.startswith("role:"):
        return [member for member in team.values() if to.removeprefix("role:") in roles_of(member)]
    member = team.get(owner if to == "owner" else to.removeprefix("user:"))
    return [member] if isinstance(member, Mapping) else []


def reassign(turn: CoreTurn, task_id: str, data: Mapping[str, Any]) -> None:
    """Give an open task to somebody else, who is told as its element says. `data` has `to`, and the row of the task as it was read."""
    task = next((task for task in turn.contact.tasks if task.id == task_id), None)
    if task is None:
        return
    task.to = str(data["to"])
    turn.row(TABLE, task_id, {**data["row"], "to": task.to, "assignee": assignee_of(turn.contact, task.to)})
    _tell(turn, task, "assigned")


def ring(turn: CoreTurn, task: Task) -> None:
    """A task's time has come: a reminder, or, the last one, that it is overdue."""
    task.alarms = task.alarms[1:]
    overdue = not task.alarms
    _tell(turn, task, "overdue" if overdue else "reminder")
    if overdue:
        turn.fire("task.overdue", _data(task))


def complete(turn: CoreTurn, task_id: str, outcome: str, by: str = "") -> None:
    """Complete a task ("" for the oldest open one). Nothing happens where it is not open, or has no such outcome."""
    contact = turn.contact
    task = next((task for task in contact.tasks if task.id == task_id or not task_id), None)
    if task is None:
        return
    owner = turn.workspace.map_version(task.map, task.version)
    at = owner.index.get(task.element, 0) if owner is not None else 0
    declared = owner.outcomes.get(at) if owner is not None and not task.nested else None
    if declared and outcome not in declared:
        if turn.journal is not None:
            turn.journal("ignored", task.map, task.element, {"reason": f'the task has no outcome "{outcome}"'})
        return
    contact.tasks = [other for other in contact.tasks if other is not task]
    turn.changes.rows.append(Row(TABLE, task.id, None))
    # The enrollment may be over: the actions get a number of their own, so that their effects have ids of their own.
    contact.enrolled += 1
    if owner is not None and declared:
        _act(turn, task, at, declared[outcome])
    for enrollment in contact.enrollments:
        if enrollment.number == task.enrollment and task.element in turn.workspace.map_of(enrollment).task_waits:
            enrollment.outcomes[task.element] = outcome
    turn.fire("task.completed", {**_data(task), "outcome": outcome, **({"by": by} if by else {})})


def _data(task: Task) -> dict[str, Any]:
    return {"task": task.id, "map": task.map, "element": task.element, "enrollment": task.enrollment}


def _tell(turn: CoreTurn, task: Task, what: str) -> None:
    """Let the element that assigned a task tell of it, where it tells of anything."""
    owner = turn.workspace.map_version(task.map, task.version)
    at = owner.index.get(task.element, -1) if owner is not None else -1
    found = owner.notices.get(at) if owner is not None and not task.nested else None
    if found is None:
        return
    kind, tell = found
    turn.contact.enrolled += 1

    def act(_: Turn) -> None:
        turn.kind = kind
        try:
            tell(turn, what, task.due, task.to)
        except WayfareError as fault:  # a text that cannot be rendered
            turn.suppress(str(fault))

    _act(turn, task, at, act)


def _act(turn: CoreTurn, task: Task, at: int, act: Act) -> None:
    """Run an action in an enrollment of its own, with the events that the task was assigned with."""
    ghost = Enrollment(turn.contact.enrolled, task.map, task.version, [Position(0, at)], event=task.event, entry=task.entry)
    turn.enrollment = ghost
    turn.position = ghost.positions[0]
    turn.map = turn.workspace.map_of(ghost)
    turn.event = ghost.event or {}
    turn.entry = turn.event if ghost.entry is None else ghost.entry
    turn.ordinal = 0
    turn.kind_channel = ""
    turn.halted = False
    act(turn)
