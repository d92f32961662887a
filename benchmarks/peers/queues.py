"""The task queues Celery, Dramatiq and Taskiq: one task an event, contacts in the same Valkey that carries the tasks, as their users build it.

Each stands here twice. "end to end" is measured as we are: from the first event that is handed over, with the workers at work, until the last is applied
and the last receipt is sent. "handed over before" leaves the producer out, which is more than we are given: all events wait in the queue, workers that are
warm but stopped are let go, and only their work counts. The server is the embedded one, on a Unix socket, with an AOF that is synced every second.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import redis

from benchmarks import workload
from benchmarks.peers.inside import journey
from benchmarks.peers.peer import ROOT, Counts, Figures, Peer, Work, cpu_s, started, wait
from engine.config import Config
from engine.storage.server import server_command, server_settings, socket_path, valkey_binary

COUNTS = "counts"  # the hash that tasks count in (inside/contacts.py)
CORES = os.cpu_count() or 1
READY_S_MAX, DONE_S_MAX = 30, 120
SERVER = "The AOF is synced every second: what a crash of the server loses is up to two seconds of tasks and contacts."


class HandedOver(msgspec.Struct, frozen=True):
    """What a producer said (inside/producer.py): when it began, in seconds of the monotonic clock, and its CPU seconds until it was through."""

    begun_s: float
    cpu_s: float


class Queue(Peer):
    """One of them, in one of the two ways. A subclass says how its workers are started."""

    unit = "tasks at once"
    beside = "ours, relaxed"  # which syncs as rarely
    leaves_out = "HTTP and the order within a contact; a receipt may be sent twice after a crash."
    title = ""
    module = ""
    """Its file in inside/."""

    def __init__(self, *, before: bool = False) -> None:
        self.name = f"{self.title or self.environment}, {'handed over before' if before else 'end to end'}"
        self._before = before

    def commands(self, concurrency: int) -> list[list[str | Path]]:
        """What starts workers that do so many tasks at once, all together."""
        raise NotImplementedError

    def program(self, name: str) -> Path:
        """A program of its environment."""
        return self.python.with_name(name)

    def run(self, work: Work, concurrency: int, folder: Path) -> Figures:
        log = folder / "log"
        warm, events = work.write(folder)
        with _server(folder, log) as (server, client):
            environ = {"PEER_REDIS": f"unix://{socket_path(folder)}", "PEER_SMTP_PORT": str(work.smtp_port)}
            client.mset({f"contact:{contact}": msgspec.json.encode(journey.fresh(address)) for contact, address in work.addresses()})
            with started(*self.commands(concurrency), log=log, environ=environ) as workers:
                self._hand_over(warm, environ, log)
                _wait_until_done(client, work.warm().expected, workers, log)
                client.delete(COUNTS)
                parts = {"server": [server], "workers": workers}
                return self._measured(work.made().expected, client, parts, lambda: self._hand_over(events, environ, log), log)

    def _measured(
        self, wanted: workload.Expected, client: redis.Redis, parts: dict[str, list[subprocess.Popen[bytes]]], hand_over: Callable[[], HandedOver], log: Path
    ) -> Figures:
        """The measured part, with workers that are warm; CPU time by part is of the same span as the wall."""
        before = {part: cpu_s(processes) for part, processes in parts.items()}
        if self._before:
            _signal(parts["workers"], signal.SIGSTOP)
        handed_over = hand_over()
        begun_s, producer_s = handed_over.begun_s, handed_over.cpu_s
        if self._before:
            before, producer_s = {part: cpu_s(processes) for part, processes in parts.items()}, 0.0
            begun_s = time.monotonic()
            _signal(parts["workers"], signal.SIGCONT)
        committed_s, done_s = _wait_until_done(client, wanted, parts["workers"], log)
        spent = {part: cpu_s(processes) - before[part] for part, processes in parts.items()} | {"producer": producer_s}
        return Figures(
            events=wanted.sent,
            wall_s=done_s - begun_s,
            cpu_s=sum(spent.values()),
            counts=_counts(client),
            committed_s=committed_s - begun_s,
            cpu_us_per_event={part: round(seconds / wanted.sent * 1e6, 1) for part, seconds in spent.items()},
        )

    def _hand_over(self, events: Path, environ: Mapping[str, str], log: Path) -> HandedOver:
        """Hand a file of events over by a process of its own."""
        command: list[str | Path] = [self.python, "-m", "benchmarks.peers.inside.producer", self.module, str(events)]
        with (
            log.open("ab") as errors,
            subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env={**os.environ, **environ}) as process,
        ):
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdout.readline()
            try:
                answer, _ = process.communicate(b"go\n", timeout=DONE_S_MAX)
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            raise RuntimeError(f"the producer failed:\n{log.read_text(errors='replace')[-4_000:]}")
        return msgspec.json.decode(answer, type=HandedOver)


class Celery(Queue):
    """Worker processes that run one task after the other themselves: the pool "solo", which takes about two thirds of prefork's CPU time a task."""

    environment = "celery"
    module = "celery_app"
    durability = f"At least once: acks_late, 20 retries; a lost worker's tasks come back after the visibility timeout of an hour. {SERVER}"
    target = 100
    sweep: tuple[int, ...] = (1, 2, 4)
    events = 16_000

    def commands(self, concurrency: int) -> list[list[str | Path]]:
        return [self.worker("--pool=solo", f"--hostname=worker{number}@localhost") for number in range(concurrency)]

    def worker(self, *flags: str) -> list[str | Path]:
        command: list[str | Path] = [self.program("celery"), "--app=benchmarks.peers.inside.celery_app:app", "worker"]
        return [*command, *flags, "--without-gossip", "--without-mingle", "--loglevel=WARNING"]


