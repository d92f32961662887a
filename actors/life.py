"""The life of one actor process beside its work: it says that it lives, hears what it is told, and ends itself as an orphan.

One small thread. Invariants: a process whose parent died, or whose `up` has given no sign for `orphan_ms` while storage could be asked, is gone
soon after; silence of storage is not taken for silence of `up`.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import structlog

from actors.duty import STOP, SUPERVISOR, Duty
from actors.processes import Process, identify
from engine.codec import decode_any, encode
from engine.config import Config
from engine.core.errors import Unavailable
from engine.ports import Control

log = structlog.get_logger(__name__)

ORPHAN_EXIT = 3  # exit status of a process that ended itself
MEASURE_MS = 1_000  # how old a process's published measures may be


def process_here(word: bytes) -> Process | None:
    """The process that published this word, where it runs on this machine."""
    said = decode_any(word) if word else {}
    return Process(said["pid"], said["started"]) if said.get("host") == socket.gethostname() and "started" in said else None


class Life:
    """What `run` does until the work has ended. `measured` gives what the process publishes of itself; `parent` its parent's id now."""

    def __init__(
        self,
        duty: Duty,
        control: Control,
        stop: threading.Event,
        *,
        measured: Callable[[], dict[str, Any]] = dict,
        clock: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
        parent: Callable[[], int] = os.getppid,
        die: Callable[[int], None] = os._exit,
    ) -> None:
        self._duty = duty
        self._control = control
        self._stop = stop
        self._measured = measured
        self._clock = clock
        self._parent = parent
        self._die = die
        self._born_of = parent()
        self._config: Config = duty.config
        # The supervisor goes first, or it would replace the others as they end.
        self._patience_ms = self._config.orphan_ms // 2 if duty.role == SUPERVISOR else self._config.orphan_ms
        self._seen_ms = clock()
        self._measured_ms = -MEASURE_MS
        self._self: dict[str, Any] = {"role": duty.role, "name": duty.name, "run": duty.run, "pid": os.getpid(), "host": socket.gethostname()}
        if myself := identify(os.getpid()):
            self._self["started"] = myself.started

    def run(self, ended: threading.Event) -> None:
        """Until the work has ended; then take its word back, so that everybody knows at once."""
        self.turn()
        while not ended.wait(self._config.beat_ms / 1000):
            self.turn()
        try:
            self._control.beat(self._duty.name, b"", 0)
        except Unavailable:
            return  # it vanishes by itself

    def turn(self) -> None:
        """Say a word, hear, and see whether anybody is still there."""
        if self._parent() != self._born_of:
            self._orphaned("its parent is gone")
            return
        try:
            self._control.beat(self._duty.name, encode(self._word()), self._config.beat_life_ms)
            told = self._control.told(self._duty.run)
            reigning = self._control.reigning()
        except Unavailable:
            self._seen_ms = self._clock()
            return
        if STOP in (told.get(self._duty.role), told.get(self._duty.name)):
            self._stop.set()
        now = self._clock()
        if reigning == self._duty.run:
            self._seen_ms = now
        elif reigning:
            self._orphaned("another run of this deployment has begun")
        elif now - self._seen_ms > self._patience_ms:
            self._orphaned("nothing was heard of `wayfare up`")

    def _word(self) -> dict[str, Any]:
        now = self._clock()
        if now - self._measured_ms >= MEASURE_MS:
            self._measured_ms = now
            self._self.update(self._measured())
        return self._self

    def _orphaned(self, why: str) -> None:
        log.error("ending as an orphan", why=why)
        self._die(ORPHAN_EXIT)
