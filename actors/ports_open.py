"""Which TCP ports a set of processes listens on, from /proc: what `wayfare up` tells about Ray."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

PROC = Path("/proc")
LISTENING = "0A"  # the state's number in /proc/net/tcp


class Listener(msgspec.Struct, frozen=True, order=True):
    """One listening socket. `everywhere`: on all interfaces."""

    port: int
    pid: int
    everywhere: bool


def listeners(pids: Iterable[int]) -> list[Listener]:
    """The listening TCP sockets of these processes, by port."""
    sockets = _sockets()
    found = set()
    for pid in pids:
        for inode in _inodes(pid) & sockets.keys():
            port, everywhere = sockets[inode]
            found.add(Listener(port, pid, everywhere))
    return sorted(found)


def _sockets() -> dict[str, tuple[int, bool]]:
    """Listening sockets of this network namespace: inode → (port, on all interfaces)."""
    found = {}
    for table in ("tcp", "tcp6"):
        try:
            lines = (PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == LISTENING:
                address, _, port = fields[1].rpartition(":")
                found[fields[9]] = (int(port, 16), not address.strip("0"))
    return found


def _inodes(pid: int) -> set[str]:
    inodes = set()
    try:
        for link in (PROC / str(pid) / "fd").iterdir():
            target = str(link.readlink())
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    except OSError:
        return inodes  # it ended, or it is not ours to look into
    return inodes
