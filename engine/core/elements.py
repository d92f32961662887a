"""The closures of the elements: each takes the turn and gives the index to go on at, or STOP where the position stays or has left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from engine.core.action_kind import Act
from engine.core.automation_map import WaitBetween, WaitUntil
from engine.core.compiled import STOP
from engine.core.contact import AT_GOAL, WAITING, Position
from engine.core.errors import WayfareError
from engine.core.goals import replace_event
from engine.core.leaving import exit_path, rest
from engine.core.local_time import at_local, from_field, iso, next_opening, next_time, zone_of
from engine.core.routers import pick

if TYPE_CHECKING:
    from engine.core.compiled import Calendar, Run
    from engine.core.turn import CoreTurn


def wait(duration_ms: int, following: int) -> Run:
    """`wait: 3d`."""
    if not duration_ms:
        return go_to(following)

    def run(turn: CoreTurn) -> int:
        _stay(turn, WAITING, turn.now_ms + duration_ms)
        return STOP

    return run


def wait_by_calendar(when: Calendar, following: int) -> Run:
    """`wait: {until: …}` and `wait: {between: …}`."""

    def run(turn: CoreTurn) -> int:
        due, reason = when(turn)
        if due:
            _stay(turn, WAITING, due)
            return STOP
        if reason:
            turn.tell("moved", turn.enrollment, turn.position.at, {"reason": reason})
        return following

    return run


def wait_for(event: str, task: str, timeout_ms: int | None, then: int, otherwise: int) -> Run:
    """`wait: {event: …}` and `wait: {task: …}`; a task that was completed meanwhile lets go on at once."""

    def run(turn: CoreTurn) -> int:
        enrollment = turn.enrollment
        if task and task in enrollment.outcomes:
            outcome = enrollment.outcomes.pop(task)
            replace_event(turn, enrollment, turn.map, {"element": task, "enrollment": enrollment.number, "map": turn.map.id, "outcome": outcome})
            return then
        if timeout_ms == 0:
            return otherwise
        _stay(turn, WAITING, turn.now_ms + timeout_ms if timeout_ms else 0, f"task {task}" if task else event)
        return STOP

    return run


def goal(event: str, timeout_ms: int | None, otherwise: int) -> Run:
    """A contact that arrives at a goal by the path waits there."""

    def run(turn: CoreTurn) -> int:
        if timeout_ms == 0:
            return otherwise
        _stay(turn, AT_GOAL, turn.now_ms + timeout_ms if timeout_ms else 0, event)
        return STOP

    return run


def stay(turn: CoreTurn) -> int:
    """The last element of a sequence that never rests: until the contact is removed."""
    _stay(turn, WAITING, 0, "removed")
    return STOP


def _stay(turn: CoreTurn, state: int, due: int, event: str = "") -> None:
    """Hold the running position here: until `due` (0: no time), or until an event."""
    position = turn.position
    position.state = state
    position.since = turn.now_ms
    if due:
        contact = turn.contact
        contact.armed += 1
        position.armed = contact.armed
        position.due = due
    if turn.journal is not None:
        detail = ({"for": event} if event else {}) | ({"until": iso(due)} if due else {})
        turn.tell("waiting", turn.enrollment, position.at, detail)


def split(weights: list[float], starts: Sequence[int]) -> Run:
    """`split: […]`: drawn from contact, map, element and visit, so it is the same whenever this hop is decided again."""

    def run(turn: CoreTurn) -> int:
        enrollment = turn.enrollment
        visit = f"{enrollment.number}.{enrollment.hops}"
        return starts[pick(weights, f"{turn.contact.id}\x00{turn.map.id}\x00{turn.map.ids[turn.position.at]}\x00{visit}")]

    return run


def fork(starts: Sequence[int]) -> Run:
    """`fork: [[…], […]]`: one position for each path, in their order; the one that arrived takes the first."""

    def run(turn: CoreTurn) -> int:
        enrollment, first, owner = turn.enrollment, turn.position, turn.map
        tally = turn.tally(owner)
        tally[owner.outs[first.at]] += 1
        first.at = starts[0]
        tally[owner.ins[starts[0]]] += 1
        turn.queue.append((enrollment, first))
        for start in starts[1:]:
            enrollment.placed = max(enrollment.placed, 1) + 1
            position = Position(enrollment.placed, start)
            enrollment.positions.append(position)
            tally[owner.ins[start]] += 1
            turn.queue.append((enrollment, position))
        return STOP

    return run


def go_to(target: int) -> Run:
    """`go_to: ID`."""
    return lambda turn: target


def end(turn: CoreTurn) -> int:
    """`end`: rest here."""
    rest(turn)
    return STOP


def leave(turn: CoreTurn) -> int:
    """`exit`: leave by this path."""
    exit_path(turn)
    return STOP


def do(kind: str, channel: str, act: Act, following: int) -> Run:
    """An action: it fires, and the contact moves on, unless the action holds it or what it set off took it."""

    def run(turn: CoreTurn) -> int:
        turn.kind = kind
        turn.kind_channel = channel
        turn.ordinal = 0
        try:
            act(turn)
        except WayfareError as fault:  # a template that cannot be rendered with this contact's values
            turn.suppress(str(fault))
        return STOP if turn.halted else following

    return run


def named(kind: str, act: Act) -> Act:
    """An action inside another one (a task's outcome): its lines and effects carry its own kind."""

    def run(turn: Any) -> None:
        outer = turn.kind
        turn.kind = kind
        try:
            act(turn)
        except WayfareError as fault:
            turn.suppress(str(fault))
        turn.kind = outer

    return run


# -- the calendar ----------------------------------------------------------------------------------------------------------


def calendar(element: WaitUntil | WaitBetween, zone: tzinfo) -> Calendar:
    """When a calendar wait is over, for a contact in its time zone: (due, ""), or (0, reason) to go on at once."""
    if isinstance(element, WaitBetween):
        return _in_zone(lambda now, local: next_opening(now, element.start, element.end, element.days, local), zone)
    if element.date is not None:
        return _by_field(element, zone)
    if element.at:
        return _in_zone(lambda now, local: at_local(element.at, local) or 0, zone)
    return _in_zone(lambda now, local: next_time(now, element.time or 0, element.days, local), zone)


def _in_zone(when: Callable[[int, tzinfo], int], zone: tzinfo) -> Calendar:
    def found(turn: CoreTurn) -> tuple[int, str]:
        due = when(turn.now_ms, zone_of(turn.contact.fields, zone))
        return (due, "") if due > turn.now_ms else (0, "")

    return found


def _by_field(element: WaitUntil, zone: tzinfo) -> Calendar:
    date = element.date
    assert date is not None

    def found(turn: CoreTurn) -> tuple[int, str]:
        fields = turn.contact.fields
        value = fields.get(date.field)
        if value is None:
            return 0, f"{date.field} is missing"
        due = from_field(value, date.offset_ms, date.time, zone_of(fields, zone))
        if due is None:
            return 0, f"{date.field} is not a date"
        return (due, "") if due > turn.now_ms else (0, "")

    return found
