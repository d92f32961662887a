"""Writes results to the outbox in batches, and tells the metrics: what came within `settle_wait_ms` shares one round trip.

While storage is away the results are kept, for as long as their claims can hold; each keeps its place at the gate until then, so they
are no more than `in_flight_max`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from actions.bounces import BAD
from actions.gate import Gate
from engine.config import Config
from engine.core.errors import WayfareError
from engine.ports import Outbox, Settle

FAULT_WAIT_MS = 200  # storage was away: before it is asked again

log = structlog.get_logger(__name__)


class PoolBatch(msgspec.Struct, frozen=True):
    """What one settled batch says to the metrics. Times are milliseconds; `dispatch_ms` is by lane, from decision to result."""

    channel: str
    provider: str
    outcomes: dict[str, int]
    action_ms: list[int]
    dispatch_ms: dict[str, list[int]]
    limited_ms: int  # spent waiting for the channel's limit since the last batch
    breakers_open: int
    bounced: int = 0  # of those rejected, for a reason that is held against the sender


class Settler:
    """The results of one channel on their way to storage. `freed` is set when places at the gate became free."""

    def __init__(
        self,
        channel: str,
        outbox: Outbox,
        config: Config,
        clock: Callable[[], int],
        gate: Gate,
        freed: asyncio.Event,
        observe: Callable[[PoolBatch], None] | None,
    ) -> None:
        self._channel, self._outbox, self._config, self._clock = channel, outbox, config, clock
        self._gate, self._freed, self._observe = gate, freed, observe
        self.provider = ""
        self.limited_ms = 0
        self.waiting: list[tuple[Settle, int, int]] = []  # with the times of sending (0: not sent) and of the result
        self._news = asyncio.Event()
        self._busy = asyncio.Lock()

    def add(self, settle: Settle, sent_ms: int = 0) -> None:
        """Settle this soon. Its destination is free at once."""
        self._gate.answered(settle.claim)
        self._freed.set()
        self.waiting.append((settle, sent_ms, self._clock()))
        self._news.set()

    async def run(self) -> None:
        """Flush whenever there is something, until cancelled."""
        while True:
            await self._news.wait()
            await asyncio.sleep(self._config.settle_wait_ms / 1_000)
            await self.flush()

    async def flush(self) -> None:
        """Settle what there is, after what is being settled. Never raises for storage: what could not be written waits."""
        async with self._busy:
            self._news.clear()
            batch, self.waiting = self.waiting, []
            if not batch:
                return
            try:
                held = await self._outbox.settle([settle for settle, _, _ in batch])
            except WayfareError as error:
                log.warning("could not settle", channel=self._channel, error=str(error))
                self._keep(batch)
                await asyncio.sleep(FAULT_WAIT_MS / 1_000)
                return
            for _ in batch:
                self._gate.settled()
            self._freed.set()
            if self._observe is not None:
                self._observe(self._batch_of([entry for entry, ours in zip(batch, held, strict=True) if ours]))

    def _keep(self, batch: list[tuple[Settle, int, int]]) -> None:
        """Keep what may still be ours: a settle that is written twice is refused the second time."""
        oldest_ms = self._clock() - self._config.claim_lease_ms
        for entry in batch:
            if entry[2] > oldest_ms:
                self.waiting.append(entry)
            else:
                self._gate.settled()
        self._news.set()

    def _batch_of(self, settled: list[tuple[Settle, int, int]]) -> PoolBatch:
        outcomes: dict[str, int] = {}
        bounced = 0
        action_ms = []
        dispatch_ms: dict[str, list[int]] = {}
        for settle, sent_ms, heard_ms in settled:
            outcomes[settle.state] = outcomes.get(settle.state, 0) + 1
            if settle.state == "rejected":
                bounced += settle.data.get("class") in BAD
            if sent_ms:
                action_ms.append(heard_ms - sent_ms)
                dispatch_ms.setdefault(settle.claim.effect.lane, []).append(heard_ms - settle.claim.effect.decided_ms)
        limited_ms, self.limited_ms = self.limited_ms, 0
        breakers_open = sum(1 for _ in self._gate.breakers.not_closed(self._clock()))
        return PoolBatch(self._channel, self.provider, outcomes, action_ms, dispatch_ms, limited_ms, breakers_open, bounced)
