"""What every actor needs around its work: logs, a connection to storage, its life beside the work, and memory that is not scanned again."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from actors.duty import Duty
from actors.life import Life
from engine.core.errors import Unavailable
from engine.logs import set_up_logs
from engine.storage.redis_client import RedisClient
from engine.storage.redis_control import RedisControl

T = TypeVar("T")

RETRY_S = 0.1
GC_THRESHOLD = (50_000, 20, 20)  # containers made beyond those dropped until the young are looked at; every 20th time the next older too


@contextmanager
def present(duty: Duty, stop: threading.Event, measured: Callable[[], dict[str, Any]] = dict) -> Iterator[RedisClient]:
    """While inside, this process says that it lives and sets `stop` when it is told to stop. Gives a client that threads may share.

    What is in memory at this point lives as long as the process, so the garbage collector never looks at it again. For the rest it comes seldom: our
    work makes no cycles, only exceptions do, and the default of 700 costs a shard 1 to 3 µs per event.
    """
    _redirect_logs(duty)
    set_up_logs(duty.config.log_level, duty.name)
    client = RedisClient(duty.url, duty.config)
    ended = threading.Event()
    life = Life(duty, RedisControl(client), stop, measured=measured)
    thread = threading.Thread(target=life.run, args=(ended,), name="life", daemon=True)
    thread.start()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)
    try:
        yield client
    finally:
        ended.set()
        thread.join()
        client.close()


def _redirect_logs(duty: Duty) -> None:
    """Standard error goes to the role's file, where there is a folder for it: one file for all processes of a role, line by line."""
    if duty.logs:
        descriptor = os.open(Path(duty.logs) / f"{duty.role}.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        os.dup2(descriptor, sys.stderr.fileno())
        os.close(descriptor)


def persist(attempt: Callable[[], T], stop: threading.Event) -> T | None:
    """Try until storage is there; None where `stop` came first."""
    while True:
        try:
            return attempt()
        except Unavailable:
            if stop.wait(RETRY_S):
                return None
