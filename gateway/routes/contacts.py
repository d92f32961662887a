"""Contacts: change many (ingestion, like events), read one, look up by address or number, erase one."""

from __future__ import annotations

import re
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from aiohttp import web

from engine.codec import decode_contact
from engine.config import Config
from engine.core import contact as states
from engine.core.contact import Contact, Enrollment, Order, Position, Transaction
from engine.core.guard import STATUSES
from engine.core.index import start_of
from engine.core.names import field_fault
from engine.core.partitioning import partition_of
from engine.core.records import Erase, Update
from engine.core.workspace import Workspace
from gateway.ingestion import Item, check_contact, check_text, ingest
from gateway.problems import Refusal
from gateway.requests import ContactIn
from gateway.routing import Call, Route, json_answer

CHANNEL = re.compile(r"[a-z][a-z0-9_]{0,31}")
# What a client is told that a position is doing.
STATES = {
    states.RUNNING: "running",
    states.WAITING: "waiting",
    states.AT_GOAL: "at_goal",
    states.RESTING: "resting",
    states.CALLING: "calling",
    states.HOLDING: "holding",
    states.PARKED: "parked",
}


@cache
def timezones() -> frozenset[str]:
    """The IANA names, read once."""
    return frozenset(available_timezones())


def contact_record(given: ContactIn, config: Config) -> Update:
    """A change of a contact as it stands in the log; ValueError says what is wrong with it."""
    check_contact(given.contact, config)
    fields = given.fields if given.timezone is None else {**given.fields, "timezone": given.timezone}
    for name in fields:
        fault = field_fault(name)
        if fault:
            raise ValueError(fault)
    zone = fields.get("timezone")
    if zone is not None and (not isinstance(zone, str) or zone not in timezones()):
        raise ValueError(f"`timezone` must be an IANA name such as Europe/Paris, not {str(zone)[:60]!r}")
    tags = given.tags
    for tag in (*tags.add, *tags.remove) if tags else ():
        check_text("tags", tag)
    for channel, status in given.consent.items():
        if not CHANNEL.fullmatch(channel):
            raise ValueError(f"`consent`: {channel[:60]!r} is not the name of a channel")
        if status not in STATUSES:
            raise ValueError(f"`consent.{channel}` must be one of {', '.join(STATUSES)}")
    return Update(given.contact, fields, tags.add if tags else [], tags.remove if tags else [], given.consent)


CONTACTS = Item(ContactIn, contact_record)


async def post_contacts(call: Call) -> web.Response:
    """Make or change contacts."""
    return await ingest(call, CONTACTS, "contacts")


async def get_contact(call: Call) -> web.Response:
    """One contact as it was checkpointed last, with the elements where it stands."""
    raw = await call.services.directory.contact(call.named("id"))
    if raw is None:
        raise Refusal("not-found", "There is no such contact.")
    return json_answer(shown(decode_contact(raw), await call.services.published.workspace()))


async def find_contacts(call: Call) -> web.Response:
    """The ids of the contacts with an email address or a phone number, as of the last commits."""
    email, phone = call.query("email"), call.query("phone")
    if bool(email) == bool(phone):
        raise Refusal("invalid-request", "Give either `email` or `phone`.")
    # The index holds numbers in E.164, and an unescaped + of a query arrives as a space.
    kind, value = ("email", email) if email else ("phone", f"+{phone.lstrip(' +')}")
    if not start_of(kind, value):
        raise Refusal("invalid-request", f"`{kind}` must be {'an address' if email else 'a number such as +12025550123'}.")
    return json_answer({"contacts": await call.services.directory.find(kind, value)})


async def delete_contact(call: Call) -> web.Response:
    """Erase one contact; done when the shard comes to the record."""
    contact, config = call.named("id"), call.services.config
    try:
        check_contact(contact, config)
    except ValueError as error:
        raise Refusal("invalid", str(error)) from None
    call.services.admission.check_open()
    await call.services.admission.append_one(Erase(contact), partition_of(contact, config.partitions))
    await call.audit("erase contact", contact=contact)
    return json_answer({"accepted": 1}, 202)


def shown(contact: Contact, workspace: Workspace | None) -> dict[str, Any]:
    """A contact as clients see it; times are epoch milliseconds."""
    return {
        "contact": contact.id,
        "fields": contact.fields,
        "tags": contact.tags,
        "consent": contact.consent,
        "purchases": {name: {"quantity": one.quantity, "total": one.total, "last_ms": one.last} for name, one in contact.purchases.items()},
        "memberships": contact.memberships,
        "orders": {name: _payment(one) for name, one in contact.orders.items()},
        "transactions": {name: _payment(one) for name, one in contact.transactions.items()},
        "tasks": [{"id": task.id, "map": task.map, "element": task.element, "assigned_ms": task.assigned, "due_ms": task.due} for task in contact.tasks],
        "enrollments": [_enrollment(enrollment, workspace) for enrollment in contact.enrollments],
    }


def _payment(one: Order | Transaction) -> dict[str, Any]:
    """An order or a transaction, without what is empty."""
    kept = {name: value for name in one.__struct_fields__ if name not in ("at", "by", "since") and (value := getattr(one, name))}
    under_way = {"recharging" if isinstance(one, Transaction) else "cancelling": True} if one.by else {}
    return {**kept, **under_way, "at_ms": one.at}


def _enrollment(enrollment: Enrollment, workspace: Workspace | None) -> dict[str, Any]:
    return {
        "map": enrollment.map,
        "version": enrollment.version,
        "status": _status(enrollment),
        "entered_ms": enrollment.entered,
        "positions": [_position(enrollment, position, workspace) for position in enrollment.positions],
    }


def _status(enrollment: Enrollment) -> str:
    if enrollment.paused_at:
        return "paused"
    found = {position.state for position in enrollment.positions}
    if states.PARKED in found:
        return "parked"
    return "resting" if found == {states.RESTING} else "active"


def _position(enrollment: Enrollment, position: Position, workspace: Workspace | None) -> dict[str, Any]:
    version = workspace.map_version(enrollment.map, enrollment.version) if workspace else None
    element = version.ids[position.at] if version and position.at < len(version.ids) else str(position.at)
    body: dict[str, Any] = {"element": element, "state": STATES.get(position.state, str(position.state)), "since_ms": position.since}
    if position.due:
        body["due_ms"] = position.due
    if position.why:
        body["why"] = position.why
    return body


ROUTES = [
    Route(
        method="POST",
        path="/v1/contacts",
        handler=post_contacts,
        scope="ingest",
        summary="Make or change contacts: one, a JSON array, or NDJSON.",
        body=ContactIn | list[ContactIn],
        kinds=("application/json", "application/x-ndjson"),
        status=202,
    ),
    Route(
        method="GET",
        path="/v1/contacts",
        handler=find_contacts,
        scope="read",
        summary="The contacts with an email address or a phone number.",
        query=("email", "phone"),
    ),
    Route(method="GET", path="/v1/contacts/{id}", handler=get_contact, scope="read", summary="One contact, with its positions."),
    Route(method="DELETE", path="/v1/contacts/{id}", handler=delete_contact, scope="admin", summary="Erase one contact.", status=202),
]
