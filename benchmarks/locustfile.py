"""The canonical workload from locust, for those who want its charts or many client machines: slower than load.py, and interactive.

    WAYFARE_KEY=… .venv/bin/locust -f benchmarks/locustfile.py --host http://127.0.0.1:8080

Each user posts batches of 1,000 events, closed loop. Publish the workload's map first if effects are wanted (workload.documents).
"""

from __future__ import annotations

import os
from itertools import count

from locust import HttpUser, task

from benchmarks import workload

BODIES_PER_USER = 50
users = count(1)


class Sender(HttpUser):
    """A system that sends its events in batches."""

    def on_start(self) -> None:
        self.bodies = workload.make(os.getpid() * 1_000 + next(users), BODIES_PER_USER * workload.BATCH_EVENTS).bodies
        self.turn = 0

    @task
    def send(self) -> None:
        body = self.bodies[self.turn % len(self.bodies)]
        self.turn += 1
        headers = {"Authorization": f"Bearer {os.environ['WAYFARE_KEY']}", "Content-Type": "application/json"}
        self.client.post("/v1/events", data=body, headers=headers)
