"""The canonical workload on Taskiq: one task an event on a Redis stream, acknowledged after it is done, claimed by another worker after a minute without.

Tasks are coroutines with asynchronous clients, which is what Taskiq is for.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiosmtplib import SMTP
from redis.asyncio import Redis
from redis.exceptions import WatchError
from taskiq import Context, SimpleRetryMiddleware, TaskiqDepends
from taskiq.serializers import ORJSONSerializer
from taskiq_redis import RedisStreamBroker

from benchmarks.peers.inside import contacts, journey

HANDED_OVER_AT_ONCE = 100
broker = (
    RedisStreamBroker(url=contacts.REDIS_URL, consumer_id="0", idle_timeout=60_000, unacknowledged_lock_timeout=10, max_connection_pool_size=200)
    .with_serializer(ORJSONSerializer())
    .with_middlewares(SimpleRetryMiddleware(default_retry_count=20))
)
redis = Redis.from_url(contacts.REDIS_URL)
mailers: list[SMTP] = []  # connections that nobody uses now


@broker.task(retry_on_error=True)
async def apply_event(event: dict[str, Any], context: Context = TaskiqDepends()) -> None:  # noqa: B008 - this is how Taskiq is told
    told = await _apply(event, context.message.task_id)
    if told:
        await _send(told, event)


async def _apply(event: dict[str, Any], task: str) -> str:
    """Change the contact; the address that gets a receipt."""
    async with redis.pipeline() as pipe:
        while True:
            try:
                await pipe.watch(*contacts.keys(event))
                decision = contacts.Decision(event, task, await pipe.mget(*contacts.keys(event)))
                if not decision.applied_before:
                    pipe.multi()  # type: ignore[no-untyped-call]
                    decision.write(pipe)
                    await pipe.execute()
                break
            except WatchError:
                continue
    if decision.duplicate:
        await redis.hincrby(contacts.COUNTS, "duplicates", 1)
    return decision.told


async def _send(address: str, event: dict[str, Any]) -> None:
    """Send a receipt over a connection that is free, or a new one. One that failed is not used again."""
    if mailers:
        mailer = mailers.pop()
    else:
        mailer = SMTP(hostname="127.0.0.1", port=contacts.SMTP_PORT, local_hostname="localhost", start_tls=False)
        await mailer.connect()
    await mailer.sendmail("shop@example.com", address, journey.MESSAGE.format(to=address, id=event["id"], **event["data"]))
    mailers.append(mailer)
    await redis.hincrby(contacts.COUNTS, "emails", 1)


def enqueue(events: list[dict[str, Any]]) -> None:
    """Hand all events over, `HANDED_OVER_AT_ONCE` calls at a time: Taskiq has no bulk."""
    asyncio.run(_enqueue(events))


async def _enqueue(events: list[dict[str, Any]]) -> None:
    await broker.startup()
    waiting = iter(events)

    async def hand_over() -> None:
        for event in waiting:
            await apply_event.kiq(event)

    await asyncio.gather(*(hand_over() for _ in range(HANDED_OVER_AT_ONCE)))
    await broker.shutdown()
