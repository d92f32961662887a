"""Timers: waits that are due, dates that have come, tasks to be reminded of. Each fires by itself, earliest first, at one instant in the order set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.core import dates, tasks
from engine.core.contact import RUNNING, Alarm, Contact, Enrollment, Position, Task

if TYPE_CHECKING:
    from engine.core.turn import CoreTurn


def is_due(contact: Contact, now: int) -> bool:
    """Whether any timer is due by now. Asked at every step, so it only looks."""
    for enrollment in contact.enrollments:
        for position in enrollment.positions:
            if 0 < position.due <= now and not enrollment.paused_at:
                return True
    if contact.tasks and any(task.alarms and task.alarms[0] <= now for task in contact.tasks):
        return True
    return any(alarm.due <= now for alarm in contact.alarms) if contact.alarms else False


def fire_next(turn: CoreTurn) -> bool:
    """Fire the earliest timer that is due by now, with bounds of its own; False where there is none."""
    contact, now = turn.contact, turn.now_ms
    best: Position | Alarm | Task | None = None
    first = (now + 1, 0)
    owner: Enrollment | None = None
    for enrollment in contact.enrollments:
        if enrollment.paused_at:
            continue
        for position in enrollment.positions:
            if position.due and (position.due, position.armed) < first:
                best, owner, first = position, enrollment, (position.due, position.armed)
    for alarm in contact.alarms:
        if (alarm.due, alarm.armed) < first:
            best, first = alarm, (alarm.due, alarm.armed)
    for task in contact.tasks:
        if task.alarms and (task.alarms[0], task.armed) < first:
            best, first = task, (task.alarms[0], task.armed)
    if best is None:
        return False
    turn.begin(contact, now)
    if isinstance(best, Alarm):
        dates.ring(turn, best)
    elif isinstance(best, Task):
        tasks.ring(turn, best)
    else:
        assert owner is not None
        fire(turn, owner, best)
    turn.drain()
    return True


def earliest(enrollment: Enrollment, now: int) -> Position | None:
    """The position of an enrollment whose timer was due first, None where none is due."""
    due = [position for position in enrollment.positions if position.due and position.due <= now]
    return min(due, key=lambda position: (position.due, position.armed)) if due else None


def fire(turn: CoreTurn, enrollment: Enrollment, position: Position) -> None:
    """A position's time has come: its wait is over, or what a pause had stopped goes on."""
    owner = turn.workspace.map_of(enrollment)
    at = position.at
    if position.state == RUNNING:
        following = owner.after[at] if position.ref else at
    else:
        following = owner.after[at]
        if at in owner.timeouts:
            turn.tell("moved", enrollment, at, {"reason": "timeout"})
    if following < 0:
        turn.park(enrollment, position, "nothing follows")
        return
    turn.go(enrollment, position, following)
