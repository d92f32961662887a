"""The pools of a process follow what is published: a provider that was replaced lets go of its connections once it carries nothing more."""

from __future__ import annotations

import asyncio
from typing import Any

from actions.providers.provider import House
from actors.awaited import epoch_ms
from actors.duty import Duty
from actors.pool_measures import PoolMeasures
from actors.work_pool import Channels
from engine.config import Config
from engine.ports import Snapshot
from engine.storage.memory import MemoryStore
from tests.providers.smsc import Smsc


async def test_a_provider_that_was_replaced_is_closed_when_it_can_carry_nothing_more(monkeypatch: Any) -> None:
    config = Config(partitions=2, send_timeout_ms=50, claim_lease_ms=100)
    store: Any = MemoryStore(config, epoch_ms)
    async with Smsc() as old, Smsc() as new:
        channels = Channels(Duty(role="pool", name="pool-1", run="run", url="", config=config), store, House(config=config, clock=epoch_ms), PoolMeasures())
        for number, server in enumerate((old, new), 1):
            sms = {"provider": "smpp", "host": "127.0.0.1", "port": server.port, "system_id": "shop", "password": "p", "from": "Shop", "connections": 1}
            assert await store.workspaces.publish(Snapshot(number, {"maps": [], "providers": {"sms": sms}}), number - 1)
            await channels._follow()
            await _until(lambda: len(server.sessions) == 1)  # noqa: B023 - asked at once
        await channels._let_go()
        assert len(old.sessions) == 1, "it may still be under way with something"
        await asyncio.sleep(0.25)
        await channels._let_go()
        await _until(lambda: not old.sessions)
        assert len(new.sessions) == 1
        for pool in channels._pools.values():
            if pool.provider is not None:
                await pool.provider.close()


async def _until(condition: Any) -> None:
    for _ in range(2_000):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it never came to pass")
