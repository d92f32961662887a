"""What the asynchronous actors, gateways and pools, have in common: a loop, a connection, a secret, and waiting for the word to stop."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Coroutine

import uvloop

from actors.duty import Duty
from actors.presence import RETRY_S
from engine.config import Config
from engine.core.errors import Unavailable
from engine.ports import Directory
from engine.storage.redis_store import AsyncRedisStore

FOR_EVER_MS = 100 * 365 * 24 * 3_600_000


def run(main: Coroutine[None, None, None]) -> None:
    """Run to the end on a loop of its own; not in the main thread, which is Ray's."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


async def stopped(stop: threading.Event) -> None:
    """Return when the event is set."""
    await asyncio.to_thread(stop.wait)


async def connect(duty: Duty, stop: threading.Event) -> AsyncRedisStore | None:
    """Connect, trying until storage is there; None where `stop` came first."""
    while not stop.is_set():
        try:
            return await AsyncRedisStore.connect(duty.url, duty.config)
        except Unavailable:
            await asyncio.sleep(RETRY_S)
    return None


async def signing_secret(directory: Directory, config: Config) -> str:
    """What signs unsubscribe links: as configured, or made by whoever comes first and kept in storage."""
    if config.signing_secret:
        return config.signing_secret
    made = secrets.token_hex(32).encode()
    return ((await directory.once("signing-secret", made, FOR_EVER_MS)) or made).decode()


def epoch_ms() -> int:
    """The clock of this node. Nothing that is stored in order depends on it."""
    return time.time_ns() // 1_000_000
