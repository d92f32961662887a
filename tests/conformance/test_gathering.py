"""Thousands of changes of audiences through the real pool over a real Valkey become few requests, and every one of them is accounted for."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from actions.audience import keys_of
from actions.limits import Limits
from actions.pool import Pool
from actions.providers.provider import House
from actions.providers.registry import make_provider
from actions.registry import render
from engine.config import Config
from engine.core.effects import TRANSACTIONAL
from engine.core.partitioning import partition_of
from engine.storage.redis_store import AsyncRedisStore, RedisStore
from tests.conformance.making import commit, counts, effect, take
from tests.conformance.servers import Server, binary_of
from tests.end_to_end.ring import until
from tests.providers.graph_server import GraphServer

CONFIG = Config(partitions=4, idle_ms_max=5)
AUDIENCE = "23847"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def stores() -> AsyncIterator[tuple[RedisStore, AsyncRedisStore]]:
    binary = binary_of("valkey")
    assert binary is not None
    with tempfile.TemporaryDirectory(prefix="wayfare-") as folder:
        server = await asyncio.to_thread(Server, binary, Path(folder), CONFIG, appendonly="no")
        storage, store = RedisStore.connect(server.url, CONFIG), await AsyncRedisStore.connect(server.url, CONFIG)
        try:
            yield storage, store
        finally:
            storage.close()
            await store.close()
            server.stop()


def decide(storage: RedisStore, changes: list[tuple[str, str]], guard: dict[str, str] | None = None) -> None:
    """Commit an effect for each (contact, action), in this order."""
    groups: dict[int, list[Any]] = {number: [] for number in range(CONFIG.partitions)}
    for number, (contact, action) in enumerate(changes, 1):
        params = {"audience": AUDIENCE, "action": action, "keys": keys_of(contact, {"email": f"{contact}@example.com"})}
        kept = {
            "kind": "update_facebook_audience",
            "channel": "facebook",
            "lane": TRANSACTIONAL,
            "dest": AUDIENCE,
            "hop": number,
            "decided_ms": now_ms() + number,
        }
        groups[partition_of(contact, CONFIG.partitions)].append(effect(number, contact=contact, params=params, **kept))
    for partition, effects in groups.items():
        lease = take(storage, partition)
        for start in range(0, len(effects), 1_000):
            marks = {contact: text for contact, text in (guard or {}).items() if partition_of(contact, CONFIG.partitions) == partition}
            commit(storage, lease, effects=effects[start : start + 1_000], guard=marks)


async def carried(store: AsyncRedisStore, server: GraphServer, gather_ms: int) -> dict[str, int]:
    """Run a pool until nothing is pending; what became of the effects."""

    async def workspace_of(number: int) -> Any:
        return {"number": number}

    house = House(config=CONFIG, clock=now_ms)
    provider = make_provider("facebook", {"base_url": server.url, "token": "t", "gather_ms": gather_ms}, house, {})
    limits = Limits("facebook", once=False)
    pool = Pool("facebook", store.outbox, store.budget, provider, workspace_of, CONFIG, now_ms, limits=limits, owner="pool-1", render=render)
    stop = asyncio.Event()
    running = asyncio.create_task(pool.run(stop))

    async def nothing_pending() -> bool:
        return not (await counts(store, "facebook")).get("pending", 0)

    await until(nothing_pending, "everything is carried")
    stop.set()
    await running
    await provider.close()
    return await counts(store, "facebook")


async def test_thousands_of_changes_are_few_requests() -> None:
    many = 12_000
    async with stores() as (storage, store), GraphServer("t") as server:
        decide(storage, [(f"c{number}", "add") for number in range(many)], guard={"c5": "erased", "c6": "email=unsubscribed"})
        found = await carried(store, server, gather_ms=2_000)
    assert server.wrong == []
    assert found == {"delivered": many - 1, "suppressed": 1}, "the guard refuses the erased, and asks for no consent"
    assert sum(server.sizes) == many - 1
    assert len(server.sizes) <= 12, server.sizes
    assert max(server.sizes) > 512, "more than other channels have under way"
    assert set(server.members[AUDIENCE]) == {f"c{number}" for number in range(many) if number != 5}


async def test_the_last_decision_about_each_contact_stands_in_the_end() -> None:
    contacts = [f"c{number}" for number in range(300)]
    changes = [(contact, action) for action in ("add", "remove", "add", "remove") for contact in contacts] + [(contact, "add") for contact in contacts[::3]]
    async with stores() as (storage, store), GraphServer("t") as server:
        decide(storage, changes)
        found = await carried(store, server, gather_ms=100)
    assert server.wrong == []
    assert sum(found.values()) == len(changes)
    assert set(found) <= {"delivered", "rejected"}
    assert set(server.members[AUDIENCE]) == set(contacts[::3])
