"""The child of `up` that carries Ray (see ray_cluster.py): starting it, watching it, starting it again, ending it with all of Ray."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable

import msgspec

from actors.duty import Duty
from actors.folders import Folders
from actors.kept_child import KeptChild, monotonic_ms
from actors.ports_open import listeners
from actors.processes import Process, end, family, name_of, spawn


class RayChild(KeptChild):
    """One carrier of Ray at a time. It is killed when the main thread of `up` ends, and Ray with it."""

    def __init__(self, duty: Duty, folders: Folders, clock: Callable[[], int] = monotonic_ms) -> None:
        super().__init__("Ray", folders.logs / "ray.log", duty.config, clock)
        self._duty = duty
        self._folders = folders
        self._tree: list[Process] = []  # every process below the carrier, as last seen

    def _launch(self) -> subprocess.Popen[bytes]:
        told = {"duty": self._duty, "folder": str(self._folders.ray), "token_file": str(self._folders.ray_token)}
        with self._log_file.open("ab") as output:
            process = spawn([sys.executable, "-m", "actors.ray_cluster"], signal.SIGKILL, stdin=subprocess.PIPE, output=output)
        assert process.stdin is not None
        with process.stdin as pipe:
            pipe.write(msgspec.json.encode(told))
        return process

    def _bury(self) -> None:
        end(self._tree, 0.0)

    def stop(self, patience_s: float) -> None:
        """End it in order, and whatever of Ray outlives it."""
        self.note_tree()
        super().stop(patience_s)
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
