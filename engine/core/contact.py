"""The contact's record as it is checkpointed: fields, tags, consent, purchases, and its enrollments with their positions.

Everything here is plain data in msgpack arrays (about 93 bytes for a contact in one map). Fields are only ever added at
the end, with defaults. Times are epoch milliseconds, UTC; 0 means none.
"""

from __future__ import annotations

from typing import Any

import msgspec

FORMAT = 1

# What a position is doing.
RUNNING = 0  # queued to run in this step; in a checkpoint only while paused: `due` is when it was stopped, `ref` 1 if its element is done
WAITING = 1  # on a wait: until `due`, or an event
AT_GOAL = 2  # arrived at a goal by the path
RESTING = 3  # on an `end`
CALLING = 4  # on a blocking add, until the child enrollment `ref` lets go
HOLDING = 5  # until a posted record answers (lead router) for the hop `ref`
PARKED = 6  # over a bound; `why` says which. `channel_full:…` is released when the outbox has room

MEMBERSHIP_STATUSES = ("enabled", "suspended", "disabled")
DEFAULT_LEVEL = "default"  # of a membership site, where nobody names one


class Position(msgspec.Struct, array_like=True, gc=False):
    """One place that an enrollment is at. `at` indexes the elements of the map version."""

    number: int
    at: int
    state: int = RUNNING
    due: int = 0
    since: int = 0
    ref: int = 0
    why: str = ""
    armed: int = 0  # numbers the contact's timers in the order in which they were set


class Enrollment(msgspec.Struct, array_like=True, gc=False):
    """One passage of one contact through one version of one map (a sequence's map id is `sequence:ID`)."""

    number: int
    map: str
    version: int
    positions: list[Position] = []
    entered: int = 0
    hops: int = 0
    placed: int = 0  # positions made so far; numbers the next one
    event: dict[str, Any] | None = None  # the event at hand, projected to what the map reads
    entry: dict[str, Any] | None = None  # the event that started it; None: the same as `event`
    key: str = ""  # the value of `per`
    paused_at: int = 0
    kept: list[tuple[int, str, dict[str, Any]]] = []  # events kept while paused: (ms, name, data)
    parent: tuple[int, int] | None = None  # (enrollment, position) that holds on this one
    sent: list[tuple[int, int, int]] = []  # promotional effects that may still be pending: (position, hop, ordinal)
    awaited: bool = False  # a position of another enrollment holds on this one
    outcomes: dict[str, str] = {}  # element → outcome of its completed task, where a wait of the map asks for it


class Purchase(msgspec.Struct, array_like=True, gc=False):
    """All purchases of one product."""

    quantity: float = 0
    total: float = 0
    last: int = 0


class Task(msgspec.Struct, array_like=True, gc=False):
    """An open task for a team member, made by an element of an enrollment."""

    id: str
    enrollment: int
    map: str
    version: int
    element: str
    assigned: int = 0
    due: int = 0
    event: dict[str, Any] | None = None
    entry: dict[str, Any] | None = None
    alarms: list[int] = []  # when its reminders are sent, earliest first; the last is `due`, and says that it is overdue
    armed: int = 0
    to: str = ""  # whom it was assigned to later; empty: to whom its element says
    nested: bool = False  # assigned by an outcome of another task: it has no outcomes and no notices of its own


class Order(msgspec.Struct, array_like=True, gc=False):
    """A payment plan, subscription or trial (`kind`). `status` is open, cancelled or completed; `subscription` is the provider's id."""

    status: str
    kind: str = ""
    product: str = ""
    subscription: str = ""
    currency: str = ""
    amount: float = 0
    at: int = 0  # of the newest fact about it
    by: str = ""  # the effect that cancels it at the provider, until that is settled


class Transaction(msgspec.Struct, array_like=True, gc=False):
    """A charge that succeeded or did not: `status` is charged, declined, collections, pending, refunded or void. `invoice` and `customer` are the provider's ids."""

    status: str = ""
    order: str = ""
    product: str = ""
    invoice: str = ""
    customer: str = ""
    currency: str = ""
    amount: float = 0
    at: int = 0  # of the newest fact about it
    by: str = ""  # the effect that recharges it, until that is settled
    since: int = 0  # when that was decided


class Alarm(msgspec.Struct, array_like=True, gc=False):
    """A date that some map listens to, armed for this contact: at `due` the event `map` (`date:birthday…`, see dates.py) comes."""

    map: str
    trigger: int
    due: int
    armed: int = 0


class Contact(msgspec.Struct, array_like=True, gc=False):
    """A person, as the engine remembers them."""

    format: int
    id: str
    born: int = 0  # offset of the record that made it: keeps effect ids apart when an id is erased and comes back
    fields: dict[str, Any] = {}
    tags: list[str] = []  # in the order in which they were added
    consent: dict[str, str] = {}
    enrollments: list[Enrollment] = []
    enrolled: int = 0
    past: dict[str, tuple[int, int]] = {}  # "map" or "map\x00key" → (times, last entry ms), for `never` and `cooldown`
    purchases: dict[str, Purchase] = {}
    tasks: list[Task] = []
    alarms: list[Alarm] = []
    sends: dict[str, list[int]] = {}  # channel → times of promotional sends, where a cap counts them
    memberships: dict[str, dict[str, str]] = {}  # site → level → status
    indexed: int = 0  # the due time that stands in the partition's index; never later than the real one
    armed: int = 0  # timers set so far
    orders: dict[str, Order] = {}  # by the shop's id
    transactions: dict[str, Transaction] = {}
    held: dict[str, tuple[str, int]] = {}  # effects that caps count and that wait for a time: (channel, when)


def due_of(contact: Contact) -> int:
    """The earliest time at which this contact wants to be stepped; 0 where it waits for nothing but events.

    A paused enrollment's clocks run on, but nothing is done before it is unpaused.
    """
    due = 0
    for enrollment in contact.enrollments:
        if enrollment.paused_at:
            continue
        for position in enrollment.positions:
            if position.due and (not due or position.due < due):
                due = position.due
    for alarm in contact.alarms:
        if not due or alarm.due < due:
            due = alarm.due
    for task in contact.tasks:
        if task.alarms and (not due or task.alarms[0] < due):
            due = task.alarms[0]
    return due
