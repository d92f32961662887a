"""Processes of the operating system that are ours: starting them so that they die with their parent, and ending what an earlier run left.

A process is known by its id and its start time, so an id that was given to somebody else since is never taken for ours. All
of it reads Linux's /proc; elsewhere nothing is found, and so nothing is ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

import msgspec

PROC = Path("/proc")
LOOK_S = 0.02

# Runs in a small interpreter of its own between fork and exec, because code between the fork and the exec of a program with threads may
# deadlock. Asks Linux for a signal at the parent's death (1 is PR_SET_PDEATHSIG; it survives the exec), looks whether the parent
# died before that, and becomes the command.
LAUNCH = """
import ctypes, os, sys
parent, signal, *command = sys.argv[1:]
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(signal), 0, 0, 0)
if os.getppid() == int(parent):
    os.execvp(command[0], command)
"""


class Process(msgspec.Struct, frozen=True):
    """One process: its id, and its start in clock ticks since the machine started."""

    pid: int
    started: int


class Run(msgspec.Struct, frozen=True):
    """What a run started, as its file keeps it. `boot` is the machine's boot id: start times mean nothing in another."""

    boot: str
    processes: list[Process]


def spawn(
    command: Sequence[str], death_signal: int, *, environ: Mapping[str, str] | None = None, stdin: int | IO[bytes] = subprocess.DEVNULL, output: int | IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, to get `death_signal` when the calling thread ends: call it from the main thread."""
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCH, str(os.getpid()), str(int(death_signal)), *command]
    return subprocess.Popen(launcher, stdin=stdin, stdout=output, stderr=subprocess.STDOUT, env=environ, start_new_session=True)


def identify(pid: int) -> Process | None:
    """Who has this id now; None for nobody (and for one that is dead but not yet waited for)."""
    found = _stat(pid)
    return None if found is None else Process(pid, found[1])


def descendants(root: int) -> list[Process]:
    """The children of a process, their children, and so on."""
    children: dict[int, list[Process]] = {}
    for entry in PROC.glob("[0-9]*"):
        found = _stat(int(entry.name))
        if found is not None:
            children.setdefault(found[0], []).append(Process(int(entry.name), found[1]))
    tree = list(children.get(root, []))
    for process in tree:
        tree.extend(children.get(process.pid, []))
    return tree


def family(root: int, known: Iterable[Process]) -> list[Process]:
    """The descendants of a process, and those of the known ones that live on though their parent has died."""
    return list(dict.fromkeys([*descendants(root), *(process for process in known if identify(process.pid) == process)]))


def end(processes: Iterable[Process], patience_s: float, sleep: Callable[[float], None] = time.sleep) -> list[Process]:
    """Ask these to end (SIGTERM), wait at most `patience_s`, then end them (SIGKILL). Those that had to be killed."""
    left = [process for process in processes if _send(process, signal.SIGTERM)]
    rounds = max(1, int(patience_s / LOOK_S))
    for _ in range(rounds):
        left = [process for process in left if identify(process.pid) == process]
        if not left:
            return []
        sleep(LOOK_S)
    return [process for process in left if _send(process, signal.SIGKILL)]


def remember(file: Path, processes: Sequence[Process]) -> None:
    """Write a run's file, whole or not at all."""
    fresh = file.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(Run(_boot(), list(processes))))
    fresh.replace(file)


def end_leftovers(file: Path, patience_s: float) -> list[Process]:
    """End what an earlier run left behind, as its file tells; the processes that were found alive."""
    try:
        run = msgspec.json.decode(file.read_bytes(), type=Run)
    except (FileNotFoundError, msgspec.DecodeError):
        return []
    if run.boot != _boot():
        return []
    alive = [process for process in run.processes if identify(process.pid) == process]
    end(alive, patience_s)
    return alive


def name_of(pid: int) -> str:
    """What a process calls itself (at most 15 characters, that is Linux's bound); empty for nobody."""
    with contextlib.suppress(OSError):
        return (PROC / str(pid) / "comm").read_text().strip()
    return ""


def _stat(pid: int) -> tuple[int, int] | None:
    """A living process's parent and start time. Its name may hold spaces and brackets, so fields are counted from the last bracket."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else (int(fields[1]), int(fields[19]))


def _send(process: Process, number: int) -> bool:
    if identify(process.pid) != process:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, number)
        return True
    return False


def _boot() -> str:
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
