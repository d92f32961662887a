"""The turn: what actions may do to the contact at hand (see action_kind.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from engine.core import dates, index, leaving, orders, pause, sends, tasks, triggers
from engine.core.comparisons import equal
from engine.core.contact import CALLING, HOLDING, Purchase
from engine.core.effects import Effect, Post, Row
from engine.core.runner import Runner

_encode = msgspec.msgpack.Encoder().encode


class CoreTurn(Runner):
    """Implements `action_kind.Turn` on the real contact."""

    __slots__ = ()

    match = triggers.match
    replay = pause.replay

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
        if changed and self.workspace.minds_fields:
            self.fields_changed(changed)

    def put_fields(self, values: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
        """Set fields without firing; (name, old, new) of those that changed."""
        fields = self.contact.fields
        indexed = None if index.FIELDS.isdisjoint(values) else index.entries(self.contact.id, fields)
        changed = []
        for name, value in values.items():
            old = fields.get(name)
            if old == value and (old.__class__ is value.__class__ or equal(old, value)):
                continue  # within lists and mappings true and 1 are taken for the same
            if value is not None:
                fields[name] = value
            elif name in fields:
                del fields[name]
            changed.append((name, old, value))
        if indexed is not None:
            self.changes.index.update(index.moved(indexed, index.entries(self.contact.id, fields)))
        return changed

    def fields_changed(self, changed: list[tuple[str, Any, Any]]) -> None:
        """Fields changed: the waits and dates that hang on them move, then each fires `field.changed`."""
        clocked = self.workspace.clocked
        if clocked:
            names = [name for name, _, _ in changed if name in clocked]
            if names:
                dates.fields_changed(self, names)
        listening = self.workspace.listening.get("field.changed", ())
        if listening is not None and not listening:
            return
        for name, old, value in changed:
            if listening is None or name in listening:
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

    def set_membership(self, site: str, level: str, status: str) -> None:
        if self.record_membership(site, level, status):
            self.fire("membership.changed", {"site": site, "level": level, "status": status})

    def record_membership(self, site: str, level: str, status: str) -> bool:
        """Write it down without firing; whether it is new."""
        levels = self.contact.memberships.setdefault(site, {})
        if levels.get(level) == status:
            return False
        levels[level] = status
        return True

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

    def cancel_orders(self, product: str) -> None:
        orders.cancel(self, product)

    def recharge(self) -> None:
        orders.recharge(self)

    def assign_task(self, task_id_hint: str, due_ms: int, row: Mapping[str, Any], remind_ms: Sequence[int] = ()) -> str:
        return tasks.assign(self, due_ms, row, remind_ms)

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
