"""The ceiling: the canonical workload as one would write it by hand on the same stack, without any engine, from HTTP to the mail sink.

Three processes and a Valkey as ours is set up: a front (aiohttp and uvloop: decode, group by partition, append), a worker (read, look up, the map as
Python, encode, commit in one transaction with the offset) and a sender (pipelined SMTP). The load client is ours.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import msgspec

from benchmarks import cpu
from benchmarks.client import Client
from benchmarks.peers.by_hand_redis import Redis, flat
from benchmarks.peers.by_hand_worker import Contact
from benchmarks.peers.peer import WARM_SEED, Counts, Figures, Peer, Work, started, wait
from engine.config import Config
from engine.storage.server import server_command, server_settings, socket_path, valkey_binary

START_S_MAX, DRAIN_S_MAX = 20, 120
NAMES = ("read", "duplicates", "enrolled", "decided", "sent")
DURABLE = {
    "relaxed": "A 202 stands within two seconds (AOF synced every second).",
    "fsync": "A 202 is on the disk (AOF always); each batch is one transaction with its offset.",
}


class Place(msgspec.Struct, frozen=True):
    """Where the load client sends to."""

    url: str
    key: str


class ByHand(Peer):
    leaves_out = (
        "leases and fencing, effects with states and outcomes (a mail may come twice after a crash), guard, limits, retries, paths, history, metrics, "
        "events of any other shape, a bound on memory, publishing."
    )
    unit = "worker"
    events = 400_000

    def __init__(self, durability: str, target: float) -> None:
        self._durability = durability
        self.name, self.beside, self.target = f"by hand, {durability}", f"ours, {durability}", target
        self.durability = DURABLE[durability]

    def run(self, work: Work, concurrency: int, folder: Path) -> Figures:
        key, log = secrets.token_hex(), folder / "log"
        with valkey(self._durability, folder) as (server, redis):
            know(redis, work)
            path, here = str(socket_path(folder)), "benchmarks.peers.by_hand"
            front, worker, sender = ([sys.executable, "-m", f"{here}_{part}", path] for part in ("front", "worker", "sender"))
            with started([*front, key], worker, [*sender, str(work.smtp_port)], log=log) as processes:
                wait(lambda: redis.run([("GET", "port")])[0], processes, log, START_S_MAX)
                place = Place(f"http://127.0.0.1:{int(redis.run([('GET', 'port')])[0])}", key)
                parts = dict(zip(("front", "worker", "sender", "valkey"), (*processes, server), strict=True))
                return _measure(work, place, redis, parts, log)


def _measure(work: Work, place: Place, redis: Redis, parts: dict[str, subprocess.Popen[bytes]], log: Path) -> Figures:
    """A warm-up, then the events: until all are committed, then until all mails are out."""
    if work.warm_events:
        warm = Client(place, seed=WARM_SEED + work.seed, events=work.warm_events, contacts=work.contacts, batch=work.batch)
        warm.go()
        _drained(redis, warm.result().accepted, parts, log)
    client = Client(place, seed=work.seed, events=work.events, contacts=work.contacts, batch=work.batch)
    before, used = counts(redis), {name: cpu.seconds_of(process.pid) for name, process in parts.items()}
    client.go()
    seen = client.result()
    committed_s, settled_s = _drained(redis, before["read"] + seen.accepted, parts, log)
    spent = {name: cpu.seconds_of(process.pid) - used[name] for name, process in parts.items()}
    grew = {name: found - before[name] for name, found in counts(redis).items()}
    return Figures(
        events=seen.accepted,
        wall_s=settled_s - seen.begun_s,
        cpu_s=sum(spent.values()),
        counts=Counts(seen.accepted, grew["duplicates"], grew["enrolled"], grew["sent"]),
        committed_s=committed_s - seen.begun_s,
        cpu_us_per_event={name: round(used_s / seen.accepted * 1e6, 2) for name, used_s in spent.items()},
    )


def _drained(redis: Redis, read: int, parts: dict[str, subprocess.Popen[bytes]], log: Path) -> tuple[float, float]:
    """When so many events were committed, and when all mails were out, by the monotonic clock."""

    def all_sent() -> bool:
        found = counts(redis)
        return found["sent"] == found["decided"]

    committed_s = wait(lambda: counts(redis)["read"] >= read, parts.values(), log, DRAIN_S_MAX)
    return committed_s, wait(all_sent, parts.values(), log, DRAIN_S_MAX)


@contextmanager
def valkey(durability: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Redis]]:
    """The embedded server as ours is set up, and a connection to it."""
    command = server_command(valkey_binary(), server_settings(Config(durability=durability), folder))
    with started(command, log=folder / "valkey.log") as processes:
        wait(lambda: socket_path(folder).exists(), processes, folder / "valkey.log", START_S_MAX)
        redis = Redis(str(socket_path(folder)))
        try:
            yield processes[0], redis
        finally:
            redis.close()


def know(redis: Redis, work: Work) -> None:
    """Put everybody's address where the worker looks it up."""
    addresses = work.addresses()
    while part := list(islice(addresses, 1_000)):
        redis.run([("HSET", "contacts", *flat((name, msgspec.msgpack.encode(Contact(email=address))) for name, address in part))])


def counts(redis: Redis) -> dict[str, int]:
    """What worker and sender have counted."""
    found = redis.run([("HMGET", "counts", *NAMES)])[0]
    return {name: int(count or 0) for name, count in zip(NAMES, found, strict=True)}


PEERS = (ByHand("relaxed", 0.5), ByHand("fsync", 0.85))