class Prefork(Celery):
    """Celery as it starts by itself: one consumer that hands tasks to a pool of processes."""

    title = "celery, prefork"
    durability = f"At least once: acks_late, 20 retries; a lost process's task comes back at once (reject_on_worker_lost). {SERVER}"
    sweep = (1, 2, 4, 8)
    events = 10_000

    def commands(self, concurrency: int) -> list[list[str | Path]]:
        return [self.worker("--pool=prefork", f"--concurrency={concurrency}")]


class Dramatiq(Queue):
    environment = "dramatiq"
    module = "dramatiq_app"
    durability = f"At least once: acknowledged when done, 20 retries; a lost worker's messages come back after a minute without its heartbeat. {SERVER}"
    target = 50
    sweep = (1, 2, 4, 8, 16)
    events = 24_000

    def commands(self, concurrency: int) -> list[list[str | Path]]:
        processes = min(concurrency, CORES)
        flags = [f"--processes={processes}", f"--threads={concurrency // processes}"]
        return [[self.program("dramatiq"), "benchmarks.peers.inside.dramatiq_app", *flags]]


class Taskiq(Queue):
    environment = "taskiq"
    module = "taskiq_app"
    durability = (
        f"At least once: a stream with a consumer group, acknowledged when done, 20 retries; a lost worker's tasks are claimed after a minute. {SERVER}"
    )
    target = 50
    sweep = (2, 8, 32, 128)
    events = 20_000

    def commands(self, concurrency: int) -> list[list[str | Path]]:
        processes = min(concurrency, CORES)
        flags = [f"--workers={processes}", f"--max-async-tasks={concurrency // processes}", "--no-parse", "--log-level=WARNING"]
        return [[self.program("taskiq"), "worker", "benchmarks.peers.inside.taskiq_app:broker", *flags]]


PEERS = [Celery(), Celery(before=True), Prefork(), Dramatiq(), Dramatiq(before=True), Taskiq(), Taskiq(before=True)]


@contextmanager
def _server(folder: Path, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], redis.Redis]]:
    """The embedded Valkey as a deployment with durability `relaxed` has it, and a client of it."""
    command = server_command(valkey_binary(), server_settings(Config(durability="relaxed"), folder))
    with started(command, log=log) as (server,), closing(redis.Redis(unix_socket_path=str(socket_path(folder)))) as client:
        wait(lambda: _answers(client), [server], log, READY_S_MAX)
        yield server, client


def _counts(client: redis.Redis) -> Counts:
    """What the tasks have counted so far."""
    applied, duplicates, enrolled, emails = (int(count or 0) for count in client.hmget(COUNTS, ("applied", "duplicates", "enrolled", "emails")))
    return Counts(accepted=applied + duplicates, duplicates=duplicates, enrolled=enrolled, emails=emails)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def _wait_until_done(client: redis.Redis, wanted: workload.Expected, processes: list[subprocess.Popen[bytes]], log: Path) -> tuple[float, float]:
    """When the last event was applied, and when the last receipt was sent; RuntimeError where that does not come."""
    committed_s = wait(lambda: _counts(client).accepted >= wanted.sent, processes, log, DONE_S_MAX)
    return committed_s, wait(lambda: _counts(client).emails >= wanted.emails, processes, log, DONE_S_MAX)


def _signal(processes: Iterable[subprocess.Popen[bytes]], number: int) -> None:
    """Send a signal to processes and to all in their sessions."""
    for process in processes:
        os.killpg(process.pid, number)
