"""The whole ring in one test process, without Ray: a real Valkey, the real gateway on loopback, a shard in a thread, pools, real sinks.

A part can be stopped, started again, or killed: then it leaves behind what a dead process would.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import aiohttp
import msgspec
from aiohttp import web

from actions.feedback import Hearing
from actions.limits import read_limits
from actions.list_jobs import ListKeeper
from actions.list_mail import ListMail
from actions.pool import Pool
from actions.providers.provider import House
from actions.providers.registry import make_provider
from actions.registry import load_registry, render
from actors import work_pool, work_shard
from actors.awaited import epoch_ms
from actors.shard import RETRY_S, Shard
from engine.config import Config
from engine.core.errors import Unavailable
from engine.core.fulfillment import CHANNEL as LISTS
from engine.ports import Outbox
from engine.storage.redis_store import AsyncRedisStore, RedisStore
from gateway.app import build_app
from gateway.auth import make_key
from gateway.services import Services
from tests.conformance.servers import Server, binary_of
from tests.providers.http_server import HttpServer
from tests.providers.smtp_server import RawSmtp

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LIMIT_S = 30.0  # nothing here takes a tenth of it
BOUNDS = {"partitions": 4, "lease_ms": 900, "lease_renew_ms": 300, "idle_ms_max": 5, "retry_ms_min": 20, "retry_ms_max": 200, "breaker_open_ms": 100}


class Killed(BaseException):
    """A process died here: nobody catches it but the thread that stands for the process."""


async def until(condition: Callable[[], bool | Awaitable[bool]], what: str = "") -> None:
    """Wait until the condition holds; a test that waits for nothing fails here."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        holds = condition()
        if holds if isinstance(holds, bool) else await holds:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"it never came to pass: {what or condition}")


