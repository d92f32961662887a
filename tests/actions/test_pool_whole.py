"""The whole way on a real Valkey: a compiled workspace, rendering, SMTP and webhooks on loopback, outcomes back in the log."""

from __future__ import annotations

import asyncio
import tempfile
import time
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import uvloop

from actions.limits import read_limits
from actions.pool import Pool
from actions.providers.provider import House
from actions.providers.registry import make_provider
from actions.registry import load_registry, render
from engine.config import Config
from engine.core.effects import Effect, effect_id
from engine.core.partitioning import partition_of
from engine.core.workspace import compile_workspace
from engine.ports import Commit
from engine.storage.redis_store import AsyncRedisStore, RedisStore
from tests.conformance.servers import Server, binary_of
from tests.providers.http_server import HttpServer
from tests.providers.smtp_server import RawSmtp

CONFIG = Config(partitions=4, send_timeout_ms=5_000, idle_ms_max=5)
DOCUMENTS: dict[str, Any] = {
    "maps": [],
    "templates": {"hello.html": '---\nsubject: "Hi {{ first_name }}"\nfrom: Shop <shop@example.com>\n---\n<p>Hello {{ first_name }}!</p>\n'},
    "limits": {"rates": {"webhook": "2000/s"}},
}


def now_ms() -> int:
    return int(time.time() * 1_000)


def effects() -> list[Effect]:
    made = []
    for number in range(300):
        contact = f"c{number}"
        values = {"fields": {"first_name": f"N{number}"}}
        params = {"to": f"{contact}@example.com", "template": "hello.html", "values": values}
        made.append(Effect(effect_id(contact, 0, 1, 1, 1), contact, "send_email", "email", "b", "", "m", 1, "e", 1, 1, 1, 1, now_ms(), params, consent="email"))
        hook = {"method": "POST", "url": f"HOOK/{number}", "headers": {}, "body": "{}"}
        made.append(Effect(effect_id(contact, 0, 1, 2, 1), contact, "send_webhook", "webhook", "b", "127.0.0.1", "m", 1, "e", 1, 2, 1, 1, now_ms(), hook))
    return made


async def carry(url: str) -> None:
    store = await AsyncRedisStore.connect(url, CONFIG)
    workspace = compile_workspace(DOCUMENTS, load_registry(), CONFIG, number=1)
    house = House(config=CONFIG, clock=now_ms, secret="link-secret")
    async with RawSmtp() as mail, HttpServer() as hooks:
        ring = RedisStore.connect(url, CONFIG)
        groups: dict[int, list[Effect]] = {}
        for effect in effects():
            if effect.channel == "webhook":
                effect.params["url"] = effect.params["url"].replace("HOOK", hooks.url)
            groups.setdefault(partition_of(effect.contact, CONFIG.partitions), []).append(effect)
        for number, group in groups.items():
            lease = ring.leases.acquire(number, "shard", 60_000)
            assert lease is not None
            state = ring.commits.load(lease)
            commit = Commit(expected=state.commit, offset=state.offset, time_ms=now_ms(), snapshot=1, effects=group)
            assert ring.commits.commit([(lease, commit)]) == [None]
        await store.intake.unsubscribe("c7", "email", "unsubscribed")

        async def workspace_of(_: int) -> Any:
            return workspace

        settled, all_settled = 0, asyncio.Event()

        def observe(batch: Any) -> None:
            nonlocal settled
            settled += sum(batch.outcomes.values())
            if settled == 599:
                all_settled.set()

        blocks = {"email": {"provider": "smtp", "host": "127.0.0.1", "port": mail.port}, "webhook": {"allow_private": True}}
        pools = [
            Pool(
                channel,
                store.outbox,
                store.budget,
                make_provider(channel, block, house, {}),
                workspace_of,
                CONFIG,
                now_ms,
                limits=read_limits(DOCUMENTS["limits"], channel),
                owner="pool-1",
                render=render,
                observe=observe,
            )
            for channel, block in blocks.items()
        ]
        stop = asyncio.Event()
        running = [asyncio.create_task(pool.run(stop)) for pool in pools]
        await asyncio.wait_for(all_settled.wait(), 30)
        stop.set()
        await asyncio.gather(*running)
        for pool in pools:
            assert pool.provider is not None
            await pool.provider.close()

    counters = await store.directory.counters()
    assert {name: counters.get(f"fx:email:{name}", 0) for name in ("decided", "delivered", "suppressed", "pending")} == {
        "decided": 300,
        "delivered": 299,
        "suppressed": 1,
        "pending": 0,
    }
    assert counters["fx:webhook:delivered"] == 300
    subjects = {message_from_bytes(data, policy=policy.default)["Subject"] for _, _, data in mail.mails}
    assert subjects == {f"Hi N{number}" for number in range(300) if number != 7}
    assert len(mail.mails) == 299
    assert {request["path"] for request in hooks.requests} == {f"/{number}" for number in range(300)}
    await store.close()


def test_the_whole_way() -> None:
    binary = binary_of("valkey")
    assert binary is not None
    with tempfile.TemporaryDirectory(prefix="wayfare-") as folder:
        server = Server(binary, Path(folder), CONFIG, appendonly="no")
        try:
            uvloop.run(carry(server.url))
        finally:
            server.stop()
