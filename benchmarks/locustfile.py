"""What a sender's systems do, from locust, for those who want its charts, its load shapes or many client machines: slower than load.py, and interactive.

    WAYFARE_KEY=… .venv/bin/locust -f benchmarks/locustfile.py --host http://127.0.0.1:8080
    WAYFARE_KEY=… WAYFARE_SHAPE=spike WAYFARE_SHAPE_USERS=40 WAYFARE_SHAPE_SECONDS=120 .venv/bin/locust -f benchmarks/locustfile.py --headless --host …

Three users: a shop that posts batches of 1,000 events without a pause; a web site that posts events one by one and in handfuls, and imports contacts; a
support desk that reads contacts and statistics. Closed loops; shapes.py has the shapes. Publish the workload's map first if effects are wanted
(workload.documents).
"""

from __future__ import annotations

import os
from itertools import count

import msgspec
from locust import HttpUser, LoadTestShape, between, constant, task

from benchmarks import shapes, workload

BODIES_PER_USER = 20
KNOWN_CONTACTS = 1_000
users = count(1)


class Client(HttpUser):
    """What all of them have: a key, and a number of their own, of which ids are made that nobody else uses."""

    abstract = True

    def on_start(self) -> None:
        self.name = f"{os.getpid()}-{next(users)}"
        self.turn = 0
        self.client.headers["Authorization"] = f"Bearer {os.environ['WAYFARE_KEY']}"

    def contact(self) -> str:
        """One contact after the other."""
        self.turn += 1
        return f"c{self.turn % KNOWN_CONTACTS}"


class Shop(Client):
    """A system that sends its events in batches."""

    wait_time = constant(0)
    weight = 1

    def on_start(self) -> None:
        super().on_start()
        made = workload.make(int(self.name.replace("-", "")), BODIES_PER_USER * workload.BATCH_EVENTS)
        self.bodies = made.bodies

    @task
    def batch(self) -> None:
        body = self.bodies[self.turn % len(self.bodies)]
        self.turn += 1
        self.client.post("/v1/events", data=body, headers={"Content-Type": "application/json"}, name="/v1/events, 1,000")


class Site(Client):
    """A web site: each visitor is a request or two."""

    wait_time = between(0.01, 0.05)
    weight = 4

    @task(10)
    def event(self) -> None:
        contact = self.contact()
        event = {"id": f"{self.name}-{self.turn}", "contact": contact, "name": "order.placed", "data": {"total": 20 + self.turn % 100, "notify": False}}
        self.client.post("/v1/events", json=event, name="/v1/events, one")

    @task(4)
    def handful(self) -> None:
        events = [{"id": f"{self.name}-{self.turn}-{number}", "contact": self.contact(), "name": "page.viewed", "data": {"path": "/"}} for number in range(10)]
        lines = b"\n".join(map(msgspec.json.encode, events))
        self.client.post("/v1/events", data=lines, headers={"Content-Type": "application/x-ndjson"}, name="/v1/events, ten lines")

    @task(2)
    def contacts(self) -> None:
        contact = self.contact()
        self.client.post("/v1/contacts", json={"contact": contact, "fields": {"email": f"{contact}@example.com"}, "tags": {"add": ["seen"]}})


class Desk(Client):
    """People who look things up. A contact that is not there yet is no failure."""

    wait_time = between(0.1, 0.5)
    weight = 1

    @task(4)
    def look(self) -> None:
        with self.client.get(f"/v1/contacts/{self.contact()}", name="/v1/contacts/{id}", catch_response=True) as answer:
            if answer.status_code in (200, 404):
                answer.success()

    @task(1)
    def stats(self) -> None:
        with self.client.get(f"/v1/maps/{workload.MAP_ID}/stats", catch_response=True) as answer:
            if answer.status_code in (200, 404):
                answer.success()


if os.environ.get("WAYFARE_SHAPE"):

    class Shape(LoadTestShape):
        """The shape that WAYFARE_SHAPE names."""

        def tick(self) -> tuple[int, float] | None:
            seconds, users_max = float(os.environ.get("WAYFARE_SHAPE_SECONDS", "300")), int(os.environ.get("WAYFARE_SHAPE_USERS", "50"))
            return shapes.tick(shapes.SHAPES[os.environ["WAYFARE_SHAPE"]], self.get_run_time(), seconds, users_max)
