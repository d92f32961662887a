"""One suite, three stores: the memory twin, the embedded Valkey, and Debian's Redis 7.0 as the floor of compatibility."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.config import Config
from engine.storage.memory import MemoryStore
from engine.storage.redis_store import AsyncRedisStore, RedisStore
from tests.conformance.servers import Server, binary_of

CONFIG = Config(
    partitions=4,
    log_records_max=100,
    log_reserve_records=50,
    entry_records_max=10,
    batch_records_max=40,
    dead_letters_max=5,
    set_aside_max=3,
    dedupe_bucket_ms=10_000,
    dedupe_buckets=3,
    claim_quantum=2,
    audit_max=5,
    found_contacts_max=7,
    redis_timeout_ms=2_000,
)


class Storage:
    """Every port of one store, and a way to let its time pass."""

    def __init__(self, kind: str, config: Config, parts: list[Any], now_ms: list[int] | None = None) -> None:
        self.kind = kind
        self.config = config
        self._now_ms = now_ms
        self._parts = parts

    def __getattr__(self, name: str) -> Any:
        for part in self._parts:
            if hasattr(part, name):
                return getattr(part, name)
        raise AttributeError(name)

    async def pass_ms(self, wait_ms: int) -> None:
        """Let at least this much time pass on the store's clock."""
        if self._now_ms is not None:
            self._now_ms[0] += wait_ms
        else:
            await asyncio.sleep((wait_ms + 2) / 1000)


@pytest.fixture(scope="session", params=["memory", "valkey", "redis"])
def server(request: pytest.FixtureRequest) -> Iterator[Server | None]:
    if request.param == "memory":
        yield None
        return
    binary = binary_of(request.param)
    if binary is None:
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    with tempfile.TemporaryDirectory(prefix="wayfare-") as folder:
        running = Server(binary, Path(folder), CONFIG, appendonly="no")
        yield running
        running.stop()


@pytest.fixture
async def storage(server: Server | None) -> AsyncIterator[Storage]:
    if server is None:
        now_ms = [1_767_600_000_000]
        yield Storage("memory", CONFIG, [MemoryStore(CONFIG, lambda: now_ms[0])], now_ms)
        return
    with server.client() as client:
        client.flushall()
    sync, asynchronous = RedisStore.connect(server.url, CONFIG), await AsyncRedisStore.connect(server.url, CONFIG)
    yield Storage("redis", CONFIG, [sync, asynchronous])
    sync.close()
    await asynchronous.close()
