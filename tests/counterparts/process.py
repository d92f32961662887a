"""Counterparts as processes: started on a free loopback port, waited for, ended with all their children, their output kept for whoever asks why."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from actors.processes import spawn
from tests.counterparts.needs import BIN

STARTS_WITHIN_S = 60.0  # the slowest, node with a large OpenAPI document, takes a tenth of it on an idle machine
ENDS_WITHIN_S = 5.0
OUTPUT_SHOWN_BYTES = 4_000


class NotStarted(AssertionError):
    """A counterpart ended, or did not listen in time; its last output is in the text. Fails the test that wanted it."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nobody listens just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answers(url: str) -> bool:
    """Whether an HTTP server answers there, whatever its status."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False


class Counterpart:
    """A process that leads a group of its own, and is ended if the tests are killed. `output()` is what it and its children have printed so far."""

    def __init__(self, command: Sequence[str | os.PathLike[str]], log: IO[bytes], env: Mapping[str, str] | None, cwd: str | os.PathLike[str] | None) -> None:
        self._log = log
        self.command = [os.fspath(part) for part in command]
        here = ["env", "-C", os.fspath(cwd)] if cwd else []
        environ = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **(env or {})}
        self.process = spawn([*here, *self.command], signal.SIGKILL, environ=environ, output=log)

    def output(self) -> str:
        return Path(self._log.name).read_text(errors="replace")

    def wait(self, port: int, url: str, within_s: float) -> None:
        """Until it listens at the port and answers at the URL (where they are given); NotStarted otherwise."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise NotStarted(f"{self.command[0]} ended with {self.process.returncode}:\n{self.output()[-OUTPUT_SHOWN_BYTES:]}")
            if (not port or listens(port)) and (not url or answers(url)):
                return
            time.sleep(0.02)
        raise NotStarted(f"{self.command[0]} was not ready after {within_s} s:\n{self.output()[-OUTPUT_SHOWN_BYTES:]}")

    def end(self) -> None:
        """SIGTERM to the group, then SIGKILL to what is left of it. Children may take a moment longer to be gone."""
        self._signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(ENDS_WITHIN_S)
        self._signal(signal.SIGKILL)
        self.process.wait()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


@contextmanager
def started(
    *command: str | os.PathLike[str],
    port: int = 0,
    url: str = "",
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    within_s: float = STARTS_WITHIN_S,
) -> Iterator[Counterpart]:
    """Run a command until the block is left; the block begins when it listens at `port` and answers HTTP at `url`, where they are given.

    `env` is added to the environment of this process. Call it from the main thread: the command dies with the thread that started it.
    """
    with tempfile.NamedTemporaryFile(prefix="counterpart-", suffix=".log") as log:
        counterpart = Counterpart(command, log, env, cwd)
        try:
            counterpart.wait(port, url, within_s)
            yield counterpart
        finally:
            counterpart.end()
