"""Pause: a paused contact stays on its element; events that its positions would take are kept, and due timers stand.

At unpausing both are applied in the order of their times, timers first, each to the end of what it starts before the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.core import goals, timers
from engine.core.contact import RUNNING, Enrollment

if TYPE_CHECKING:
    from engine.core.turn import CoreTurn


def pause(turn: CoreTurn, map_id: str) -> None:
    """Pause the contact's enrollments in a map."""
    paused = False
    for enrollment in turn.contact.enrollments:
        if enrollment.map != map_id or enrollment.paused_at:
            continue
        paused = True
        enrollment.paused_at = turn.now_ms
        turn.tell("paused", enrollment, enrollment.positions[0].at, {})
        running = turn.position
        if enrollment is turn.enrollment and running.state == RUNNING and not turn.halted:
            running.ref = 1  # its element is done; it goes on behind it
            turn.stand(running, turn.now_ms)
            turn.halted = True
    if paused:
        turn.fire("paused", {"map": map_id})


def unpause(turn: CoreTurn, map_id: str) -> None:
    """Unpause them; the first thing that was held back is applied now, the rest from the queue."""
    unpaused = False
    for enrollment in turn.contact.enrollments:
        if enrollment.map != map_id or not enrollment.paused_at:
            continue
        unpaused = True
        owner = turn.workspace.map_of(enrollment)
        if owner.stop_clock:
            stood = turn.now_ms - enrollment.paused_at
            for position in enrollment.positions:
                if position.due and position.at in owner.durations:
                    position.due += stood
        enrollment.paused_at = 0
        turn.tell("unpaused", enrollment, enrollment.positions[0].at, {})
        replay(turn, enrollment)
    if unpaused:
        turn.fire("unpaused", {"map": map_id})


def replay(turn: CoreTurn, enrollment: Enrollment) -> None:
    """Apply the earliest of what a pause held back, and come again behind what that starts."""
    if enrollment.paused_at or not enrollment.positions:
        return
    position = timers.earliest(enrollment, turn.now_ms)
    kept = enrollment.kept
    if position is not None and not (kept and kept[0][0] < position.due):
        timers.fire(turn, enrollment, position)
    elif kept:
        _, name, data = kept.pop(0)
        owner = turn.workspace.map_of(enrollment)
        listeners = owner.listeners.get(name)
        if listeners is not None:
            goals.hear(turn, [(enrollment, owner, listeners)], name, data)
    else:
        return
    turn.queue.append((enrollment, None))
