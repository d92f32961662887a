"""Timers: waits that are due, and dates that have come. Each fires by itself, earliest first, at one instant in the order set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.core import dates
from engine.core.contact import RUNNING, Alarm, Contact, Enrollment, Position

if TYPE_CHECKING:
    from engine.core.turn import CoreTurn


def is_due(contact: Contact, now: int) -> bool:
    """Whether any timer is due by now. Asked at every step, so it only looks."""
    for enrollment in contact.enrollments:
        for position in enrollment.positions:
            if 0 < position.due <= now and not enrollment.paused_at:
                return True
    return any(alarm.due <= now for alarm in contact.alarms) if contact.alarms else False


def fire_next(turn: CoreTurn) -> bool:
    """Fire the earliest timer that is due by now, with bounds of its own; False where there is none."""
    contact, now = turn.contact, turn.now_ms
    best: Position | Alarm | None = None
    owner: Enrollment | None = None
    for enrollment in contact.enrollments:
        if enrollment.paused_at:
            continue
        for position in enrollment.positions:
            due = position.due
            if due and due <= now and (best is None or (due, position.armed) < (best.due, best.armed)):
                best, owner = position, enrollment
    for alarm in contact.alarms:
        if alarm.due <= now and (best is None or (alarm.due, alarm.armed) < (best.due, best.armed)):
            best = alarm
    if best is None:
        return False
    turn.begin(contact, now)
    if isinstance(best, Alarm):
        dates.ring(turn, best)
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