class Host(HttpServer):
    """A webhook host with a port of its own, which refuses connections until `listen`. `taken` holds what it answered well, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[dict[str, Any]] = []
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))  # bound, and not listening: a connection is refused
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.dest = f"127.0.0.1:{self.port}"
        self._runner: Any = None
        self._closing = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def listen(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        self._socket.setblocking(False)
        await web.SockSite(self._runner, self._socket).start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._closing.set()
        if self._runner is not None:
            await self._runner.cleanup()
        self._socket.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        hung = self.behave == "silence"
        response = await super()._handle(request)
        if response.status < 300 and not hung:
            self.taken.append({"id": request.headers["webhook-id"], "body": (await request.read()).decode()})
        return response


class ShardThread:
    """A shard with its lease thread, as its actor runs them. `dying` may stand between it and its commits, and kill it."""

    def __init__(self, name: str, url: str, config: Config, dying: Callable[[Any], Any] | None = None, partitions: Collection[int] = ()) -> None:
        self.store = RedisStore.connect(url, config)
        if dying is not None:
            self.store.commits = dying(self.store.commits)
        self.shard = Shard(name, self.store, config, work_shard.Snapshots(self.store.snapshots, config).compiled)
        self.shard.assign(frozenset(partitions or range(config.partitions)))
        self.dead = threading.Event()
        self._stop = threading.Event()
        self._config = config
        self._threads = [threading.Thread(target=self._run, daemon=True), threading.Thread(target=self._renew, daemon=True)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        with suppress(Killed):
            self.shard.run(self._stop)
        self.dead.set()

    def _renew(self) -> None:
        while not self.dead.wait(self._config.lease_renew_ms / 1_000):
            try:
                self.shard.renew()
            except Unavailable:
                self.dead.wait(RETRY_S)

    async def stop(self) -> None:
        """As SIGTERM does: the cycle under way is committed, the leases are given up."""
        self._stop.set()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        self.store.close()


class Ring:
    """All parts of a deployment. `settings` override BOUNDS; nothing but the server and the gateway runs until it is started."""

    def __init__(self, url: str, config: Config) -> None:
        self.url, self.config = url, config
        self.keys: dict[str, str] = {}
        self.mail, self.sms = RawSmtp(), HttpServer({"sid": "SM1"})
        self.shards: list[ShardThread] = []
        self.pools: dict[str, tuple[Pool, asyncio.Event, asyncio.Task[None]]] = {}
        self._numbers = itertools.count(1)

    @property
    def providers(self) -> dict[str, Any]:
        """providers.yaml of this ring: its sinks."""
        return {
            "email": {"provider": "smtp", "host": "127.0.0.1", "port": self.mail.port, "from": "Shop <shop@example.com>"},
            "sms": {"provider": "twilio", "account": "AC1", "token": "t", "base_url": self.sms.url, "from": "+12025550100"},
            "webhook": {"secret": SECRET, "allow_private": True},
        }

    # -- parts -------------------------------------------------------------------------------------------------------------

    def start_shard(self, dying: Callable[[Any], Any] | None = None, partitions: Collection[int] = ()) -> ShardThread:
        """One more shard that wants these partitions, all where none are named."""
        shard = ShardThread(f"shard-{next(self._numbers)}", self.url, self.config, dying, partitions)
        self.shards.append(shard)
        return shard

    async def stop_shards(self) -> None:
        while self.shards:
            await self.shards.pop().stop()

    async def start_pools(self, *channels: str, outbox: Outbox | None = None) -> None:
        """A pool for each channel, with what the newest snapshot says; through another outbox where one is given."""
        snapshots = work_pool.Snapshots(self.store.workspaces, self.config)
        workspace = await snapshots.compiled(await self.store.workspaces.newest())
        assert workspace is not None
        hearing = Hearing(self.store.intake, self.store.directory, self.config.partitions, "link-secret", outbox=self.store.outbox)
        house = House(config=self.config, clock=epoch_ms, secret="link-secret", hear=hearing.hear)
        for channel in channels or ("email", "sms", "webhook"):
            pool = Pool(
                channel,
                outbox or self.store.outbox,
                self.store.budget,
                ListKeeper(self.store.lists, self.config) if channel == LISTS else make_provider(channel, workspace.providers[channel], house, os.environ),
                snapshots.compiled,
                self.config,
                epoch_ms,
                limits=read_limits(workspace.limits, channel),
                owner=f"pool-{next(self._numbers)}",
                render=render,
                compose=ListMail(self.store.lists, house).compose,
            )
            stop = asyncio.Event()
            self.pools[channel] = pool, stop, asyncio.create_task(pool.run(stop))

    async def stop_pools(self) -> None:
        """As SIGTERM does: what was handed over is settled."""
        for _, stop, _ in self.pools.values():
            stop.set()
        await self._end_pools()

    async def kill_pools(self) -> None:
        """As SIGKILL does: what was claimed or marked stays so until its lease is over."""
        for pool, _, task in self.pools.values():
            while alive := [one for one in (task, *pool._tasks) if not one.done()]:
                for one in alive:  # again and again: a library may take a cancellation for its own timeout
                    one.cancel()
                await asyncio.wait(alive, timeout=0.01)
        await self._end_pools()

    async def _end_pools(self) -> None:
        for pool, _, task in self.pools.values():
            await asyncio.gather(task, return_exceptions=True)
            assert pool.provider is not None
            await pool.provider.close()
        self.pools.clear()

    # -- what clients do ---------------------------------------------------------------------------------------------------

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, Mapping[str, str]]:
        """(status, body as JSON or text, headers). A body of bytes is sent as it is, anything else as JSON."""
        data = None if body is None else BytesIO(body if isinstance(body, bytes) else msgspec.json.encode(body))
        sent = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self.keys['admin']}",
            **{name.replace("_", "-"): headers[name] for name in headers},
        }
        async with self.client.request(method, path, data=data, headers=sent) as answer:
            raw = await answer.read()
            found = msgspec.json.decode(raw) if "json" in answer.content_type else raw.decode()
            return answer.status, found, answer.headers

    async def accepted(self, path: str, body: Any, **headers: str) -> None:
        """Send what must be taken whole."""
        answer = await self.call("POST", path, body, **headers)
        count = len(body) if isinstance(body, list) else 1
        assert answer[:2] == (202, {"accepted": count})

    async def publish(self, documents: Mapping[str, Any]) -> None:
        status, body, _ = await self.call("PUT", "/v1/workspace", {"providers": self.providers, **documents})
        assert status == 200, body

    async def contact(self, contact: str) -> dict[str, Any]:
        """A contact as the gateway shows it, {} where there is none."""
        status, body, _ = await self.call("GET", f"/v1/contacts/{contact}")
        return body if status == 200 else {}

    async def counters(self) -> dict[str, int]:
        return await self.store.directory.counters()

    async def effects(self, channel: str) -> dict[str, int]:
        """What became of a channel's effects, without the zeros."""
        start = f"fx:{channel}:"
        return {name.removeprefix(start): value for name, value in (await self.counters()).items() if name.startswith(start) and value}

    # -- waiting -----------------------------------------------------------------------------------------------------------

    async def lag(self) -> int:
        """Records that no shard has committed."""
        return sum(records for records, _ in (await self.store.intake.lag()).values())

    async def read_on(self) -> None:
        """Until the log is committed to its end."""

        async def no_lag() -> bool:
            return not await self.lag()

        await until(no_lag, "the log is read to its end")

    async def carried(self, *channels: str) -> None:
        """Until the log is at its end and the channels have nothing pending; outcomes are settled and appended at once, so they are read too."""

        async def all_carried() -> bool:
            if await self.lag():
                return False
            counters = await self.counters()
            return not any(counters.get(f"fx:{channel}:pending", 0) for channel in channels) and not await self.lag()

        await until(all_carried, f"{channels} have nothing pending")

    async def conserved(self) -> None:
        """Per map, entered is accounted for; per channel, decided is."""
        maps = (await self.call("GET", "/v1/maps"))[1]["maps"]
        for one in maps:
            check = (await self.call("GET", f"/v1/maps/{one['map']}/stats"))[1]["conservation"]
            assert check["holds"], (one["map"], check)
        for channel in self.providers:
            states = await self.effects(channel)
            assert states.pop("decided", 0) == sum(states.values()), (channel, states)


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[Ring]:
    """A ring with its server, its gateway and its sinks; shards and pools are the test's to start."""
    binary = binary_of("valkey")
    assert binary is not None
    config = Config(**{**BOUNDS, **settings})
    with tempfile.TemporaryDirectory(prefix="wayfare-") as folder:
        server = await asyncio.to_thread(Server, binary, Path(folder), config, appendonly="no")
        ring = Ring(server.url, config)
        try:
            ring.store = await AsyncRedisStore.connect(server.url, config)
            try:
                async with ring.mail, ring.sms, _gateway(ring):
                    try:
                        yield ring
                    finally:
                        await ring.stop_shards()
                        await ring.kill_pools()
            finally:
                await ring.store.close()
        finally:
            server.stop()


@asynccontextmanager
async def _gateway(ring: Ring) -> AsyncIterator[None]:
    store = ring.store
    ring.services = Services(
        config=ring.config,
        intake=store.intake,
        outbox=store.outbox,
        workspaces=store.workspaces,
        directory=store.directory,
        tallies=store.tallies,
        lists=store.lists,
        registry=load_registry(),
        clock=epoch_ms,
        signing_secret="link-secret",
    )
    for scope in ("ingest", "read", "admin"):
        ring.keys[scope] = await make_key(store.directory, scope, [scope], 0)
    runner = web.AppRunner(build_app(ring.services))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as ring.client:
            yield
    finally:
        await runner.cleanup()
