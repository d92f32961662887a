"""A pool that dies between a provider's acceptance and our settling, for each provider: real Pool, real Valkey outbox, the provider's bench.

Delivered at most once, the counterpart got exactly one and the effect is listed as `unknown`. At least once, the same effect goes out again: a
counterpart that honours keys performs it once, any other one twice, as the mode says.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog

from actions.limits import Limits, read_limits
from actions.messages import Message
from actions.pool import Pool
from actions.providers.provider import Dispatch, House, Provider, Report
from actions.providers.registry import load_providers, make_provider
from engine.config import Config
from engine.ports import Settle
from engine.storage.redis_store import AsyncRedisStore, RedisStore
from tests.actions import pool_bench
from tests.conformance.benches.bench import Bench, benches
from tests.conformance.making import commit, counts, effect, take
from tests.conformance.servers import Server, binary_of

BENCHES = benches()
CONFIG = Config(partitions=4, claim_lease_ms=400, send_timeout_ms=200, idle_ms_max=5)  # a claim of the dead is free soon, and never too soon to be sent
AT_MOST_ONCE = {"email", "sms", "postcard"}
SECRETS = {"SECRET": "sw0rdfish"}
DEATHS = ("the answer was read", "the answer is awaited")
WITHIN_S = 20.0

every_provider = pytest.mark.parametrize("key", sorted(BENCHES), ids=lambda key: key[1])


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    binary = binary_of("valkey")
    assert binary is not None
    with tempfile.TemporaryDirectory(prefix="wayfare-") as folder:
        running = Server(binary, Path(folder), CONFIG, appendonly="no")
        yield running
        running.stop()


class Settling:
    """An outbox that keeps what was settled. `dead`: a settle never comes back, so the process that called it is as good as dead."""

    def __init__(self, outbox: Any, *, dead: bool) -> None:
        self._outbox, self._dead = outbox, dead
        self.settles: list[Settle] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._outbox, name)

    async def settle(self, settles: Sequence[Settle]) -> list[bool]:
        self.settles += settles
        if self._dead:
            await asyncio.Event().wait()
        return await self._outbox.settle(settles)  # type: ignore[no-any-return]


class Deployment:
    """One effect in a partition of its own, one counterpart, and pools that come after one another."""

    def __init__(self, store: AsyncRedisStore, bench: Bench, partition: int, *, once: bool) -> None:
        self.store, self.bench, self.partition, self.once = store, bench, partition, once
        self.message = bench.message("hello")
        self.id = f"{partition:032x}"
        self.effect = effect(partition, id=self.id, kind=bench.action, channel=bench.channel, dest=bench.dest(), decided_ms=now_ms())

    def pool(self, outbox: Any, owner: str) -> Pool:
        async def workspace_of(number: int) -> Any:
            return {"number": number}

        house = House(config=CONFIG, clock=now_ms, secret="link-secret")
        return Pool(
            self.bench.channel,
            outbox,
            self.store.budget,
            make_provider(self.bench.channel, self.bench.block(), house, SECRETS),
            workspace_of,
            CONFIG,
            now_ms,
            limits=Limits(self.bench.channel, once=self.once),
            owner=owner,
            render=lambda *_: self.message,
            partitions=[self.partition],
        )

    async def die(self, death: str) -> None:
        """Run a pool until the counterpart has the message, and kill it."""
        outbox = Settling(self.store.outbox, dead=True)
        self.bench.show("silent" if death == DEATHS[1] else "")
        pool = self.pool(outbox, "dying")
        running = asyncio.create_task(pool.run(asyncio.Event()))
        await until(lambda: bool(self.bench.received()) if death == DEATHS[1] else bool(outbox.settles))
        while alive := [task for task in (running, *pool._tasks) if not task.done()]:
            for task in alive:
                task.cancel()
            await asyncio.wait(alive, timeout=0.01)
        assert pool.provider is not None
        await pool.provider.close()
        assert self.bench.received() == 1
        self.bench.show("")

    async def go_on(self) -> list[Settle]:
        """Another pool, after the lease of the first is over, until nothing of the channel is pending; what it settled."""
        outbox = Settling(self.store.outbox, dead=False)
        pool, stop = self.pool(outbox, "heir"), asyncio.Event()
        running = asyncio.create_task(pool.run(stop))

        async def over() -> bool:
            held = {one["effect"] for one in await self.store.outbox.listing("unknown", 10)}
            return self.id in held or bool(outbox.settles)

        await until(over)
        stop.set()
        await running
        assert pool.provider is not None
        await pool.provider.close()
        return outbox.settles


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def until(condition: Any) -> None:
    end = time.monotonic() + WITHIN_S
    while time.monotonic() < end:
        holds = condition()
        if holds if isinstance(holds, bool) else await holds:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to pass")


@every_provider
@pytest.mark.parametrize("once", [True, False], ids=["at most once", "at least once"])
async def test_a_crash_between_acceptance_and_settling(server: Server, key: tuple[str, str], once: bool) -> None:
    """Both deaths at the same time, each with a counterpart and a partition of its own, since each waits for a lease."""
    with server.client() as client:
        client.flushall()
    storage, store = RedisStore.connect(server.url, CONFIG), await AsyncRedisStore.connect(server.url, CONFIG)
    try:
        async with BENCHES[key]() as first, BENCHES[key]() as second:
            deployments = [Deployment(store, bench, partition, once=once) for partition, bench in enumerate((first, second))]
            for one in deployments:
                commit(storage, take(storage, one.partition), effects=[one.effect])
            await asyncio.gather(*(one.die(death) for one, death in zip(deployments, DEATHS, strict=True)))
            settled = await asyncio.gather(*(one.go_on() for one in deployments))
            states = await counts(store, key[0])
            listed = {line["effect"]: line for line in await store.outbox.listing("unknown", 10)}
        for one, settles in zip(deployments, settled, strict=True):
            if once:
                assert one.bench.received() == 1, "sent again unasked"
                assert not settles
                assert (listed[one.id]["channel"], listed[one.id]["contact"]) == (key[0], "ann")
            else:
                assert [(settle.claim.effect.id, settle.claim.attempt, settle.state) for settle in settles] == [(one.id, 2, "delivered")]
                assert one.bench.performed() == (1 if load_providers()[key].honours_key else 2)
        assert states == ({"unknown": 2} if once else {"delivered": 2})
        assert len(listed) == (2 if once else 0)
    finally:
        storage.close()
        await store.close()


def test_the_mode_of_a_channel_that_says_nothing() -> None:
    for channel, name in load_providers():
        assert read_limits({}, channel).once == (channel in AT_MOST_ONCE), name
    for (channel, name), kind in load_providers().items():
        assert channel in AT_MOST_ONCE or kind.honours_key, f"{name} would repeat what {channel} may not repeat"


@every_provider
async def test_expired_credentials_pause_the_pool_with_one_error_and_burn_nothing(key: tuple[str, str]) -> None:
    """Twenty effects, refused for as long as the credentials are wrong, are all delivered by their first attempt afterwards."""
    async with BENCHES[key]() as bench:
        if "credentials" not in bench.faults:
            pytest.skip("a webhook's receiver, not we, would have to act")
        house = pool_bench.Bench()
        provider = make_provider(bench.channel, bench.block(), House(config=house.config, clock=lambda: house.now_ms, secret="link-secret"), SECRETS)
        attempts = recorded(provider)
        messages: dict[str, Message] = {}
        pool = house.pool(bench.channel, provider, render=lambda effect, _: messages.setdefault(effect.id, bench.message(f"hello {effect.id}")))
        ids = house.decide(bench.channel, bench.dest(), 20)
        bench.show("credentials")
        with structlog.testing.capture_logs() as log:
            for _ in range(3):
                await house.work(pool)
                house.now_ms += house.config.credentials_retry_ms // 4
        [error] = [line for line in log if line["log_level"] == "error"]
        assert error["channel"] == bench.channel
        assert error["reason"]
        assert "sw0rdfish" not in repr(log)
        assert await house.counts(bench.channel) == {"decided": 20, "pending": 20}
        assert not house.outcomes()

        bench.show("")
        for _ in range(3):
            house.now_ms += house.config.credentials_retry_ms
            await house.work(pool)
        assert await house.counts(bench.channel) == {"decided": 20, "delivered": 20}
        assert set(attempts) == set(ids)
        assert set(attempts.values()) == {1}, "no attempt was burned"
        await provider.close()


def recorded(provider: Provider) -> dict[str, int]:
    """The attempt at which each effect was handed over last, from now on."""
    attempts: dict[str, int] = {}
    send = provider.send

    async def sending(dispatches: Sequence[Dispatch], report: Report) -> None:
        attempts.update({dispatch.effect.id: dispatch.attempt for dispatch in dispatches})
        await send(dispatches, report)

    provider.send = sending  # type: ignore[method-assign]
    return attempts
