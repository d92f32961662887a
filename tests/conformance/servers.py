"""Real servers for the storage tests: started on a Unix socket of their own, killed and started again at will."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import redis

from engine.config import Config
from engine.storage.server import server_command, server_settings, socket_path, valkey_binary

REDIS = "/usr/bin/redis-server"


class Server:
    """One server process with its data in `folder`; `settings` override those of the embedded server."""

    def __init__(self, binary: Path, folder: Path, config: Config, **settings: str) -> None:
        self._command = server_command(binary, {**server_settings(config, folder), "loglevel": "warning", **settings})
        self._process: subprocess.Popen[bytes] | None = None
        self.folder = folder
        self.url = f"unix://{socket_path(folder)}"
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with self.client() as client:
            for _ in range(500):
                try:
                    client.ping()
                    return
                except (redis.ConnectionError, redis.TimeoutError):
                    if self._process.poll() is not None:
                        break
                    time.sleep(0.01)
        raise RuntimeError("the server did not start")

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, protocol=2)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()


def binary_of(kind: str) -> Path | None:
    """`valkey` is always at hand; `redis` only where Debian's package is installed."""
    if kind == "valkey":
        return valkey_binary()
    found = REDIS if os.access(REDIS, os.X_OK) else shutil.which("redis-server")
    return Path(found) if found else None
