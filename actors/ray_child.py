"""The child of `up` that carries Ray (see ray_cluster.py): starting it, watching it, starting it again, ending it with all of Ray."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from actors.backoff import Backoff
from actors.duty import Duty
from actors.folders import Folders
from actors.ports_open import listeners
from actors.processes import Process, end, family, name_of, spawn

log = structlog.get_logger(__name__)

LOG_LINES_SHOWN = 8


class RayChild:
    """One carrier of Ray at a time. `clock` gives milliseconds that never run back."""

    def __init__(self, duty: Duty, folders: Folders, clock: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000) -> None:
        self._duty = duty
        self._folders = folders
        self._clock = clock
        self._backoff = Backoff(duty.config.restart_ms_min, duty.config.restart_ms_max)
        self._process: subprocess.Popen[bytes] | None = None
        self._start_at: int | None = None
        self._tree: list[Process] = []  # every process below the carrier, as last seen
        self.deaths = 0
        self._log_file: Path = folders.logs / "ray.log"

    def start(self) -> None:
        """Start it; returns at once. It is killed when this process's main thread ends, and Ray with it."""
        told = {"duty": self._duty, "folder": str(self._folders.ray), "token_file": str(self._folders.ray_token)}
        with self._log_file.open("ab") as output:
            self._process = spawn([sys.executable, "-m", "actors.ray_cluster"], signal.SIGKILL, stdin=subprocess.PIPE, output=output)
        assert self._process.stdin is not None
        with self._process.stdin as pipe:
            pipe.write(msgspec.json.encode(told))
        self._start_at = None

    @property
    def pid(self) -> int:
        """The process id; 0 where it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    def keep(self) -> None:
        """Start it again if it died, not before its time, with nothing left of the one before."""
        if self.pid:
            return
        now = self._clock()
        if self._start_at is None:
            self.deaths += 1
            self._start_at = self._backoff.died(now)
            log.warning("Ray's carrier died", status=self._process.returncode if self._process else None)
            end(self._tree, 0.0)
        if now >= self._start_at:
            self.start()

    def stop(self, patience_s: float) -> None:
        """End it in order, and whatever of Ray outlives it."""
        self.note_tree()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        end(self._tree, patience_s)

    def note_tree(self) -> None:
        """See what lives below the carrier, so that it can be ended when the carrier is gone."""
        if self.pid:
            self._tree = family(self.pid, self._tree)

    def open_ports(self) -> list[str]:
        """What listens on all interfaces: `PORT name`, by port."""
        self.note_tree()
        pids = [self.pid, *(process.pid for process in self._tree)]
        return [f"{found.port} {name_of(found.pid)}" for found in listeners(pids) if found.everywhere]

    def last_words(self) -> str:
        """The end of its log."""
        try:
            return "\n".join(self._log_file.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:])
        except OSError:
            return ""
