"""The canonical workload on Dramatiq: one message an event, acknowledged after it is done, given to another worker when its own says nothing for a minute."""

from __future__ import annotations

from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import CurrentMessage

from benchmarks.peers.inside import contacts

broker = RedisBroker(url=contacts.REDIS_URL)
broker.add_middleware(CurrentMessage())
dramatiq.set_broker(broker)


@dramatiq.actor(max_retries=20)
def apply_event(event: dict[str, Any]) -> None:
    contacts.handle(event, CurrentMessage.get_current_message().message_id)


def enqueue(events: list[dict[str, Any]]) -> None:
    """Hand all events over, one call each: Dramatiq has no bulk."""
    for event in events:
        apply_event.send(event)
