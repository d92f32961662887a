"""Matching: one event, many listeners. First `exit_on`, then goals, then waits of the positions that stand there, then triggers.

Triggers go by the ids of their maps, one enrollment for each map. What the event moved does not see it again. Whether a
contact may enter is the map's rule of re-entry, judged for each value of `per` by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.core import goals, leaving
from engine.core.compiled import ACTIVE, ENTERED, PRINCIPAL, STOP, CompiledMap, Listeners, TriggerRule
from engine.core.contact import Enrollment, Position
from engine.core.leaving import is_resting

if TYPE_CHECKING:
    from engine.core.turn import CoreTurn

Heard = list[tuple[Enrollment, CompiledMap, Listeners]]


def match(turn: CoreTurn, name: str, data: Mapping[str, Any]) -> None:
    """Everything that listens to an event, in its order."""
    workspace, contact = turn.workspace, turn.contact
    moved = None
    if name in workspace.heard_inside:
        heard: Heard = []
        for enrollment in contact.enrollments:
            owner = workspace.map_of(enrollment)
            listeners = owner.listeners.get(name)
            if listeners is not None:
                heard.append((enrollment, owner, listeners))
        moved = goals.hear(turn, heard, name, data)
    rules = workspace.triggers.get(name)
    if rules is None:
        return
    if isinstance(rules, dict):
        value = data.get(PRINCIPAL[name])
        rules = rules.get(value if isinstance(value, str) else None) or rules[None]
    done: CompiledMap | None = None
    for rule in rules:
        if rule.map is not done and rule.test(contact, data, data, turn.now_ms) and enter(turn, rule, name, data, moved) is not None:
            done = rule.map


def enter(turn: CoreTurn, rule: TriggerRule, name: str, data: Mapping[str, Any], moved: set[int] | None) -> Enrollment | str | None:
    """Enroll by a rule: the enrollment, the reason why not, or None where a goal that adds finds the contact in its map."""
    owner, contact = rule.map, turn.contact
    key = _key(turn, owner, data) if owner.per is not None else ""
    held: Enrollment | None = None
    for enrollment in contact.enrollments:
        if enrollment.map == owner.id and enrollment.key == key:
            held = enrollment
    if rule.goal != STOP and held is not None:
        return None
    reason = refusal(turn, owner, held, key, moved)
    if reason:
        ignore(turn, rule, name, reason)
        return reason
    replaced = held if owner.reentry != "parallel" else None
    return enroll(turn, rule, name, data, key, replaced)


def refusal(turn: CoreTurn, owner: CompiledMap, held: Enrollment | None, key: str, moved: set[int] | None) -> str:
    """Why the contact may not enter now, "" where it may. `held` is its enrollment in this map (and of this value of `per`)."""
    contact, reentry = turn.contact, owner.reentry
    restarts = False
    if held is None or reentry == "parallel":
        if len(contact.enrollments) >= turn.workspace.bounds.enrollments_max:
            return "enrollments_max"
    elif reentry == "never":
        return "never"
    elif held.paused_at:
        return "paused"
    elif moved is None and owner.restarts:
        return ""  # most entries are these, and nothing below could refuse them
    elif not is_resting(held):
        if reentry == "after_end":
            return "active"
        if moved is not None and held.number in moved:
            return "moved"
        restarts = True
    if owner.remembers:
        past = contact.past.get(f"{owner.id}\x00{key}" if key else owner.id)
        if past is not None:
            if reentry == "never":
                return "never"
            if not restarts and turn.now_ms - past[1] < owner.cooldown_ms:
                return "cooldown"
    return ""


def ignore(turn: CoreTurn, rule: TriggerRule, name: str, reason: str) -> None:
    """A trigger that is ignored is counted with its reason."""
    owner = rule.map
    turn.changes.count(owner.ignored + reason)
    if turn.journal is not None:
        turn.journal("ignored", owner.id, owner.ids[rule.start], {"event": name, "reason": reason})


def enroll(turn: CoreTurn, rule: TriggerRule, name: str, data: Mapping[str, Any], key: str, replaced: Enrollment | None) -> Enrollment:
    """Make an enrollment and queue its first position; the one that it replaces ends."""
    contact, owner, now = turn.contact, rule.map, turn.now_ms
    contact.enrolled += 1
    tally = turn.tallies.get(owner) or turn.tally(owner)
    if replaced is not None and leaving.renew(turn, replaced, owner, tally, rule.start):
        enrollment = replaced
        position = enrollment.positions[0]
        enrollment.entered = now
        enrollment.event = owner.project(data)
    else:
        position = Position(1, rule.start)
        enrollment = Enrollment(contact.enrolled, owner.id, owner.version, [position], now, 0, 1, owner.project(data), None, key)
        if replaced is not None:
            leaving.end(turn, replaced, "replaced", enrollment)
        contact.enrollments.append(enrollment)
        tally[ACTIVE] += 1
        tally[owner.ins[rule.start]] += 1
    tally[ENTERED] += 1
    if owner.remembers:
        past = f"{owner.id}\x00{key}" if key else owner.id
        contact.past[past] = (contact.past.get(past, (0, 0))[0] + 1, now)
    if turn.journal is not None:
        detail = {"event": name, "replaced": True} if replaced is not None else {"event": name}
        turn.journal("entered", owner.id, owner.ids[rule.start if rule.goal == STOP else rule.goal], detail)
        if rule.goal != STOP:
            turn.journal("goal", owner.id, owner.ids[rule.goal], {"event": name})
    turn.cascades -= 1
    if turn.cascades < 0:
        turn.park(enrollment, position, "cascades_max")
    else:
        turn.queue.append((enrollment, position))
    return enrollment


def add(turn: CoreTurn, map_id: str, maker: tuple[Enrollment, Position] | None = None) -> Enrollment | None:
    """Enroll by the map's `added` trigger. The enrollment on which a blocking add holds: the new one, or one that is active and is joined.

    None where the add was refused and nothing is there to wait for. `added` is fired only if the contact was added.
    """
    owner = turn.workspace.maps.get(map_id)
    rule = owner.added if owner is not None else None
    if rule is None or owner is None:
        return None
    if maker is not None and _depth(turn, maker[0]) >= turn.workspace.bounds.depth_max:
        turn.park(*maker, "depth_max")
        return None
    data: dict[str, Any] = {"map": map_id}
    contact = turn.contact
    key = _key(turn, owner, data) if owner.per is not None else ""
    held = next((enrollment for enrollment in reversed(contact.enrollments) if enrollment.map == map_id and enrollment.key == key), None)
    reason = refusal(turn, owner, held, key, None)
    if not reason and not rule.test(contact, data, data, turn.now_ms):
        reason = "where"
    if reason:
        ignore(turn, rule, "added", reason)
        return held if held is not None and not is_resting(held) else None
    return _added(turn, owner, data, maker)


def _added(turn: CoreTurn, owner: CompiledMap, data: dict[str, Any], maker: tuple[Enrollment, Position] | None) -> Enrollment | None:
    """Fire `added`: the map's own trigger takes its turn among the others. The enrollment that came of it."""
    contact = turn.contact
    before = contact.enrolled
    turn.fire("added", data)
    for child in contact.enrollments:
        if child.number > before and child.map == owner.id:
            if maker is not None and maker[1].number:
                child.parent = (maker[0].number, maker[1].number)
            return child
    return None


def _depth(turn: CoreTurn, enrollment: Enrollment) -> int:
    """How many blocking adds are within one another above and at this enrollment."""
    depth = 1
    by_number = {other.number: other for other in turn.contact.enrollments}
    while enrollment.parent is not None and enrollment.parent[0] in by_number:
        enrollment = by_number[enrollment.parent[0]]
        depth += 1
    return depth


def _key(turn: CoreTurn, owner: CompiledMap, data: Mapping[str, Any]) -> str:
    """The value of `per` as text, of its own for each type; "" where it is missing."""
    assert owner.per is not None
    value = owner.per(turn.contact, data, data, turn.now_ms)
    if value is None or isinstance(value, str):
        return value or ""
    return f"\x01{value!r}"
