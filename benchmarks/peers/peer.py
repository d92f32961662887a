"""What stands beside us: a peer (another engine, in an environment of its own) or a limit (what the same work costs without any engine).

A module of this package that has `PEERS` is found by main.py. A peer is given work, starts what it needs, does a warm-up that does not count, does the
work, says what it counted, and leaves nothing behind. It is handed the same events, the same contacts and the same mail sink as we are.
Environments lie in `.peers/NAME` and are made by `ops/peers.sh NAME` out of `ops/peers/NAME.txt`; none is a dependency of the project.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from actors.processes import LAUNCH
from benchmarks import cpu, workload

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / ".peers"
STOP_S_MAX = 10
LOOK_S = 0.01
WARM_SEED = 1_000_000  # apart from every seed that is measured, so that no id of the warm-up comes again


class Work(msgspec.Struct, frozen=True):
    """What is to be done: so many events in requests of `batch`, of so many contacts, with a mail sink on a port of loopback."""

    seed: int
    events: int
    contacts: int
    smtp_port: int
    batch: int = workload.BATCH_EVENTS
    warm_events: int = 0

    def made(self) -> workload.Workload:
        """The events that are measured, and what must come of them."""
        return workload.make(self.seed, self.events, self.contacts, self.batch)

    def warm(self) -> workload.Workload:
        """The events that go before, so that nobody is measured cold."""
        return workload.make(WARM_SEED + self.seed, self.warm_events, self.contacts, self.batch)

    def addresses(self) -> Iterator[tuple[str, str]]:
        """Every contact and its address, to be known beforehand."""
        return ((f"c{number}", f"c{number}@example.com") for number in range(self.contacts))

    def write(self, folder: Path) -> tuple[Path, Path]:
        """(warm-up, events) as files of one JSON object a line, for a peer's own process to read."""
        files = folder / "warm.ndjson", folder / "events.ndjson"
        for file, made in zip(files, (self.warm(), self.made()), strict=True):
            file.write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for body in made.bodies for event in msgspec.json.decode(body)))
        return files


class Counts(msgspec.Struct, frozen=True):
    """What a peer itself counted of the measured events; the sink counts the emails once more."""

    accepted: int
    duplicates: int
    enrolled: int
    emails: int


class Figures(msgspec.Struct, frozen=True):
    """One run. `wall_s` is from the first event handed over until all is done, emails too; `committed_s` until the last commit, where that is earlier."""

    events: int
    wall_s: float
    cpu_s: float
    counts: Counts | None = None
    """None for a part of the work that has no such counts: then `events` are what was answered, and must be all."""
    committed_s: float = 0
    cpu_us_per_event: dict[str, float] = {}
    note: str = ""


class Peer:
    """One engine in one durability. Subclass it, or make instances of a subclass that differ."""

    name: str = ""
    environment: str = ""
    """The folder in `.peers`; empty for what runs in our own environment."""
    durability: str = ""
    """What it offers as it is configured here, in one sentence."""
    leaves_out: str = ""
    """What of our work it does not do, in one sentence."""
    beside: str = "ours, fsync"
    """Which of our entries is divided by this one; empty for our own entries."""
    target: float = 0
    """The least ratio (ours ÷ this, at its best) that must hold; 0 for none."""
    unit: str = "workers"
    sweep: tuple[int, ...] = (1,)
    """Concurrencies to try, in that unit."""
    events: int = 2_000
    """How many a run has at most: enough for ten seconds or so at its rate."""
    batch: int = workload.BATCH_EVENTS
    emails: bool = True
    """Whether its work ends in emails at the sink."""

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return ENVIRONMENTS / self.environment / "bin" / "python"

    def missing(self) -> str:
        """What is missing, with the command that installs it; empty where nothing is."""
        if not self.environment or (ENVIRONMENTS / f"{self.environment}.stamp").exists():
            return ""
        return f"{self.name} is not installed: make peers PEERS={self.environment}"

    def run(self, work: Work, concurrency: int, folder: Path) -> Figures:
        """Do the work once; `folder` is empty and its own. RuntimeError where it failed, with what was said."""
        raise NotImplementedError


@contextmanager
def started(*commands: Iterable[str | Path], log: Path, environ: dict[str, str] | None = None) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes in the repository's root, each in a session of its own, whose words go to `log`; ended with their children
    when the block is left, and told to end when we die. Call it from the main thread."""
    found: list[subprocess.Popen[bytes]] = []
    try:
        with log.open("ab") as output:
            for command in commands:
                found.append(_start([str(word) for word in command], output.fileno(), environ))  # noqa: PERF401 - those that are started are ended
        yield found
    finally:
        for process in reversed(found):
            _stop(process)


def _start(command: list[str], output: int, environ: dict[str, str] | None) -> subprocess.Popen[bytes]:
    """Start a command that is told to end (SIGTERM) when the thread that called dies."""
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCH, str(os.getpid()), str(int(signal.SIGTERM)), *command]
    return subprocess.Popen(
        launcher, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, **(environ or {})}
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, then end its whole session."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S_MAX)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait(until: Callable[[], object], processes: Iterable[subprocess.Popen[bytes]], log: Path, seconds_max: float) -> float:
    """When it was so, by the monotonic clock, looked at every LOOK_S. RuntimeError with the end of the log where a process ended, or it took too long."""
    deadline = time.monotonic() + seconds_max
    processes = list(processes)
    while not until():
        ended = [process.returncode for process in processes if process.poll() is not None]
        if ended or time.monotonic() > deadline:
            raise RuntimeError(
                f"{f'a process ended with {ended[0]}' if ended else f'not so after {seconds_max:g} s'}:\n{log.read_text(errors='replace')[-4000:]}"
            )
        time.sleep(LOOK_S)
    return time.monotonic()


def cpu_s(processes: Iterable[subprocess.Popen[bytes]]) -> float:
    """CPU seconds that these and their children have used so far."""
    return sum(sum(cpu.seconds_by_role(process.pid).values()) for process in processes)
