"""The contact as Temporal's entity workflow: it runs as long as the contact lives, and hears of events as signals. Runs in Temporal's environment.

As Temporal's documentation has it: the contact's state is the workflow's; its events are taken one after the other in the order of their signals; a signal that
came before under the same id is dropped; the wait of 30 days is a timer that the next event replaces; sending is an activity; when the server suggests it
the workflow continues as new. Signals need no answer, so the workflow says by an activity of its own process what was applied: here that is a byte in a file.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from benchmarks.peers.inside import journey, temporal_done

REMEMBERED_IDS = 100  # of the newest events of a contact
QUEUE = "contacts"


@workflow.defn
class Contact:
    """One contact."""

    @workflow.init
    def __init__(self, contact: dict[str, Any], seen: list[str]) -> None:
        self._contact = contact
        self._seen = deque(seen, REMEMBERED_IDS)
        self._waiting: deque[dict[str, Any]] = deque()

    @workflow.signal
    def event(self, happened: dict[str, Any]) -> None:
        """One event; a known one is counted and dropped."""
        if happened["id"] in self._seen:
            self._contact["repeated"] += 1
            _say_done()
            return
        self._seen.append(happened["id"])
        self._waiting.append(happened)

    @workflow.query
    def state(self) -> dict[str, Any]:
        """What is known of the contact."""
        return self._contact

    @workflow.run
    async def run(self, contact: dict[str, Any], seen: list[str]) -> None:
        while not workflow.info().is_continue_as_new_suggested() or self._waiting:
            try:
                await workflow.wait_condition(lambda: bool(self._waiting), timeout=self._left())
            except asyncio.TimeoutError:  # noqa: UP041 - so it is called in Temporal's documentation
                self._contact["due_s"] = 0  # 30 days have passed: the contact leaves the map
                continue
            await self._apply(self._waiting.popleft())
            _say_done()
        workflow.continue_as_new(args=[self._contact, list(self._seen)])

    def _left(self) -> timedelta | None:
        due_s = self._contact["due_s"]
        return timedelta(seconds=max(0, due_s - workflow.time())) if due_s else None

    async def _apply(self, happened: dict[str, Any]) -> None:
        if not journey.step(self._contact, happened, workflow.time()):
            return
        self._contact["entered"] += 1
        if journey.is_told(happened):
            self._contact["told"] += 1
            await workflow.execute_activity(
                tell, args=[self._contact["email"], happened], start_to_close_timeout=timedelta(seconds=30), retry_policy=RetryPolicy(maximum_attempts=10)
            )


def _say_done() -> None:
    """Once an event, and not again when the history is replayed."""
    if not workflow.unsafe.is_replaying():
        with workflow.unsafe.sandbox_unrestricted():
            temporal_done.one()


@activity.defn
def tell(address: str, happened: dict[str, Any]) -> None:
    """Send the receipt on this thread's own connection."""
    temporal_done.mailer().send(address, happened)
