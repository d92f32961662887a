"""The runner: one contact, one instant, one queue, and the loop that runs positions.

A position runs until it waits, rests, leaves or is taken; what it starts queues behind it, in the order made. Events are
matched at the moment they are fired; one that is fired while another is matched waits for it. One runner is made per batch
and used for every step of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Any

from engine.core.compiled import CompiledMap
from engine.core.contact import PARKED, RUNNING, Contact, Enrollment, Position
from engine.core.effects import Changes

if TYPE_CHECKING:
    from engine.core.workspace import Workspace

NOTHING: dict[str, Any] = {}
NOBODY = Enrollment(0, "", 0)
NOWHERE = Position(0, 0)


class Runner:
    """The workbench of one batch's steps; `CoreTurn` adds the verbs of actions."""

    __slots__ = (
        "cascades",
        "cascades_max",
        "changes",
        "contact",
        "enrollment",
        "entry",
        "event",
        "events",
        "firing",
        "full",
        "halted",
        "hops",
        "hops_max",
        "journal",
        "kind",
        "kind_channel",
        "map",
        "now_ms",
        "ordinal",
        "position",
        "queue",
        "tallies",
        "workspace",
    )

    def __init__(self, workspace: Workspace, changes: Changes) -> None:
        self.workspace = workspace
        self.hops_max, self.cascades_max = workspace.bounds.hops_max, workspace.bounds.cascades_max
        self.changes = changes
        self.journal = changes.journal
        self.tallies: dict[CompiledMap, list[int]] = {}
        self.queue: deque[tuple[Enrollment, Position | None]] = deque()
        self.events: list[tuple[str, Mapping[str, Any]]] = []
        self.full: Container[str] = ()
        self.enrollment = NOBODY
        self.position = NOWHERE
        self.map: CompiledMap = workspace.nowhere
        self.event: Mapping[str, Any] = NOTHING
        self.entry: Mapping[str, Any] = NOTHING
        self.kind = self.kind_channel = ""
        self.ordinal = self.now_ms = self.hops = self.cascades = 0
        self.halted = self.firing = False
        self.contact: Contact

    def begin(self, contact: Contact, now_ms: int) -> None:
        """Start on a record or a timer: fresh bounds, an empty queue."""
        self.contact = contact
        self.now_ms = now_ms
        self.hops = self.hops_max
        self.cascades = self.cascades_max
        self.enrollment = NOBODY
        self.position = NOWHERE
        self.firing = False
        if self.queue or self.events:  # left by a step that failed
            self.queue.clear()
            self.events.clear()

    def tally(self, owner: CompiledMap) -> list[int]:
        """The counters of one map in this batch (see compiled.py for the places)."""
        found = self.tallies.get(owner)
        if found is None:
            found = self.tallies[owner] = [0] * owner.tally_size
        return found

    def tally_up(self) -> None:
        """Fold the tallies into the counters of the changes."""
        for owner, tally in self.tallies.items():
            for name, difference in owner.counted(tally):
                if difference:
                    self.changes.count(name, difference)
        self.tallies.clear()

    # -- the queue -----------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Run what is queued, and what that queues, to its end."""
        queue = self.queue
        while queue:
            enrollment, position = queue.popleft()
            if position is None:
                self.replay(enrollment)
            elif position.state == RUNNING:
                if enrollment.paused_at:
                    self.stand(position, self.now_ms)
                else:
                    self.run(enrollment, position)
        self.enrollment = NOBODY
        self.position = NOWHERE

    def run(self, enrollment: Enrollment, position: Position) -> None:
        """Run one position until it waits, rests, leaves or is taken."""
        self.map = owner = self.workspace.map_of(enrollment)
        self.enrollment = enrollment
        self.position = position
        self.event = event = enrollment.event or NOTHING
        entry = enrollment.entry
        self.entry = event if entry is None else entry
        self.halted = False
        branches, runs, passes = owner.branches, owner.runs, owner.passes
        contact, now, tally = self.contact, self.now_ms, self.tallies.get(owner) or self.tally(owner)
        start, left = position.at, self.hops
        at, last = start, enrollment.hops + left
        while left > 0:
            left -= 1
            branch = branches[at]
            if branch is not None:  # the loop asks itself: a call less for each, and nothing is written down that no predicate can see
                test, then, otherwise = branch
                following = then if test(contact, self.event, self.entry, now) else otherwise
            else:
                position.at = at
                enrollment.hops = last - left
                following = runs[at](self)
                if following < 0:
                    break
            tally[passes[at]] += 1
            at = following
        else:
            position.at = at
            enrollment.hops = last
            self.park(enrollment, position, "hops_max")
        self.hops = left
        if at != start:  # it arrived where it started before, and has arrived here now
            ins = owner.ins
            tally[ins[start]] -= 1
            tally[ins[at]] += 1

    def go(self, enrollment: Enrollment, position: Position, at: int) -> None:
        """Move a position that is not running to another element, and queue it."""
        owner = self.workspace.map_of(enrollment)
        if position.at != at:
            tally = self.tally(owner)
            tally[owner.outs[position.at]] += 1
            tally[owner.ins[at]] += 1
        position.at = at
        self.wake(enrollment, position)

    def wake(self, enrollment: Enrollment, position: Position) -> None:
        """Queue a position to run its element; behind what is queued, and never twice."""
        if position.state == RUNNING:
            self.unqueue(position)
        position.state = RUNNING
        position.due = position.ref = 0
        position.why = ""
        self.queue.append((enrollment, position))

    def unqueue(self, position: Position) -> None:
        """Take a position out of the queue; one that is running now stops at once."""
        if position is self.position:
            self.halted = True
        kept = [item for item in self.queue if item[1] is not position]
        self.queue.clear()
        self.queue.extend(kept)

    def stand(self, position: Position, due: int) -> None:
        """Set a position's timer; timers of one instant fire in the order in which they were set."""
        contact = self.contact
        contact.armed += 1
        position.armed = contact.armed
        position.due = due

    def park(self, enrollment: Enrollment, position: Position, why: str) -> None:
        """A bound is reached: the position stays here and says why."""
        position.state = PARKED
        position.why = why
        position.due = 0
        position.since = self.now_ms
        if position is self.position:
            self.halted = True
        self.tell("parked", enrollment, position.at, {"reason": why})

    def tell(self, what: str, enrollment: Enrollment, at: int, detail: dict[str, Any]) -> None:
        """Journal a line about an element of an enrollment, if anybody listens."""
        if self.journal is not None:
            self.journal(what, enrollment.map, self.workspace.map_of(enrollment).ids[at], detail)

    def fire(self, name: str, data: Mapping[str, Any]) -> None:
        """A fact has come: match it now, or right after the one that is being matched."""
        if self.firing:
            self.events.append((name, data))
            return
        self.firing = True
        self.match(name, data)
        while self.events:
            self.match(*self.events.pop(0))
        self.firing = False

    def heard(self, name: str, value: str) -> bool:
        """Whether anything listens to this event with this principal value."""
        values = self.workspace.listening.get(name, ())
        return values is None or value in values

    def match(self, name: str, data: Mapping[str, Any]) -> None:
        """Find what listens to an event."""
        raise NotImplementedError

    def replay(self, enrollment: Enrollment) -> None:
        """Go on with what a pause held back."""
        raise NotImplementedError
