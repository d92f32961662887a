"""The canonical workload: one map, and seeded events of 100,000 contacts drawn by Zipf's law with exponent 1.0.

The same seed makes the same bytes on every machine. Every event has an id of its own, and one in `REPEAT_EVERY` is sent
twice, so dedupe is real; one in `NOTIFY_EVERY` decides an email. What must come of the events is counted while they are made.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import msgspec

CONTACTS = 100_000
BATCH_EVENTS = 1_000
NOTIFY_EVERY = 10
REPEAT_EVERY = 200
SMALL_EVERY = 20  # one in this many is below the trigger's predicate

MAP_ID = "benchmark"
MAP: dict[str, Any] = {
    "map": MAP_ID,
    "title": "The canonical workload",
    "reentry": "restart",
    "triggers": [{"event": "order.placed", "where": {"event.total": {"gte": 10}}}],
    "path": [
        {"id": "big", "if": {"event.total": {"gte": 100}}, "then": [{"id": "tag", "change_tags": {"add": ["big"]}}]},
        {"id": "field", "update_contact": {"set": {"last_total": {"value_of": "event.total"}}}},
        {
            "id": "chosen",
            "if": {"event.notify": True},
            "then": [{"id": "tell", "send_email": {"template": "receipt", "transactional": True}}],
        },
        {"id": "later", "wait": "30d"},
        {"id": "exit", "exit": True},
    ],
}


RECEIPT = """---
subject: Your order
---
<p>Thank you. You paid {{ event.total }} {{ event.currency }} for {{ event.cds }} CDs.</p>
"""


def zipf(exponent: float) -> Callable[[int], list[float]]:
    """Weights of so many contacts by Zipf's law, the most popular first."""
    return lambda contacts: [1 / rank**exponent for rank in range(1, contacts + 1)]


def hot(contacts: int) -> list[float]:
    """One contact has a tenth of all events, the others have equal shares."""
    return [(contacts - 1) / 9, *[1.0] * (contacts - 1)]


CANONICAL = "zipf-1.0"
DRAWS: dict[str, Callable[[int], list[float]]] = {CANONICAL: zipf(1.0), "zipf-1.2": zipf(1.2), "uniform": zipf(0.0), "hot": hot}


class Expected(msgspec.Struct):
    """What must come of a workload, however it is cut into requests."""

    sent: int = 0
    distinct: int = 0
    enrolled: int = 0
    emails: int = 0


class Workload(msgspec.Struct):
    """Bodies for `POST /v1/events`, each a JSON array, and what must come of them."""

    bodies: list[bytes]
    expected: Expected


def documents(smtp_port: int) -> dict[str, Any]:
    """The workspace: the map, its template, the sink as the mail server, and no limits."""
    return {
        "maps": [MAP],
        "sequences": [],
        "templates": {"receipt": RECEIPT},
        "products": {},
        "team": {},
        "routers": {},
        "fulfillment": {},
        "limits": {"timezone": "UTC"},
        "providers": {"email": {"provider": "smtp", "host": "127.0.0.1", "port": smtp_port, "from": "Shop <shop@example.com>", "tls": "never"}},
    }


def contact_bodies(contacts: int, batch: int = BATCH_EVENTS) -> list[bytes]:
    """Bodies for `POST /v1/contacts`: everybody's address, imported before anything is measured."""
    items = [msgspec.json.encode({"contact": f"c{number}", "fields": {"email": f"c{number}@example.com"}}) for number in range(contacts)]
    return [b"[" + b",".join(items[start : start + batch]) + b"]" for start in range(0, len(items), batch)]


def make(seed: int, events: int, contacts: int = CONTACTS, batch: int = BATCH_EVENTS, draw: str = CANONICAL) -> Workload:
    """`events` events in requests of `batch`, of contacts `c0` … in an order of popularity that the seed shuffles and `draw` weighs."""
    chance = random.Random(seed)
    names = [f"c{number}" for number in range(contacts)]
    chance.shuffle(names)
    drawn = chance.choices(names, cum_weights=list(accumulate(DRAWS[draw](contacts))), k=events)
    expected = Expected()
    items: list[bytes] = []
    for number, contact in enumerate(drawn):
        if number % REPEAT_EVERY == REPEAT_EVERY - 1:
            items.append(items[-1])
            continue
        small, notify = number % SMALL_EVERY == 1, number % NOTIFY_EVERY == 0
        total = 5.0 if small else round(10 + chance.random() * 190, 2)
        data = {"total": total, "notify": notify, "currency": "USD", "cds": 1 + number % 5}
        items.append(msgspec.json.encode({"id": f"{seed}-{number}", "contact": contact, "name": "order.placed", "data": data}))
        expected.distinct += 1
        expected.enrolled += not small
        expected.emails += notify
    expected.sent = len(items)
    bodies = [b"[" + b",".join(items[start : start + batch]) + b"]" for start in range(0, len(items), batch)]
    return Workload(bodies, expected)
