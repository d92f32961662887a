"""The step: one contact advanced by its own due timers and then by one record. Pure: time comes in, everything decided goes out in `changes`.

Timers that are due by the record's stamp fire first, each to the end of its queue. The same record on the same bytes always
decides the same effects with the same ids.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

from engine.core import dates, fulfillment, index, leaving, live_edit, orders, tasks, timers, triggers
from engine.core.contact import DEFAULT_LEVEL, FORMAT, HOLDING, MEMBERSHIP_STATUSES, PARKED, RUNNING, Contact
from engine.core.effects import Changes, Row
from engine.core.guard import ENDING, ERASED, STATUSES, ended, marks, tightened
from engine.core.local_time import iso
from engine.core.names import name_fault
from engine.core.outcomes import Fact, apply_outcome, facts_of
from engine.core.records import Command, Erase, Event, Outcome, Posted, Record, Update
from engine.core.turn import CoreTurn
from engine.core.workspace import Workspace

_BLANK = 0  # the format of a contact that was erased
_WISHES = frozenset({"unsubscribed", "complained"})


def step(contact: Contact, record: Record | None, now_ms: int, workspace: Workspace, changes: Changes, full: Container[str] = ()) -> None:
    """Advance a contact: first its timers due by `now_ms`, then `record` (None: timers only). It is changed in place.

    `full` holds the places ("channel/dest") whose outbox is full: positions park at their actions. What a step decides is
    added to `changes`. Bounds park with a reason; nothing here raises for what a contact or an event holds.
    """
    turn: CoreTurn | None = changes.turn
    if turn is None or turn.workspace is not workspace:
        turn = turn_of(workspace, changes)
    turn.full = full
    turn.begin(contact, now_ms)
    if contact.format != FORMAT:
        contact.format = FORMAT
    if contact.enrollments or contact.alarms or contact.tasks:
        if workspace.follows:
            live_edit.follow(turn)
            turn.drain()
        if timers.is_due(contact, now_ms):
            while timers.fire_next(turn) and timers.is_due(contact, now_ms):  # to ask is cheaper than to look for the next in vain
                pass
            if record is not None:
                turn.begin(contact, now_ms)
    if record is not None:
        apply = _APPLY.get(record.__class__)
        if apply is not None:
            apply(turn, record)
            turn.drain()


def step_timer(contact: Contact, now_ms: int, workspace: Workspace, changes: Changes) -> bool:
    """Fire only the earliest timer that is due; False where there is none. For the simulator, which takes all contacts' timers in turn."""
    turn = turn_of(workspace, changes)
    turn.full = ()
    turn.begin(contact, now_ms)
    return timers.fire_next(turn)


def turn_of(workspace: Workspace, changes: Changes) -> CoreTurn:
    """The turn of this batch; a new one where the workspace changed."""
    turn: CoreTurn | None = changes.turn
    if turn is None or turn.workspace is not workspace:
        if turn is not None:
            turn.tally_up()
        turn = changes.turn = CoreTurn(workspace, changes)
    return turn


def is_blank(contact: Contact) -> bool:
    """Whether a contact was erased and nothing came after: its checkpoint is to be deleted."""
    return contact.format == _BLANK


# -- records ---------------------------------------------------------------------------------------------------------------


def _event(turn: CoreTurn, record: Event) -> None:
    """A fact. Some facts are also kept: purchases, and what ends consent."""
    data: Mapping[str, Any] = record.data
    if record.time is not None and "time" not in data:
        data = {**data, "time": iso(record.time)}
    _fact(turn, record.name, data)


def _fact(turn: CoreTurn, name: str, data: Mapping[str, Any]) -> None:
    """Keep a fact and fire it, or what stands in its place."""
    kept = _KEPT.get(name)
    told = None if kept is None else kept(turn, name, data)
    for fact in [(name, data)] if told is None else told:
        turn.fire(*fact)


def _purchased(turn: CoreTurn, name: str, data: Mapping[str, Any]) -> None:
    product = data.get("product")
    if not isinstance(product, str) or not product:
        return
    listed = turn.workspace.products.get(product)
    price = data.get("price", listed.get("price", 0) if isinstance(listed, Mapping) else 0)
    turn.record_purchase(product, _number(data.get("quantity", 1), 1), _number(price, 0))


def _number(value: Any, otherwise: float) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf") else otherwise


def _consent_ended(turn: CoreTurn, name: str, data: Mapping[str, Any]) -> None:
    _put_consent(turn, ended(name, data, turn.workspace.default_consent), tighten=True)


def _membership_changed(turn: CoreTurn, name: str, data: Mapping[str, Any]) -> None:
    """A membership site says so, or a script. What can't be a site, a level or a status is only an event."""
    site, level, status = data.get("site"), data.get("level", DEFAULT_LEVEL), data.get("status")
    if status in MEMBERSHIP_STATUSES and not name_fault(site) and not name_fault(level):
        turn.record_membership(site, level, status)  # type: ignore[arg-type]  # a name without a fault is text


# What is kept of a fact. Where a function gives facts, they are fired in the place of the one that came: none where it was no news.
_KEPT: dict[str, Callable[[CoreTurn, str, Mapping[str, Any]], list[Fact] | None]] = {
    "purchased": _purchased,
    "membership.changed": _membership_changed,
    **dict.fromkeys(ENDING, _consent_ended),
    **dict.fromkeys(orders.EVENTS, orders.hear),
}


