"""One at a time for each key, and never an older decision after a newer one: for effects that set the same thing this way and that.

Access may be given and taken within a second, and each effect is retried by itself; without an order the older one could come last and
win. What is remembered is bounded, and lives in this process: after a restart, an older decision that was still deferred is carried out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from weakref import WeakValueDictionary

from actions.providers.provider import DEFERRED, Result, rejected
from engine.core.effects import Effect

SUPERSEDED = rejected("superseded: a later decision about the same access came first")
WAITED = Result(state=DEFERRED, reason="not sent: others of this site took all the time", counts=False)

Stamp = tuple[int, int, int, int]


class InOrder:
    """The order of one channel's effects, for the `things_max` things that were set last; nobody waits for longer than `wait_s`."""

    def __init__(self, things_max: int, wait_s: float = 0) -> None:
        self._locks: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()
        self._tried: dict[Hashable, Stamp] = {}
        self._most = things_max
        self._wait_s = wait_s

    @asynccontextmanager
    async def turn(
        self, key: Hashable, thing: Hashable, effect: Effect, places: AbstractAsyncContextManager[None] | None = None
    ) -> AsyncIterator[Result | None]:
        """Wait for the key, in the order of asking, then for a place. None: go on. Else the result: it came too late, or waited too long."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(self._wait_s):
                    await held.enter_async_context(lock)
                    await held.enter_async_context(places or nullcontext())
            except TimeoutError:
                yield WAITED
                return
            yield None if self.is_newest(thing, effect) else SUPERSEDED

    def is_newest(self, thing: Hashable, effect: Effect) -> bool:
        """Whether no later decision about `thing` was tried already; from now on this one was."""
        stamp = stamp_of(effect)
        newest = self._tried.pop(thing, stamp)
        older = before(stamp, newest)
        self._tried[thing] = newest if older else stamp
        if len(self._tried) > self._most:
            del self._tried[next(iter(self._tried))]
        return not older


def stamp_of(effect: Effect) -> Stamp:
    """When it was decided, as `before` compares it."""
    return effect.decided_ms, effect.enrollment, effect.hop, effect.ordinal


def before(one: Stamp, other: Stamp) -> bool:
    """Whether it was certainly decided earlier; of one instant, only decisions of one enrollment have an order."""
    return one[0] < other[0] or (one[:2] == other[:2] and one < other)
