"""A child process of `up` that is started again when it dies, at growing distances: what Valkey and Ray's carrier have in common."""

from __future__ import annotations

import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from actors.backoff import Backoff
from engine.config import Config
from engine.logs import logger

log = logger("child")

LOG_LINES_SHOWN = 8


def monotonic_ms() -> int:
    """Milliseconds that never run back."""
    return time.monotonic_ns() // 1_000_000


class KeptChild(ABC):
    """One process at a time. `name` is what it is called in messages, `clock` gives milliseconds that never run back."""

    def __init__(self, name: str, log_file: Path, config: Config, clock: Callable[[], int]) -> None:
        self._name = name
        self._log_file = log_file
        self._config = config
        self._clock = clock
        self._backoff = Backoff(config.restart_ms_min, config.restart_ms_max)
        self._process: subprocess.Popen[bytes] | None = None
        self._start_at: int | None = None
        self.deaths = 0

    @abstractmethod
    def _launch(self) -> subprocess.Popen[bytes]:
        """Start the process; returns at once."""

    def _bury(self) -> None:
        """End what the dead one left behind: nothing, unless a child says otherwise."""
        return

    def start(self) -> None:
        """Start it; returns at once. From the main thread, because it is to die with it."""
        self._process = self._launch()
        self._start_at = None

    @property
    def pid(self) -> int:
        """The process id; 0 where it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    def keep(self) -> bool:
        """Start it again if it died, not before its time. True if it runs."""
        if self.pid:
            return True
        now = self._clock()
        if self._start_at is None:
            self.deaths += 1
            self._start_at = self._backoff.died(now)
            log.warning("child died", child=self._name, status=self._process.returncode if self._process else None)
            self._bury()
        if now >= self._start_at:
            self.start()
        return False

    def stop(self, patience_s: float) -> None:
        """Let it end in order; kill it if that takes longer."""
        if not self.pid or self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def last_words(self) -> str:
        """The end of its log."""
        try:
            return "\n".join(self._log_file.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:])
        except OSError:
            return ""