def _put_consent(turn: CoreTurn, consent: Mapping[str, str], *, tighten: bool = False) -> list[tuple[str, str]]:
    """Set consent by channel; the channels (and statuses) that were unsubscribed by it. The guard hears of every change.

    `tighten`: a channel on which nothing at all may be sent stays so, and what the contact wished outlasts a bad address.
    """
    contact = turn.contact
    stopped = []
    changed = False
    for channel, wanted in consent.items():
        old = contact.consent.get(channel)
        if tighten and wanted == "bounced" and old in _WISHES:
            changed = True  # the guard had heard of the bounce before
            continue
        effective = old or turn.workspace.default_consent.get(channel, "unsubscribed")
        status = tightened(effective, wanted) if tighten else wanted
        if status not in STATUSES or status == old:
            continue
        contact.consent[channel] = status
        changed = True
        if status in ("unsubscribed", "transactional_only") and status != effective:
            stopped.append((channel, status))
    if changed:
        turn.changes.guard[contact.id] = marks(contact.consent)
    return stopped


def _update(turn: CoreTurn, record: Update) -> None:
    """Everything is changed first; then the events come in order: fields, tags added, tags removed, consent."""
    changed = turn.put_fields(record.fields)
    added, removed = turn.put_tags(record.tags_add, record.tags_remove)
    stopped = _put_consent(turn, record.consent, tighten=record.tighten)
    if changed:
        turn.fields_changed(changed)
    turn.tags_changed(added, removed)
    for channel, status in stopped:
        turn.fire("unsubscribed", {"channel": channel, "status": status})


def _command(turn: CoreTurn, record: Command) -> None:
    match record.verb:
        case "add_to":
            triggers.add(turn, record.map)
        case "remove_from":
            turn.remove(record.map)
        case "pause":
            turn.pause(record.map)
        case "unpause":
            turn.unpause(record.map)
        case "release":
            _release(turn, record.map)
        case "complete_task":
            tasks.complete(turn, record.map, str(record.data.get("outcome", "")), str(record.data.get("by", "")))
        case "assign_task":
            tasks.reassign(turn, record.map, record.data)
        case "arm":
            dates.arm_all(turn)


def _release(turn: CoreTurn, place: str) -> None:
    """The outbox has room again: what was parked at this place runs its element again, in the order in which it was parked."""
    why = f"channel_full:{place}"
    found = [(enrollment, position) for enrollment in turn.contact.enrollments for position in enrollment.positions if position.why == why]
    for enrollment, position in sorted(found, key=lambda item: item[1].since):
        if position.state != PARKED:
            continue
        if enrollment.paused_at:
            position.state, position.ref, position.why = RUNNING, 0, ""
            turn.stand(position, turn.now_ms)
        else:
            turn.wake(enrollment, position)


def _outcome(turn: CoreTurn, record: Outcome) -> None:
    if record.action == "assign_task":
        tasks.complete(turn, record.effect, str(record.data.get("outcome") or record.status))
        return
    found = apply_outcome(record)
    if found is not None:
        name, data, consent = found
        if consent:
            _put_consent(turn, consent, tighten=True)
        turn.fire(name, data)
    for fact in facts_of(record):
        _fact(turn, *fact)
    if record.action in (orders.CANCELS, orders.RECHARGES):
        orders.settled(turn, record)


def _posted(turn: CoreTurn, record: Posted) -> None:
    """A router's answer: the owner is known, and the position that held goes on."""
    data, contact = record.data, turn.contact
    number = data.get("enrollment", 0)
    if record.kind != "owner" or number > contact.enrolled:
        return
    if data.get("owner"):
        turn.set_fields({"owner": data["owner"]})
    for enrollment in contact.enrollments:
        if enrollment.number != number:
            continue
        for position in enrollment.positions:
            if position.number == data.get("position") and position.state == HOLDING and position.ref == data.get("hop", position.ref):
                leaving.go_on(turn, enrollment, position)
                return


def _erase(turn: CoreTurn, record: Erase) -> None:
    """Forget the contact: enrollments end as erased, what may be pending is withdrawn, the guard refuses the rest."""
    contact, changes = turn.contact, turn.changes
    for enrollment in list(contact.enrollments):
        leaving.withdraw(turn, enrollment, {entry[0] for entry in enrollment.sent})
        enrollment.awaited = False
        for position in enrollment.positions:
            position.ref = 0
        leaving.end(turn, enrollment, "erased")
    changes.rows.extend(Row(tasks.TABLE, task.id, None) for task in contact.tasks)
    changes.rows.extend(Row(table, contact.id, None) for name in turn.workspace.fulfillment for table in fulfillment.tables_of(name))
    changes.guard[contact.id] = ERASED
    changes.index.update(dict.fromkeys(index.entries(contact.id, contact.fields), False))
    contact.fields, contact.tags, contact.consent, contact.past = {}, [], {}, {}
    contact.purchases, contact.tasks, contact.alarms, contact.sends, contact.memberships = {}, [], [], {}, {}
    contact.held = {}
    contact.orders, contact.transactions = {}, {}
    contact.format = _BLANK


_APPLY: dict[type, Callable[[CoreTurn, Any], None]] = {
    Event: _event,
    Update: _update,
    Command: _command,
    Outcome: _outcome,
    Posted: _posted,
    Erase: _erase,
}
