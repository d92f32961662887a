"""The embedded Valkey as a child: on a Unix socket in a folder that only its owner may enter, no TCP, started again when it dies.

It gets SIGTERM when its parent dies, so it syncs its AOF and ends. Invariant: nobody is told that it is ready before it has loaded its AOF.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from actors.backoff import Backoff
from actors.processes import spawn
from engine.config import Config
from engine.core.errors import Unavailable, WayfareError
from engine.storage.redis_call import command, only
from engine.storage.redis_client import RedisClient
from engine.storage.server import server_command, server_settings, valkey_binary

log = structlog.get_logger(__name__)

POLL_S = 0.02
LOG_LINES_SHOWN = 5


class Valkey:
    """One server with its data in `folder`, listening at `socket`. `clock` gives milliseconds that never run back."""

    def __init__(
        self, folder: Path, socket: Path, log_file: Path, config: Config, *, clock: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000
    ) -> None:
        self._folder = folder
        self._log_file = log_file
        self._config = config
        self._clock = clock
        self._backoff = Backoff(config.restart_ms_min, config.restart_ms_max)
        self._process: subprocess.Popen[bytes] | None = None
        self._start_at: int | None = None
        self.deaths = 0
        self._socket = socket
        self.url = f"unix://{socket}"

    def start(self) -> None:
        """Start it; returns at once. From the main thread, because it is to die with it."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder.chmod(0o700)
        settings = {**server_settings(self._config, self._folder), "unixsocket": str(self._socket)}
        with self._log_file.open("ab") as output:
            self._process = spawn(server_command(valkey_binary(), settings), signal.SIGTERM, output=output)
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
            log.warning("Valkey died", status=self._process.returncode if self._process else None)
        if now >= self._start_at:
            self.start()
        return False

    def wait_ready(self, timeout_s: float) -> None:
        """Return when it answers with its data loaded; WayfareError with the end of its log where it ends or does not get there."""
        client = RedisClient(self.url, self._config)
        for _ in range(max(1, int(timeout_s / POLL_S))):
            try:
                only(client.run([command("PING")]))
            except Unavailable:
                if not self.pid:
                    break
                time.sleep(POLL_S)
            else:
                client.close()
                return
        raise WayfareError(f"Valkey did not start; the end of {self._log_file}:\n{self.last_words()}")

    def stop(self, patience_s: float) -> None:
        """Let it write what it holds and end."""
        if self._process is None or self._process.poll() is not None:
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
