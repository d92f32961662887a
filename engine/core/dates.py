"""Dates: alarms for the date fields that maps listen to, and calendar waits that move when a field changes.

Equal date rules of several maps are one event (`date:FIELD:OFFSET:TIME:YEARLY`), so a contact has one alarm for them all.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from engine.core.compiled import DateRule
from engine.core.contact import WAITING, Alarm, Enrollment, Position
from engine.core.local_time import next_date, zone_of

if TYPE_CHECKING:
    from engine.core.turn import CoreTurn


def fields_changed(turn: CoreTurn, names: Collection[str]) -> None:
    """These fields changed: waits by them move (what is past goes on at once), alarms are set again."""
    for enrollment in turn.contact.enrollments:
        field_waits = turn.workspace.map_of(enrollment).field_waits
        places = {at for name in names for at in field_waits.get(name, ())}
        for position in enrollment.positions if places else ():
            if position.at in places and position.state == WAITING:
                _move_wait(turn, enrollment, position)
    rules = {rule.event: rule for name in names for rule in turn.workspace.dates.get(name, ())}
    for rule in rules.values():
        arm(turn, rule)


def _move_wait(turn: CoreTurn, enrollment: Enrollment, position: Position) -> None:
    due, reason = turn.workspace.map_of(enrollment).calendars[position.at](turn)
    if due == position.due:
        return
    if due:
        turn.stand(position, due)
    elif enrollment.paused_at:
        turn.stand(position, turn.now_ms)
    else:
        turn.tell("moved", enrollment, position.at, {"reason": reason or "the time is past"})
        turn.go(enrollment, position, turn.workspace.map_of(enrollment).after[position.at])


def arm(turn: CoreTurn, rule: DateRule, *, later: bool = False) -> None:
    """Set the alarm of a date rule, or take it away where no date lies ahead. `later`: strictly after now."""
    contact, date = turn.contact, rule.date
    local = zone_of(contact.fields, turn.workspace.zone)
    value = contact.fields.get(date.field)
    due = None if value is None else next_date(turn.now_ms, value, date.offset_ms, date.time, local, yearly=rule.yearly, later=later)
    if any(alarm.map == rule.event and alarm.due == due for alarm in contact.alarms):
        return
    if contact.alarms:
        contact.alarms = [alarm for alarm in contact.alarms if alarm.map != rule.event]
    if due is not None:
        contact.armed += 1
        contact.alarms.append(Alarm(rule.event, 0, due, contact.armed))


def arm_all(turn: CoreTurn) -> None:
    """Set all alarms of a contact, after maps with other dates were published."""
    rules = turn.workspace.date_rules
    turn.contact.alarms = [alarm for alarm in turn.contact.alarms if alarm.map in rules]
    for rule in rules.values():
        arm(turn, rule)


def ring(turn: CoreTurn, alarm: Alarm) -> None:
    """A date has come: its event is fired, and a yearly one is set for the next year."""
    contact = turn.contact
    contact.alarms = [other for other in contact.alarms if other is not alarm]
    rule = turn.workspace.date_rules.get(alarm.map)
    if rule is None:
        return
    if rule.yearly:
        arm(turn, rule, later=True)
    turn.fire(rule.event, {"field": rule.date.field, "date": contact.fields.get(rule.date.field)})
