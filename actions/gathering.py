"""Gathering: what comes within a short window goes out in one request, by destination, and opposite changes of one thing keep their order.

A lane is one destination. Its batches go out one after the other, so nothing overtakes; a change joins a batch of its action that lies behind
the older opposite changes of the same thing and before the newer ones. Times are those of the event loop, in seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from actions.in_order import Stamp, before, stamp_of
from actions.providers.provider import DEFERRED, MESSAGE, UNKNOWN, Dispatch, Result, clean

NOT_SENT = Result(state=DEFERRED, reason="not sent: other requests to this audience took too long", counts=False, blames=MESSAGE)

SendBatch = Callable[[str, str, Sequence[Dispatch], float], Awaitable[Sequence[Result]]]
"""(destination, action, dispatches, seconds that it may take) → a result each. What it raises makes them all unknown."""


class Batch:
    """Changes of one kind that go out together. `end` is when its first one must have its result; `things` are what it changes, and since when."""

    def __init__(self, action: str, ripe: float, end: float) -> None:
        self.action, self.ripe, self.end = action, ripe, end
        self.dispatches: list[Dispatch] = []
        self.results: list[asyncio.Future[Result]] = []
        self.things: dict[str, Stamp] = {}
        self.full = asyncio.Event()


class Lanes:
    """All destinations. `gather_s` is the window, `most` the largest batch, `timeout_s` how long a dispatch may take in all."""

    def __init__(self, send: SendBatch, gather_s: float, most: int, timeout_s: float) -> None:
        self._send, self._gather_s, self._most, self._timeout_s = send, gather_s, most, timeout_s
        self._waiting: dict[str, list[Batch]] = {}  # in the order in which they go out
        self._workers: dict[str, asyncio.Task[None]] = {}

    def put(self, dest: str, action: str, thing: str, dispatch: Dispatch) -> asyncio.Future[Result]:
        """Let it join a batch; its result to come."""
        loop = asyncio.get_running_loop()
        stamp = stamp_of(dispatch.effect)
        batch = self._batch_for(dest, action, thing, stamp, loop.time())
        result: asyncio.Future[Result] = loop.create_future()
        batch.dispatches.append(dispatch)
        batch.results.append(result)
        batch.things[thing] = stamp
        if len(batch.dispatches) == self._most:
            batch.full.set()
        if dest not in self._workers:
            self._workers[dest] = asyncio.create_task(self._work(dest))
        return result

    def _batch_for(self, dest: str, action: str, thing: str, stamp: Stamp, now: float) -> Batch:
        """The last batch with room that lies behind every older opposite change of this thing, and before every newer one."""
        waiting = self._waiting.setdefault(dest, [])
        first, end = 0, len(waiting)
        for index, batch in enumerate(waiting):
            if batch.action == action or thing not in batch.things:
                continue
            if before(stamp, batch.things[thing]):
                end = index
                break
            first = index + 1
        for batch in reversed(waiting[first:end]):
            if batch.action == action and len(batch.dispatches) < self._most:
                return batch
        made = Batch(action, min([now + self._gather_s, *(batch.ripe for batch in waiting[end:])]), now + self._timeout_s)
        waiting.insert(end, made)
        return made

    async def _work(self, dest: str) -> None:
        """Send the batches of one destination, each when its window is over or it is full; ends when there are none."""
        waiting = self._waiting[dest]
        try:
            while waiting:
                batch = waiting[0]
                await self._ripen(batch)
                if waiting[0] is batch:  # an older change may have come and gone before it
                    waiting.pop(0)
                    await self._carry(dest, batch)
        finally:
            del self._workers[dest], self._waiting[dest]

    async def _ripen(self, batch: Batch) -> None:
        """Until the window is over, or the batch is full."""
        try:
            async with asyncio.timeout_at(batch.ripe):
                await batch.full.wait()
        except TimeoutError:
            pass

    async def _carry(self, dest: str, batch: Batch) -> None:
        left_s = batch.end - asyncio.get_running_loop().time()
        if left_s < self._timeout_s / 4:
            results: Sequence[Result] = [NOT_SENT] * len(batch.dispatches)
        else:
            try:
                results = await self._send(dest, batch.action, batch.dispatches, left_s)
            except Exception as error:  # noqa: BLE001 - whatever it is, the request may have been sent
                results = [Result(state=UNKNOWN, reason=clean(f"{type(error).__name__}: {error}"))] * len(batch.dispatches)
        for future, result in zip(batch.results, results, strict=True):
            if not future.done():
                future.set_result(result)

    async def close(self) -> None:
        """End what is under way; nobody waits for it any more."""
        workers = list(self._workers.values())
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
