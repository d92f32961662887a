"""What a pool actor does: one `Pool` for each channel that has providers, on one loop, following the workspace that is published."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping
from functools import partial
from typing import Any

import structlog

from actions.feedback import Heard, Hearing
from actions.health import HealthWatch, tally_heard
from actions.limits import Limits, read_limits
from actions.list_jobs import ListKeeper
from actions.list_mail import ListMail
from actions.pool import Pool
from actions.providers.provider import House, Provider
from actions.providers.registry import load_providers, make_provider
from actions.registry import load_registry, render
from actions.settler import PoolBatch
from actors.awaited import connect, epoch_ms, run, signing_secret, stopped
from actors.duty import Duty
from actors.pool_measures import PoolMeasures
from actors.presence import present
from engine.config import Config
from engine.core.errors import InvalidConfig, Unavailable
from engine.core.fulfillment import CHANNEL
from engine.core.sender_care import HEALTH
from engine.core.workspace import Workspace, compile_workspace
from engine.ports import Workspaces
from engine.storage.redis_store import AsyncRedisStore

log = structlog.get_logger(__name__)

LOOK_S = 0.5


def work(duty: Duty, stop: threading.Event) -> None:
    """Carry messages until told to stop; then what was handed over is settled and the rest given back."""
    measures = PoolMeasures()
    with present(duty, stop, measures.published):
        run(_carry(duty, stop, measures))


async def _carry(duty: Duty, stop: threading.Event, measures: PoolMeasures) -> None:
    store = await connect(duty, stop)
    if store is None:
        return
    try:
        secret = await signing_secret(store.directory, duty.config)
        hearing = Hearing(
            store.intake, store.directory, duty.config.partitions, secret, _nobody, outbox=store.outbox, counted=partial(tally_heard, store.tallies)
        )
        house = House(config=duty.config, clock=epoch_ms, secret=secret, hear=hearing.hear)
        channels = Channels(duty, store, house, measures)
        await channels.run(stop)
    finally:
        await store.close()


def _nobody(heard: Heard) -> None:
    """A provider spoke of somebody whom no contact matches. Addresses and numbers stay out of the log."""
    log.warning("a notice is about nobody we know", channel=heard.channel, status=heard.status, notice=heard.event)


class Snapshots:
    """Compiled snapshots, the `workspaces_max` used last."""

    def __init__(self, workspaces: Workspaces, config: Config) -> None:
        self._workspaces = workspaces
        self._config = config
        self._registry = load_registry()
        self._compiled: dict[int, Workspace] = {}
        self._compiling = asyncio.Lock()

    async def compiled(self, number: int) -> Workspace | None:
        """Snapshot `number`; None where it is gone. Raises Unavailable."""
        async with self._compiling:
            found = self._compiled.pop(number, None)
            if found is None:
                snapshot = await self._workspaces.get(number)
                if snapshot is None:
                    return None
                found = await asyncio.to_thread(compile_workspace, snapshot.documents, self._registry, self._config, number=number, versions=snapshot.versions)
            self._compiled[number] = found
            while len(self._compiled) > self._config.workspaces_max:
                del self._compiled[next(iter(self._compiled))]
            return found


class Channels:
    """The pools of this process, and what each is made of: a block of providers.yaml and a part of limits.yaml."""

    def __init__(self, duty: Duty, store: AsyncRedisStore, house: House, measures: PoolMeasures) -> None:
        self._store = store
        self._house = house
        self._snapshots = Snapshots(store.workspaces, duty.config)
        self._number = 0
        self._blocks: dict[str, Any] = {}
        self._retired: list[tuple[int, Provider]] = []  # with the time
        self._carried_ms = 2 * duty.config.claim_lease_ms  # then what a provider was handed is settled, or another's
        self._mail = ListMail(store.lists, house)
        self._measures = measures
        self._health = {channel: HealthWatch(channel, store.tallies, store.outbox, store.directory.audit, epoch_ms) for channel in HEALTH}
        self._pools = {
            channel: Pool(
                channel,
                store.outbox,
                store.budget,
                None,
                self._snapshots.compiled,
                duty.config,
                epoch_ms,
                limits=Limits(channel),
                owner=duty.name,
                render=render,
                compose=self._mail.compose,
                observe=self._observe,
            )
            for channel in sorted({channel for channel, _ in load_providers()} | {CHANNEL})
        }
        self._pools[CHANNEL].use(ListKeeper(store.lists, duty.config), Limits(CHANNEL, once=False))

    def _observe(self, batch: PoolBatch) -> None:
        self._measures.observe(batch)
        if batch.channel in self._health:
            self._health[batch.channel].observe(batch)

    async def run(self, stop: threading.Event) -> None:
        """Run every pool until `stop`, with what the newest snapshot says."""
        ending = asyncio.Event()
        await self._follow()
        pools = [asyncio.create_task(pool.run(ending), name=channel) for channel, pool in self._pools.items()]
        following = asyncio.create_task(self._keep_following())
        stopping = asyncio.create_task(stopped(stop))
        await asyncio.wait([*pools, stopping], return_when=asyncio.FIRST_COMPLETED)
        ending.set()
        following.cancel()
        stop.set()  # a pool that failed takes its process along: another one is started
        await asyncio.gather(*pools, stopping)
        for provider in [*(provider for _, provider in self._retired), *(pool.provider for pool in self._pools.values() if pool.provider)]:
            await provider.close()

    async def _keep_following(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await self._follow()
            for watch in self._health.values():
                await watch.look()
            await self._let_go()

    async def _let_go(self) -> None:
        """Close providers that were replaced: one with a connection of its own must not listen beside its successor for ever."""
        while self._retired and self._retired[0][0] < epoch_ms() - self._carried_ms:
            await self._retired.pop(0)[1].close()

    async def _follow(self) -> None:
        """Take up the newest snapshot, where it is new."""
        try:
            number = await self._store.workspaces.newest()
            workspace = await self._snapshots.compiled(number) if number != self._number else None
        except Unavailable as error:
            log.warning("storage unavailable", error=str(error))
            return
        if workspace is not None:
            self._number = number
            for channel, pool in self._pools.items():
                if channel in self._health:
                    self._health[channel].limit = workspace.send_limits.health.get(channel)
                if channel != CHANNEL:  # the engine's own, whatever a workspace says
                    self._take_up(channel, pool, workspace)

    def _take_up(self, channel: str, pool: Pool, workspace: Workspace) -> None:
        """Another provider and other limits for a channel, where the snapshot has them. A provider that cannot be made is left as it was."""
        block: Mapping[str, Any] | None = workspace.providers.get(channel)
        try:
            limits = read_limits(workspace.limits, channel, workspace.send_limits)
            if block == self._blocks.get(channel) and (pool.provider or block is None):
                provider = pool.provider
            else:
                provider = None if block is None else make_provider(channel, block, self._house, os.environ)
        except InvalidConfig as error:
            log.error("a channel has no provider", channel=channel, error=str(error))  # noqa: TRY400 - the message says it all, and a trace might show a secret
            return
        self._blocks[channel] = block
        if pool.provider is not None and provider is not pool.provider:
            self._retired.append((epoch_ms(), pool.provider))  # what it carries ends with it
        if (provider, limits) != (pool.provider, pool.limits):
            pool.use(provider, limits)
            log.info("channel set up", channel=channel, provider=provider.name if provider else None)
