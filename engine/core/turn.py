"""The turn: one contact, one instant, one queue. What actions may do (see action_kind.py) and the loop that runs positions.

A position runs until it waits, rests, leaves or is taken; what it starts queues behind it, in the order made. Events are
matched at the moment they are fired; one that is fired while another is matched waits for it. One turn is made per batch
and used for every step of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from engine.core import dates, leaving, pause, sends, tasks, triggers
from engine.core.action_kind import Act
from engine.core.comparisons import equal
from engine.core.compiled import CompiledMap
from engine.core.contact import CALLING, HOLDING, PARKED, RUNNING, Contact, Enrollment, Position, Purchase
from engine.core.effects import Changes, Effect, Post, Row

if TYPE_CHECKING:
    from engine.core.workspace import Workspace

NOTHING: dict[str, Any] = {}
NOBODY = Enrollment(0, "", 0)
NOWHERE = Position(0, 0)
_encode = msgspec.msgpack.Encoder().encode


class CoreTurn:
    """Implements `action_kind.Turn` on the real contact."""

    __slots__ = (
        "cascades",
        "changes",
        "contact",
        "counters",
        "enrollment",
        "entry",
        "event",
        "events",
        "firing",
        "full",
        "halted",
        "hops",
        "journal",
        "kind",
        "kind_channel",
        "map",
        "now_ms",
        "ordinal",
        "position",
        "queue",
        "workspace",
    )

    def __init__(self, workspace: Workspace, changes: Changes) -> None:
        self.workspace = workspace
        self.changes = changes
        self.counters = changes.counters
        self.journal = changes.journal
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
        bounds = self.workspace.bounds
        self.contact = contact
        self.now_ms = now_ms
        self.hops = bounds.hops_max
        self.cascades = bounds.cascades_max
        self.enrollment = NOBODY
        self.position = NOWHERE
        self.firing = False
        if self.queue or self.events:  # left by a step that failed
            self.queue.clear()
            self.events.clear()

    # -- the queue -----------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Run what is queued, and what that queues, to its end."""
        queue = self.queue
        while queue:
            enrollment, position = queue.popleft()
            if position is None:
                pause.replay(self, enrollment)
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
        runs, ins, outs, counters = owner.runs, owner.ins, owner.outs, self.counters
        at = position.at
        while True:
            if self.hops <= 0:
                self.park(enrollment, position, "hops_max")
                return
            self.hops -= 1
            enrollment.hops += 1
            following = runs[at](self)
            if following < 0:
                return
            name = outs[at]
            counters[name] = counters.get(name, 0) + 1
            name = ins[following]
            counters[name] = counters.get(name, 0) + 1
            position.at = at = following

    def go(self, enrollment: Enrollment, position: Position, at: int) -> None:
        """Move a position that is not running to another element, and queue it."""
        owner = self.workspace.map_of(enrollment)
        if position.at != at:
            self.changes.count(owner.outs[position.at])
            self.changes.count(owner.ins[at])
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
        triggers.match(self, name, data)
        while self.events:
            triggers.match(self, *self.events.pop(0))
        self.firing = False

    def heard(self, name: str, value: str) -> bool:
        """Whether anything listens to this event with this principal value."""
        values = self.workspace.listening.get(name, ())
        return values is None or value in values

    # -- the verbs of actions ------------------------------------------------------------------------------------------

    def change_tags(self, add: list[str], remove: list[str]) -> None:
        added, removed = self.put_tags(add, remove)
        if added or removed:
            self.tags_changed(added, removed)

    def put_tags(self, add: list[str], remove: list[str]) -> tuple[list[str], list[str]]:
        """Add and remove without firing; the tags that changed."""
        tags = self.contact.tags
        added, removed = [], []
        for tag in add:
            if tag not in tags:
                tags.append(tag)
                added.append(tag)
        for tag in remove:
            if tag in tags:
                tags.remove(tag)
                removed.append(tag)
        return added, removed

    def tags_changed(self, added: list[str], removed: list[str]) -> None:
        """Fire for tags that changed."""
        for tag in added:
            if self.heard("tag.added", tag):
                self.fire("tag.added", {"tag": tag})
        for tag in removed:
            if self.heard("tag.removed", tag):
                self.fire("tag.removed", {"tag": tag})

    def set_fields(self, values: Mapping[str, Any]) -> None:
        changed = self.put_fields(values)
        if changed:
            self.fields_changed(changed)

    def put_fields(self, values: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
        """Set fields without firing; (name, old, new) of those that changed."""
        fields = self.contact.fields
        changed = []
        for name, value in values.items():
            old = fields.get(name)
            if old == value and (old is value or equal(old, value)):
                continue
            if value is not None:
                fields[name] = value
            elif name in fields:
                del fields[name]
            changed.append((name, old, value))
        return changed

    def fields_changed(self, changed: list[tuple[str, Any, Any]]) -> None:
        """Fields changed: the waits and dates that hang on them move, then each fires `field.changed`."""
        clocked = self.workspace.clocked
        if clocked:
            names = [name for name, _, _ in changed if name in clocked]
            if names:
                dates.fields_changed(self, names)
        for name, old, value in changed:
            if self.heard("field.changed", name):
                self.fire("field.changed", {"field": name, "from": old, "to": value})

    def add_purchase(self, product: str, quantity: float, price: float) -> None:
        self.record_purchase(product, quantity, price)
        self.fire("purchased", {"product": product, "quantity": quantity, "price": price})

    def record_purchase(self, product: str, quantity: float, price: float) -> None:
        """Add to the history without firing."""
        held = self.contact.purchases.setdefault(product, Purchase())
        held.quantity += quantity
        held.total += quantity * price
        held.last = self.now_ms

    def call(self, map_id: str) -> None:
        enrollment, position = self.enrollment, self.position
        child = triggers.add(self, map_id, maker=(enrollment, position))
        if child is None or self.halted or not position.number:  # an outcome's action has no position to hold
            return
        child.awaited = True
        position.state = CALLING
        position.ref = child.number
        position.since = self.now_ms
        self.halted = True
        self.tell("waiting", enrollment, position.at, {"for": map_id})

    def remove(self, map_id: str) -> None:
        leaving.remove_from(self, map_id)

    def pause(self, map_id: str) -> None:
        pause.pause(self, map_id)

    def unpause(self, map_id: str) -> None:
        pause.unpause(self, map_id)

    def did(self, detail: Mapping[str, Any]) -> None:
        if self.journal is not None:
            self.journal("action", self.map.id, self.map.ids[self.position.at], dict(detail), self.kind)

    def emit(
        self,
        channel: str,
        params: dict[str, Any],
        *,
        consent: str = "",
        transactional: bool = True,
        to: str = "",
        missing: str = "",
        dest: str = "",
        quiet: bool = False,
    ) -> bool:
        return sends.emit(self, sends.Send(channel, params, consent, transactional, to, missing, dest, quiet))

    def suppress(self, reason: str) -> None:
        """Journal and count an effect that was not decided."""
        self.changes.count(f"map:{self.map.id}:suppressed")
        if self.journal is not None:
            self.journal("suppressed", self.map.id, self.map.ids[self.position.at], {"reason": reason}, self.kind)

    def decide(self, effect: Effect, detail: dict[str, Any], *, quiet: bool) -> None:
        """Commit to an effect and journal it, unless it is a part of an action that has its line."""
        self.changes.effects.append(effect)
        if self.journal is not None and not quiet:
            self.journal("action", self.map.id, effect.element, detail, self.kind, effect)

    def assign_task(self, task_id_hint: str, due_ms: int, row: Mapping[str, Any]) -> str:
        return tasks.assign(self, due_ms, row)

    def row(self, table: str, field: str, value: Mapping[str, Any] | None) -> None:
        self.changes.rows.append(Row(table, field, None if value is None else _encode(value)))

    def post(self, to: str, kind: str, data: dict[str, Any]) -> None:
        enrollment, position = self.enrollment, self.position
        where = {"contact": self.contact.id, "enrollment": enrollment.number, "position": position.number, "hop": enrollment.hops}
        self.changes.posts.append(Post(to, kind, {**data, **where}))
        if position.number and not self.halted:
            position.state = HOLDING
            position.ref = enrollment.hops
            position.since = self.now_ms
            self.halted = True
            self.tell("waiting", enrollment, position.at, {"for": to})

    def outcome_actions(self, key: str) -> Act | None:
        """The closure that runs the actions of one outcome of the task at hand; None where there are none."""
        return self.map.outcomes.get(self.position.at, {}).get(key)
