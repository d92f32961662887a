"""DBOS on Debian's PostgreSQL: a workflow per event, in processes of the application that start them directly, as a handler of requests would.

PostgreSQL runs as a user who is not root, with a data folder of its own and no TCP port: its socket lies in the folder, which nobody else may enter.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.peers.peer import ROOT, WARM_SEED, Counts, Figures, Peer, Work, cpu_s, started

PROGRAMS = Path("/usr/lib/postgresql")
PROCESSES = 2
READY_S_MAX = 60
DONE_S_MAX = 300


class Share(msgspec.Struct):
    """What a process of the application says at its end."""

    done: int
    begun_s: float
    ended_s: float


class Sums(msgspec.Struct):
    """What the tables say."""

    done: int
    entered: int
    told: int


class Dbos(Peer):
    name = "dbos"
    environment = "dbos"
    durability = "fsync: every step is a transaction of PostgreSQL with its defaults (fsync and synchronous_commit on)"
    leaves_out = "HTTP: events are handed over in the process itself; and the order of a contact's events, which a partitioned queue would keep at a cost"
    target = 200
    unit = "threads in each of two processes"
    sweep = (4, 12, 24)
    events = 3_000

    def missing(self) -> str:
        if super().missing():
            return super().missing()
        return "" if _programs() else "dbos needs PostgreSQL: apt-get install --no-install-recommends postgresql"

    def run(self, work: Work, concurrency: int, folder: Path) -> Figures:
        work.write(folder)
        with _postgres(folder / "postgres.log") as (database, servers):
            environ = {"DATABASE": database, "SMTP_PORT": str(work.smtp_port)}
            self._tables(environ, "make", work.contacts)
            commands: list[list[str | Path]] = [
                [self.python, "-m", "benchmarks.peers.inside.dbos_app", folder, str(number), str(PROCESSES), str(concurrency)] for number in range(PROCESSES)
            ]
            log = folder / "dbos.log"
            with started(*commands, log=log, environ=environ) as processes:
                _wait(lambda: all((folder / f"ready-{number}").exists() for number in range(PROCESSES)), READY_S_MAX, processes, log)
                before = self._count(environ, WARM_SEED + work.seed)
                used = cpu_s([*servers, *processes])
                (folder / "go").touch()
                _wait(lambda: all((folder / f"done-{number}").exists() for number in range(PROCESSES)), DONE_S_MAX, processes, log)
                spent = cpu_s([*servers, *processes]) - used
                after = self._count(environ, work.seed)
        shares = [msgspec.json.decode((folder / f"done-{number}").read_bytes(), type=Share) for number in range(PROCESSES)]
        accepted = sum(share.done for share in shares)
        wall_s = max(share.ended_s for share in shares) - min(share.begun_s for share in shares)
        return Figures(work.events, wall_s, spent, Counts(accepted, accepted - after.done, after.entered - before.entered, after.told - before.told))

    def _tables(self, environ: dict[str, str], verb: str, value: int) -> str:
        command = [self.python, "-m", "benchmarks.peers.inside.dbos_tables", verb, str(value)]
        done = subprocess.run([str(word) for word in command], cwd=ROOT, env={**os.environ, **environ}, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"dbos could not {verb} its tables:\n{done.stderr[-4000:]}")
        return done.stdout

    def _count(self, environ: dict[str, str], seed: int) -> Sums:
        return msgspec.json.decode(self._tables(environ, "count", seed).splitlines()[-1], type=Sums)


PEERS = [Dbos()]


def _programs() -> Path | None:
    """Where the newest PostgreSQL of Debian is."""
    found = sorted(PROGRAMS.glob("*/bin/initdb"), key=lambda file: int(file.parts[-3]))
    return found[-1].parent if found else None


@contextmanager
def _postgres(log: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A server of its own: (its URL, its processes)."""
    programs = _programs()
    assert programs is not None
    place = Path(tempfile.mkdtemp(prefix="wayfare-postgres-"))
    user: list[str] = []
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        owner = pwd.getpwnam("postgres")
        os.chown(place, owner.pw_uid, owner.pw_gid)
        user = ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups", "env", "-C", str(place)]
    try:
        data, init = place / "data", ["--username=wayfare", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        subprocess.run([*user, str(programs / "initdb"), "-D", str(data), *init], check=True, stdout=subprocess.DEVNULL, cwd="/")
        server: list[str | Path] = [*user, programs / "postgres", "-D", data, "-c", "listen_addresses=", "-k", place, "-c", "max_connections=200"]
        with started(server, log=log) as processes:
            _wait((place / ".s.PGSQL.5432").exists, READY_S_MAX, processes, log)
            yield f"postgresql+psycopg://wayfare@/postgres?host={place}", processes
    finally:
        shutil.rmtree(place)


def _wait(is_there: Callable[[], bool], seconds_max: float, processes: list[subprocess.Popen[bytes]], log: Path) -> None:
    deadline = time.monotonic() + seconds_max
    while not is_there():
        if any(process.poll() for process in processes) or time.monotonic() > deadline:
            raise RuntimeError(f"dbos did not do its part within {seconds_max} s:\n{log.read_text(errors='replace')[-4000:]}")
        time.sleep(0.01)
