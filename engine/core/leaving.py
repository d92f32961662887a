"""How positions and enrollments end: resting, exits, removals; who held on an enrollment goes on; what was decided is withdrawn.

Every enrollment that was entered is active, resting, or left in one way: these functions move the counters that say so, and
nobody else removes an enrollment from a contact.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from engine.core import caps
from engine.core.compiled import ACTIVE, COUNTED, RESTED, CompiledMap
from engine.core.contact import AT_GOAL, CALLING, RESTING, RUNNING, WAITING, Enrollment, Position
from engine.core.effects import effect_id

if TYPE_CHECKING:
    from engine.core.turn import CoreTurn

LEFT = {how: place for place, how in enumerate(COUNTED)}
REPLACED = LEFT["replaced"]
_PLAIN = (WAITING, AT_GOAL, RESTING)
GONE = -1  # the state of a position that was dropped; never in a checkpoint
SENT_MAX = 32  # promotional effects that an enrollment remembers, for withdrawing them


def is_resting(enrollment: Enrollment) -> bool:
    """Whether every position rests on an `end`."""
    for position in enrollment.positions:  # noqa: SIM110  # asked at every entry, and a generator costs three times as much
        if position.state != RESTING:
            return False
    return True


def rest(turn: CoreTurn) -> None:
    """The running position has reached an `end`."""
    position, enrollment = turn.position, turn.enrollment
    position.state = RESTING
    position.since = turn.now_ms
    turn.tell("ended", enrollment, position.at, {})
    _settle(turn, enrollment)


def exit_path(turn: CoreTurn) -> None:
    """The running position leaves by an `exit`; the last one ends the enrollment."""
    enrollment, position = turn.enrollment, turn.position
    turn.tell("exited", enrollment, position.at, {})
    if len(enrollment.positions) == 1 and enrollment.positions[0] is position:
        end(turn, enrollment, "exited")  # as most do: what follows would come to the same
        return
    drop(turn, enrollment, position)
    if enrollment.positions:
        _settle(turn, enrollment)
    else:
        end(turn, enrollment, "exited")


def _settle(turn: CoreTurn, enrollment: Enrollment) -> None:
    """After a position came to rest or left: does the whole enrollment rest now?"""
    for position in enrollment.positions:
        if position.state != RESTING:
            return
    tally = turn.tally(turn.workspace.map_of(enrollment))
    tally[ACTIVE] -= 1
    tally[RESTED] += 1
    if enrollment.awaited:
        let_go(turn, enrollment)


def rouse(turn: CoreTurn, enrollment: Enrollment) -> None:
    """A resting enrollment is about to move on: it counts as active again."""
    if is_resting(enrollment):
        tally = turn.tally(turn.workspace.map_of(enrollment))
        tally[RESTED] -= 1
        tally[ACTIVE] += 1


def drop(turn: CoreTurn, enrollment: Enrollment, position: Position) -> None:
    """Take one position out of an enrollment."""
    owner = turn.workspace.map_of(enrollment)
    turn.tally(owner)[owner.outs[position.at]] += 1
    enrollment.positions = [other for other in enrollment.positions if other is not position]
    if position is turn.position:
        turn.halted = True
    position.state = GONE


def end(turn: CoreTurn, enrollment: Enrollment, how: str, successor: Enrollment | None = None) -> None:
    """End an enrollment: `how` is exited, removed, replaced, merged or erased. A `successor` takes over who holds on it."""
    contact, owner = turn.contact, turn.workspace.map_of(enrollment)
    tally = turn.tally(owner)
    tally[RESTED if enrollment.positions and is_resting(enrollment) else ACTIVE] -= 1
    tally[LEFT[how]] += 1
    held: list[tuple[int, int]] = []
    for position in enrollment.positions:
        tally[owner.outs[position.at]] += 1
        if position.state == CALLING:
            held.append((position.number, position.ref))
        if position is turn.position:
            turn.halted = True
        position.state = GONE
    enrollment.positions = []
    others = contact.enrollments
    contact.enrollments = [other for other in others if other is not enrollment] if len(others) > 1 else []
    if enrollment.awaited:
        let_go(turn, enrollment, successor)
    for number, child in held:
        remove_child(turn, enrollment, number, child)


def renew(turn: CoreTurn, enrollment: Enrollment, owner: CompiledMap, tally: list[int], start: int) -> bool:
    """Replace an enrollment by a new one at `start` in the same struct, which is cheaper; False where it is not as plain as most are.

    It comes out with the contact's newest number and one queued position; its event is the caller's to set. What is as it must be already is not
    written again: a store into a struct costs three looks.
    """
    positions, contact = enrollment.positions, turn.contact
    if len(positions) != 1 or len(contact.enrollments) != 1 or enrollment.awaited or enrollment is turn.enrollment or enrollment.version != owner.version:
        return False
    position = positions[0]
    state = position.state
    if state not in _PLAIN:
        return False
    if state == RESTING:
        tally[RESTED] -= 1
        tally[ACTIVE] += 1
    tally[REPLACED] += 1
    tally[owner.outs[position.at]] += 1
    tally[owner.ins[start]] += 1
    enrollment.number = contact.enrolled
    enrollment.hops = position.state = position.due = 0
    position.at = start
    if position.ref:
        position.ref = 0
    if position.number != 1:
        position.number = 1
    if enrollment.placed != 1:
        enrollment.placed = 1
    if enrollment.entry is not None:
        enrollment.entry = None
    if enrollment.parent is not None:
        enrollment.parent = None
    if enrollment.sent:
        enrollment.sent = []
    if enrollment.kept:
        enrollment.kept = []
    if enrollment.outcomes:
        enrollment.outcomes = {}
    return True


def let_go(turn: CoreTurn, child: Enrollment, successor: Enrollment | None = None) -> None:
    """Positions that hold on `child` go on behind their adds, or hold on its successor."""
    child.awaited = False
    for enrollment in turn.contact.enrollments:
        for position in enrollment.positions:
            if position.state != CALLING or position.ref != child.number:
                continue
            if successor is not None:
                position.ref = successor.number
                successor.awaited = True
                if successor.parent is None:
                    successor.parent = child.parent
            else:
                go_on(turn, enrollment, position)


def go_on(turn: CoreTurn, enrollment: Enrollment, position: Position) -> None:
    """A position that was held goes on behind its element; a paused one does so when it is unpaused."""
    if enrollment.paused_at:
        position.state = RUNNING
        position.ref = 1
        turn.stand(position, turn.now_ms)
    else:
        turn.go(enrollment, position, turn.workspace.map_of(enrollment).after[position.at])


def remove_child(turn: CoreTurn, enrollment: Enrollment, position: int, number: int) -> None:
    """A position was taken from an add: the child goes too, if this add made it."""
    for child in turn.contact.enrollments:
        if child.number == number and child.parent == (enrollment.number, position):
            remove(turn, child, "its add was left")
            turn.fire("removed", {"map": child.map})
            return


def remove(turn: CoreTurn, enrollment: Enrollment, reason: str = "") -> None:
    """Remove one enrollment from its map."""
    at = enrollment.positions[0].at
    turn.tell("removed", enrollment, at, {"reason": reason} if reason else {})
    end(turn, enrollment, "removed")


def remove_from(turn: CoreTurn, map_id: str) -> None:
    """End all enrollments of the contact in a map."""
    found = [enrollment for enrollment in turn.contact.enrollments if enrollment.map == map_id]
    for enrollment in found:
        if enrollment.positions:
            remove(turn, enrollment)
    if found:
        turn.fire("removed", {"map": map_id})


def withdraw(turn: CoreTurn, enrollment: Enrollment, positions: Collection[int]) -> None:
    """Withdraw the promotional effects that these positions decided; those already with a provider are not stopped by it."""
    contact = turn.contact
    kept = []
    for entry in enrollment.sent:
        position, hop, ordinal = entry
        if position not in positions:
            kept.append(entry)
            continue
        effect = effect_id(contact.id, contact.born, enrollment.number, hop, ordinal)
        turn.changes.withdrawn.append(effect)
        if contact.held:
            caps.uncount(contact, effect, turn.now_ms)
        if turn.journal is not None:
            turn.journal("withdrawn", enrollment.map, "", {"effect": effect})
    enrollment.sent = kept
