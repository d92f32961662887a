"""The embedded Valkey as a child: on a Unix socket in a folder that only its owner may enter, no TCP, started again when it dies.

It gets SIGTERM when its parent dies, so it syncs its AOF and ends. Invariant: nobody is told that it is ready before it has loaded its AOF.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from actors.kept_child import KeptChild, monotonic_ms
from actors.processes import spawn
from engine.config import Config
from engine.core.errors import Unavailable, WayfareError
from engine.storage.redis_call import command, only
from engine.storage.redis_client import RedisClient
from engine.storage.server import server_command, server_settings, valkey_binary

POLL_S = 0.02


class Valkey(KeptChild):
    """One server with its data in `folder`, listening at `socket`."""

    def __init__(self, folder: Path, socket: Path, log_file: Path, config: Config, *, clock: Callable[[], int] = monotonic_ms) -> None:
        super().__init__("Valkey", log_file, config, clock)
        self._folder = folder
        self._socket = socket
        self.url = f"unix://{socket}"

    def _launch(self) -> subprocess.Popen[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder.chmod(0o700)
        settings = {**server_settings(self._config, self._folder), "unixsocket": str(self._socket)}
        with self._log_file.open("ab") as output:
            return spawn(server_command(valkey_binary(), settings), signal.SIGTERM, output=output)

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
