"""A contact as a user of a task queue would keep it: JSON in Redis under its id, changed by redis-py's optimistic transaction; and what a task does with it.

WATCH, read, decide, MULTI, write, EXEC, and anew where another worker was there in between: task queues give a contact to several workers at once. The id
of every event is kept with the task that applied it. The same event in another task changes nothing, while a task that is delivered again after a crash
finds its own name, and sends its receipt once more. The 30 days are a sorted set of due times, as these queues recommend for waits that are longer than
hours (a periodic task would take from it what is due; nothing is, within a run).
"""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any

from redis import Redis
from redis.exceptions import WatchError

from benchmarks.peers.inside import journey

REDIS_URL = os.environ["PEER_REDIS"]
SMTP_PORT = int(os.environ["PEER_SMTP_PORT"])
COUNTS, DUE = "counts", "due"
SEEN_S = 24 * 3600  # so long is the id of an event kept


def keys(event: dict[str, Any]) -> tuple[str, str]:
    """Where the contact is kept, and who applied the event."""
    return f"contact:{event['contact']}", f"event:{event['id']}"


class Decision:
    """What one look at the contact decides. `told` is the address that gets a receipt, empty for nobody."""

    def __init__(self, event: dict[str, Any], task: str, read: list[Any]) -> None:
        found, by = read  # what is kept under the two keys
        self._event, self._task = event, task
        self._contact = json.loads(found)
        self.duplicate = by is not None and by != task.encode()
        self.applied_before = by is not None
        self._enrolled = journey.step(self._contact, event, time.time())
        self.told: str = self._contact["email"] if self._enrolled and not self.duplicate and journey.is_told(event) else ""

    def write(self, pipe: Any) -> None:
        """Put all changes into an open transaction, of a client of either sort."""
        contact, seen = keys(self._event)
        pipe.set(seen, self._task, ex=SEEN_S)
        pipe.hincrby(COUNTS, "applied", 1)
        if self._enrolled:
            pipe.set(contact, json.dumps(self._contact))
            pipe.zadd(DUE, {self._event["contact"]: self._contact["due_s"]})
            pipe.hincrby(COUNTS, "enrolled", 1)


class Worker:
    """What a thread needs for its tasks: a client of its own, and a kept connection to the sink."""

    def __init__(self) -> None:
        self._redis = Redis.from_url(REDIS_URL)
        self._mailer: journey.Mailer | None = None

    def handle(self, event: dict[str, Any], task: str) -> None:
        """Do all that is to be done for one event. Whatever it raises, the queue may give the same task again."""
        told = self._apply(event, task)
        if told:
            self._send(told, event)

    def _apply(self, event: dict[str, Any], task: str) -> str:
        """Change the contact; the address that gets a receipt."""
        with self._redis.pipeline() as pipe:
            while True:
                try:
                    pipe.watch(*keys(event))  # type: ignore[no-untyped-call]
                    decision = Decision(event, task, pipe.mget(*keys(event)))
                    if not decision.applied_before:
                        pipe.multi()
                        decision.write(pipe)
                        pipe.execute()
                    break
                except WatchError:
                    continue
        if decision.duplicate:
            self._redis.hincrby(COUNTS, "duplicates", 1)
        return decision.told

    def _send(self, address: str, event: dict[str, Any]) -> None:
        self._mailer = self._mailer or journey.Mailer(SMTP_PORT)
        try:
            self._mailer.send(address, event)
        except BaseException:
            self._mailer = None  # the next one opens the connection anew
            raise
        self._redis.hincrby(COUNTS, "emails", 1)


_own = threading.local()


def handle(event: dict[str, Any], task: str) -> None:
    """The body of a task in a plain function, by the worker of this thread."""
    if not hasattr(_own, "worker"):
        _own.worker = Worker()
    _own.worker.handle(event, task)
