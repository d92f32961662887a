"""The CDNOW purchases as requests, at the demo's pace, and what must come of them whatever the engine does.

One day of 1997 lasts `day_ms`. Purchases are sent in the order of their dates over one connection, so each customer's arrive
in their order. Names, addresses, numbers and consent are made from the customer's number: one in five opted in to SMS, one in
fifty wants only transactional email, one in a hundred wants none at all.
"""

from __future__ import annotations

import csv
import gzip
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from benchmarks.deployment import Api
from engine.core.times import parse_duration

FILE = Path(__file__).parent / "cdnow.csv.gz"
AGAIN_S = 0.2
SINK = "http://127.0.0.1:2526"  # as the workspace writes it; the demo puts in the port that the sink got
BATCH_CONTACTS = 1_000
REPEATED = 1_000  # orders that are sent a second time at the end
VIP_DOLLARS = 200
DURATIONS = frozenset({"wait", "timeout", "cooldown", "after"})
NAMES = ("Ann", "Bob", "Cyd", "Dan", "Eva", "Finn", "Gus", "Hal", "Ida", "Jon", "Kay", "Leo", "Mia", "Ned", "Ona", "Pam", "Ray", "Sue", "Tom", "Una")


class Order(NamedTuple):
    """One purchase."""

    id: str
    customer: str
    day: date
    cds: int
    dollars: float


class Truth(msgspec.Struct):
    """What the data alone says must arrive."""

    customers: int
    thanks: set[str]  # addresses of those who get the first thank-you
    texts: set[str]  # numbers that opted in
    vips: set[str]  # addresses of those whose purchases reach 200 dollars


def read_orders(file: Path = FILE) -> list[Order]:
    """All purchases by date; those of one day in the order of the file."""
    with gzip.open(file, "rt", newline="") as lines:
        rows = [
            Order(f"cdnow-{number}", row["customer"], date.fromisoformat(row["date"]), int(row["cds"]), float(row["dollars"]))
            for number, row in enumerate(csv.DictReader(lines), 1)
        ]
    return sorted(rows, key=lambda order: order.day)


def part_of(orders: list[Order], customers: int | None, days: int | None) -> list[Order]:
    """The purchases of the first customers in the first days; all where None."""
    last = orders[0].day + timedelta(days=days) if days else date.max
    return [order for order in orders if order.day < last and (customers is None or int(order.customer) <= customers)]


def contact_of(customer: str) -> dict[str, Any]:
    """A customer as `POST /v1/contacts` takes it."""
    number = int(customer)
    fields: dict[str, Any] = {"first_name": NAMES[number % len(NAMES)], "email": f"{customer}@example.com"}
    consent: dict[str, str] = {}
    if number % 5 == 0:
        fields["phone"] = f"+1202555{number // 5:04d}"
        consent["sms"] = "subscribed"
    if number % 50 == 26:
        consent["email"] = "transactional_only"
    if number % 100 == 51:
        consent["email"] = "unsubscribed"
    return {"contact": f"customer-{customer}", "fields": fields, "consent": consent}


def event_of(order: Order) -> dict[str, Any]:
    """A purchase as `POST /v1/events` takes it; its date is data, the engine's clock is now."""
    data = {"total": order.dollars, "cds": order.cds}
    return {"id": order.id, "contact": f"customer-{order.customer}", "name": "order.placed", "time": f"{order.day}T12:00:00Z", "data": data}


def truth_of(orders: list[Order]) -> Truth:
    """What must arrive, reckoned from the purchases as the maps mean it."""
    spent: dict[str, float] = {}
    for order in orders:
        spent[order.customer] = spent.get(order.customer, 0) + order.dollars
    contacts = [contact_of(customer) for customer in spent]
    return Truth(
        customers=len(spent),
        thanks={found["fields"]["email"] for found in contacts if found["consent"].get("email") != "unsubscribed"},
        texts={found["fields"]["phone"] for found in contacts if "sms" in found["consent"]},
        vips={f"{customer}@example.com" for customer, dollars in spent.items() if dollars >= VIP_DOLLARS},
    )


def adapted(node: Any, day_ms: int, sink_url: str) -> Any:
    """A copy of the workspace's documents with durations at the demo's pace and the sink's real address.

    ValueError where a duration is no whole number of seconds at that pace.
    """
    if isinstance(node, Mapping):
        return {
            name: _shortened(value, day_ms) if name in DURATIONS and isinstance(value, str) else adapted(value, day_ms, sink_url)
            for name, value in node.items()
        }
    if isinstance(node, list):
        return [adapted(value, day_ms, sink_url) for value in node]
    return node.replace(SINK, sink_url) if isinstance(node, str) else node


def _shortened(duration: str, day_ms: int) -> str:
    """`20d` as `1s` where a day lasts 50 ms."""
    seconds, rest = divmod(parse_duration(duration) * day_ms, 24 * 3_600_000 * 1_000)
    if rest:
        raise ValueError(f"{duration} is no whole number of seconds if a day lasts {day_ms} ms")
    return f"{seconds}s"


class Replay:
    """Sends everything; runs in a thread of its own. Its counts may be read at any time."""

    def __init__(self, api: Api, orders: list[Order], day_ms: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._api, self._orders, self._day_s, self._clock = api, orders, day_ms / 1000, clock
        self.contacts = 0
        self.events = 0
        self.repeated = 0
        self.day = orders[0].day
        self.begun_s = self.ended_s = 0.0
        self.latencies_ms: list[float] = []

    def introduce(self) -> None:
        """Send all contacts, before the first purchase."""
        customers = sorted({order.customer for order in self._orders})
        for start in range(0, len(customers), BATCH_CONTACTS):
            self.contacts += self._post("/v1/contacts", [contact_of(customer) for customer in customers[start : start + BATCH_CONTACTS]])

    def run(self) -> None:
        """Send the purchases, day by day; days that are overdue go in one request."""
        self.begun_s = self._clock()
        for orders in self._due():
            self.events += self._post("/v1/events", [event_of(order) for order in orders])
        self.ended_s = self._clock()

    def repeat(self) -> None:
        """Send the last purchases once more, as a client does that lost the answer; they must change nothing."""
        self.repeated = self._post("/v1/events", [event_of(order) for order in self._orders[-REPEATED:]])

    def _due(self) -> Iterator[list[Order]]:
        days = [list(orders) for _, orders in groupby(self._orders, key=lambda order: order.day)]
        first, waiting = self._orders[0].day, []
        for orders in days:
            waiting += orders
            self.day = orders[0].day
            ahead_s = self.begun_s + (self.day - first).days * self._day_s - self._clock()
            if ahead_s > 0 or len(waiting) > REPEATED:
                time.sleep(max(0, ahead_s))
                yield waiting
                waiting = []
        if waiting:
            yield waiting

    def _post(self, path: str, items: list[dict[str, Any]]) -> int:
        """Post a batch, again with the same ids where no answer came; how many were accepted."""
        begun = self._clock()
        while int(self._api.insist("POST", path, items)["accepted"]) < len(items):
            time.sleep(AGAIN_S)  # a part of the log was away or full: what is in it is found to be sent twice
        self.latencies_ms.append((self._clock() - begun) * 1000)
        return len(items)
