"""Opens and clicks on their way into the log: whoever clicks is sent on at once, and the record is kept trying behind.

As a rule the append is durable before the answer, since it takes a millisecond or two. Where the log is slow, full or away, the answer
does not wait for it longer than `sighting_wait_ms`; then the record waits in this process, for `sighting_life_ms` at most, and is
lost with it. Such records are bounded by `sightings_waiting_max`. What is lost is counted (`wayfare_events_rejected_total{reason="sighting"}`).
"""

from __future__ import annotations

import asyncio

from engine.config import Config
from engine.core.errors import WayfareError
from engine.core.partitioning import partition_of
from engine.core.records import Record
from engine.logs import logger
from engine.metrics import Metrics
from gateway.admission import Admission

AGAIN_S = 0.5  # between two tries

log = logger("gateway")


class Sightings:
    """Takes one record at a time; raises nothing for what the log may do."""

    def __init__(self, admission: Admission, config: Config, metrics: Metrics) -> None:
        self._admission, self._config, self._metrics = admission, config, metrics
        self._waiting: set[asyncio.Task[None]] = set()
        self._closing = False

    async def keep(self, record: Record) -> None:
        """Append; returns when it is durable, or when the client has waited long enough."""
        if len(self._waiting) >= self._config.sightings_waiting_max:
            self._lose("too many wait")
            return
        task = asyncio.create_task(self._append(record), name="sighting")
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        await asyncio.wait({task}, timeout=self._config.sighting_wait_ms / 1_000)

    async def drain(self) -> None:
        """Let those that wait try a last time."""
        self._closing = True
        if self._waiting:
            await asyncio.wait(self._waiting)

    async def _append(self, record: Record) -> None:
        partition = partition_of(record.contact, self._config.partitions)
        tries = max(1, int(self._config.sighting_life_ms / 1_000 / AGAIN_S))
        for number in range(1, tries + 1):
            try:
                await self._admission.append_one(record, partition)  # with its id, so that a second time changes nothing
            except WayfareError as error:
                if number == tries or self._closing:
                    self._lose(str(error))
                    return
                await asyncio.sleep(AGAIN_S)
            else:
                self._metrics.events_accepted.labels("sighting").inc()
                return

    def _lose(self, reason: str) -> None:
        self._metrics.events_rejected.labels("sighting").inc()
        log.warning("an open or a click is lost", reason=reason)
