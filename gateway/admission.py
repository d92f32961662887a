"""Admission: what is valid goes to the log, many requests in one round trip.

While one append is under way, the requests that arrive gather for the next. So one connection to Redis and one script
call carry whatever load there is, and an idle gateway adds no wait. A gathering holds `append_records_max` records, and at
most `requests_waiting_max` requests wait; beyond it they are refused before their body is read. Answers come only after
the append is durable.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence

from engine.config import Config
from engine.core.errors import Full, ResultUnknown, Unavailable, WayfareError
from engine.core.records import Record
from engine.logs import logger
from engine.ports import Intake
from gateway.problems import busy

log = logger("gateway")

Answers = Mapping[int, int | Exception]
"""Per partition: the first offset given there, or the exception that it met."""


class Gathering:
    """Records of several requests, to be appended in one round trip."""

    __slots__ = ("batches", "records", "waiting")

    def __init__(self) -> None:
        self.batches: dict[int, list[Record]] = {}
        self.records = 0
        self.waiting: list[asyncio.Future[Answers]] = []

    def add(self, batches: Mapping[int, Sequence[Record]], records: int) -> asyncio.Future[Answers]:
        """Take a request's records in; the future brings the answers of the round trip."""
        for partition, batch in batches.items():
            self.batches.setdefault(partition, []).extend(batch)
        self.records += records
        answers: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        self.waiting.append(answers)
        return answers


class Admission:
    """The only way from the gateway into the log."""

    def __init__(self, intake: Intake, config: Config) -> None:
        self.intake, self.config = intake, config
        self.queue: deque[Gathering] = deque()
        self.requests = 0
        self.sending: asyncio.Task[None] | None = None
        self.full = False  # every partition of the log, as the watch saw it last

    def check_open(self) -> None:
        """Refuse before the body is read: memory is past its watermark, the log is full, or too many requests wait already."""
        wait_ms = self.intake.refusing()
        if wait_ms:
            raise busy("The memory of the storage is past its watermark.", wait_ms)
        if self.full:
            raise busy("Every partition of the log is full.", 1000)
        if self.requests >= self.config.requests_waiting_max:
            raise busy("Too many requests are waiting.", 1000)

    async def append(self, batches: Mapping[int, Sequence[Record]], records: int) -> Answers:
        """Append with others; the answers of at least these partitions. Raises nothing: failures stand in the answers."""
        if not self.queue or self.queue[-1].records + records > self.config.append_records_max:
            self.queue.append(Gathering())
        answers = self.queue[-1].add(batches, records)
        self.requests += 1
        if self.sending is None:
            self.sending = asyncio.create_task(self._send(), name="admission")
        return await answers

    async def append_one(self, record: Record, partition: int) -> None:
        """Append a single record; raises Full or Unavailable."""
        answer = (await self.append({partition: [record]}, 1))[partition]
        if isinstance(answer, Exception):
            raise answer

    async def drain(self) -> None:
        """Wait until everything gathered has its answer."""
        while self.sending is not None:
            await asyncio.shield(self.sending)

    async def watch(self, every_s: float = 0.5) -> None:
        """Look at the lag for ever, so that requests for a full log are refused before their bodies are read."""
        while True:
            try:
                lag = await self.intake.lag()
            except WayfareError:
                self.full = False  # the append itself will say that storage is away, with a 503
            else:
                bound = self.config.log_records_max
                self.full = len(lag) >= self.config.partitions and all(records >= bound for records, _ in lag.values())
            await asyncio.sleep(every_s)

    async def _send(self) -> None:
        try:
            while self.queue:
                gathering = self.queue.popleft()
                answers = await self._append(gathering)
                self.requests -= len(gathering.waiting)
                for future in gathering.waiting:
                    if not future.done():  # its client may have gone
                        future.set_result(answers)
        finally:
            self.sending = None

    async def _append(self, gathering: Gathering) -> Answers:
        try:
            return await self.intake.append(gathering.batches)
        except (Full, Unavailable) as error:
            return dict.fromkeys(gathering.batches, error)
        except Exception as error:
            log.exception("append failed", records=gathering.records)
            return dict.fromkeys(gathering.batches, ResultUnknown(f"append failed: {type(error).__name__}: {error}"))


def worst_of(answers: Answers, partitions: Mapping[int, object]) -> Exception | None:
    """The failure to answer with when no partition of a request got in: storage away before full; None where one did get in."""
    failures = [answers[partition] for partition in partitions]
    if not failures or any(isinstance(answer, int) for answer in failures):
        return None
    return next((e for e in failures if isinstance(e, Unavailable)), None) or next(e for e in failures if isinstance(e, Exception))
