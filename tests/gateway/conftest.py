"""A real gateway over the memory twin of storage, served on a free port of loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from actions.registry import load_registry
from engine.config import Config
from engine.core.partitioning import partition_of
from engine.core.records import Record
from engine.ports import Commit
from engine.storage.memory import MemoryStore
from gateway.app import build_app
from gateway.auth import make_key
from gateway.services import Services

NOW_MS = 1_767_603_600_000


class Gateway:
    """The gateway under test, its storage, and one key of each scope."""

    def __init__(self, config: Config) -> None:
        self.now_ms = NOW_MS
        self.config = config
        self.store = MemoryStore(config, lambda: self.now_ms)
        self.services = Services(
            config=config,
            intake=self.store.intake,
            outbox=self.store.outbox,
            workspaces=self.store.workspaces,
            directory=self.store.directory,
            tallies=self.store.tallies,
            lists=self.store.lists,
            registry=load_registry(),
            clock=lambda: self.now_ms,
            signing_secret="s3cret",
        )
        self.keys: dict[str, str] = {}
        self.client: TestClient[Any, Any]

    async def start(self) -> None:
        for scope in ("ingest", "read", "admin"):
            self.keys[scope] = await make_key(self.store.directory, scope, [scope], 0)
        self.client = TestClient(TestServer(build_app(self.services)), auto_decompress=False)
        await self.client.start_server()

    async def call(self, method: str, path: str, body: Any = None, *, scope: str = "admin", headers: dict[str, str] | None = None) -> ClientResponse:
        """Send; bytes as they are, anything else as JSON."""
        all_headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.keys[scope]}", **(headers or {})}
        data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        return await self.client.request(method, path, data=data, headers=all_headers)

    def commit(self, contact: str, **parts: Any) -> None:
        """Commit something in the partition of a contact, as its shard would."""
        partition = partition_of(contact, self.config.partitions)
        lease = self.store.leases.acquire(partition, "test", 60_000)
        assert lease is not None
        state = self.store.commits.load(lease)
        commit = Commit(expected=state.commit, offset=state.offset, time_ms=self.now_ms, snapshot=state.snapshot, **parts)
        assert self.store.commits.commit([(lease, commit)]) == [None]
        self.store.leases.release([lease])

    def records(self) -> list[Record]:
        """Everything that stands in the log, partition by partition."""
        offsets = dict.fromkeys(range(self.config.partitions), 1)
        batches = self.store.log.read(offsets, 1_000_000).batches
        return [record for partition in sorted(batches) for batch in batches[partition] for record in batch.records]


@pytest.fixture
def settings() -> dict[str, Any]:
    """Settings of the gateway under test; a test file overrides the fixture to set bounds."""
    return {}


@pytest.fixture
async def gateway(settings: dict[str, Any]) -> AsyncIterator[Gateway]:
    under_test = Gateway(Config(**{"partitions": 4, **settings}))
    await under_test.start()
    yield under_test
    await under_test.client.close()
