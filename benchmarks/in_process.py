"""A shard over a real Valkey in one process: no Ray, no gateway, no HTTP. What it costs there is what it costs, and nothing beside it.

The log is filled beforehand; a drain then runs the shard's own cycles until nothing is left, so reading, fetching, stepping and
committing are the production code. Its one partition is under a lease that outlives every run.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import msgspec
import structlog

from actions.registry import load_registry
from actors.shard import Shard, Store
from actors.valkey import Valkey
from benchmarks import workload
from engine.config import Config
from engine.core.records import Event, Record, Update
from engine.core.workspace import Workspace, compile_workspace
from engine.ports import Commit, CommitStore, Lease, Snapshot
from engine.storage.redis_call import checked, command
from engine.storage.redis_client import RedisClient
from engine.storage.redis_store import AsyncRedisStore, RedisStore
from engine.storage.server import socket_path

START_S_MAX = 20
STOP_S_MAX = 20
SETTLE_S = 0.05
LEASE_MS = 3_600_000
APPENDED_AT_ONCE = 20_000


class Server:
    """The embedded Valkey with the deployment's own settings, for one `with` block. It rewrites no AOF meanwhile: that is another cost, at another time."""

    def __init__(self, folder: Path, durability: str) -> None:
        self.config = Config(partitions=1, durability=durability, lease_ms=LEASE_MS)
        self._valkey = Valkey(folder, socket_path(folder), folder.with_suffix(".log"), self.config)
        self.url = self._valkey.url

    def __enter__(self) -> Self:
        self._logging = structlog.get_config()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))  # a shard says what it owns, between the suite's lines
        self._valkey.start()
        self._valkey.wait_ready(START_S_MAX)
        self._client = RedisClient(self.url, self.config)
        self.ask("CONFIG", "SET", "auto-aof-rewrite-percentage", 0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()
        self._valkey.stop(STOP_S_MAX)
        structlog.configure(**self._logging)

    def ask(self, *words: str | int) -> Any:
        """One command's answer."""
        return checked(self._client.run([command(*words)]))[0]

    def settled(self) -> dict[str, float]:
        """INFO once nothing waits to be written to the AOF any more: where the disk is slow, `relaxed` postpones that."""
        while (found := self.info())["aof_buffer_length"]:
            time.sleep(SETTLE_S)
        return found

    def info(self) -> dict[str, float]:
        """Every number of INFO, by its name."""
        found = {}
        for line in self.ask("INFO", "everything").decode().splitlines():
            name, _, value = line.partition(":")
            if value.replace(".", "", 1).isdigit():
                found[name] = float(value)
        return found


class CountedCommits:
    """The commit port, with the process's CPU time and the wall time of its commits counted; all else goes through."""

    def __init__(self, commits: CommitStore) -> None:
        self._commits = commits
        self.cpu_s = 0.0
        self.walls_ms: list[float] = []

    def commit(self, commits: Sequence[tuple[Lease, Commit]]) -> list[Exception | None]:
        began, used = time.perf_counter(), time.process_time()
        answers = self._commits.commit(commits)
        self.cpu_s += time.process_time() - used
        self.walls_ms.append((time.perf_counter() - began) * 1000)
        return answers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._commits, name)


class InProcess:
    """A shard on `server`; commits hold at most `batch` records. `fresh`: on an empty database, with the canonical map published."""

    def __init__(self, server: Server, batch: int, *, fresh: bool) -> None:
        self._server = server
        self._config = msgspec.structs.replace(server.config, batch_records_max=batch, entry_records_max=min(batch, server.config.entry_records_max))
        self._registry = load_registry()
        if fresh:
            server.ask("FLUSHALL", "SYNC")
            asyncio.run(self._publish())
        self._store = RedisStore.connect(server.url, self._config)
        self.commits = CountedCommits(self._store.commits)
        self._store.commits = self.commits  # type: ignore[assignment]  # it is one by __getattr__
        self.shard = Shard("shard-1", cast("Store", self._store), self._config, self._compiled)
        self.shard.assign(frozenset([0]))
        self.drain()

    async def _publish(self) -> None:
        store = await AsyncRedisStore.connect(self._server.url, self._config)
        await store.workspaces.publish(Snapshot(1, workload.documents(smtp_port=1)), 0)
        await store.close()

    def _compiled(self, number: int) -> Workspace:
        documents = workload.documents(smtp_port=1) if number else {}
        return compile_workspace(documents, self._registry, self._config, number=number)

    def append(self, records: Sequence[Record]) -> None:
        """Put records into the log, as the gateway does."""
        asyncio.run(self._append(records))

    async def _append(self, records: Sequence[Record]) -> None:
        store = await AsyncRedisStore.connect(self._server.url, self._config)
        for start in range(0, len(records), APPENDED_AT_ONCE):
            (answer,) = (await store.intake.append({0: records[start : start + APPENDED_AT_ONCE]})).values()
            if isinstance(answer, Exception):
                raise answer
        await store.close()

    def drain(self) -> None:
        """Run cycles until there is nothing to commit."""
        while self.shard.cycle():
            pass

    def counters(self) -> dict[str, int]:
        """What the commits of the partition counted."""
        return asyncio.run(self._counters())

    async def _counters(self) -> dict[str, int]:
        store = await AsyncRedisStore.connect(self._server.url, self._config)
        found = await store.directory.counters()
        await store.close()
        return found

    def close(self) -> None:
        """Give the partition up, so that another may own it."""
        self.shard.assign(frozenset())
        self.shard.cycle()
        self._store.close()


def addresses(contacts: int) -> list[Record]:
    """Updates that give every contact of the workload its address."""
    return [Update(f"c{number}", {"email": f"c{number}@example.com"}) for number in range(contacts)]


def events(found: workload.Workload) -> list[Record]:
    """The workload's events as records of the log."""
    return [Event(item["contact"], item["name"], item["data"], item["id"]) for body in found.bodies for item in msgspec.json.decode(body)]
