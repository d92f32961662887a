"""The canonical workload on Celery: one task an event, acknowledged after it is done, given to another worker when its own is lost.

Results are not kept, as is recommended where nobody reads them. Events are handed over by kombu's batches, the bulk that Celery has on Redis.
"""

from __future__ import annotations

from typing import Any

from celery import Celery, Task

from benchmarks.peers.inside import contacts

app = Celery("canonical", broker=contacts.REDIS_URL.replace("unix://", "redis+socket://", 1))
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_disable_rate_limits=True,
    worker_prefetch_multiplier=64,  # many short tasks; the default of 4 is for longer ones
    broker_transport_options={"visibility_timeout": 3600},
)


@app.task(bind=True, autoretry_for=(Exception,), retry_backoff=True, max_retries=20)
def apply_event(task: Task, event: dict[str, Any]) -> None:
    contacts.handle(event, task.request.id)


def enqueue(events: list[dict[str, Any]]) -> None:
    """Hand all events over."""
    with app.producer_pool.acquire(block=True) as producer, producer.batch(max_size=1_000):
        for event in events:
            apply_event.apply_async((event,), producer=producer)
