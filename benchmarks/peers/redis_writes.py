"""The floor: the same writes as ours, in number, order and size, on the same server, by nobody who thinks.

A deployment does the work; what its server wrote into its append-only file meanwhile (what our scripts changed, as the plain commands HSET, ZADD, XADD …)
is sent to a fresh server, by one connection in as many pipelines as there were requests. That server holds what ours held before. Beside it, the CPU time of the
server under `ours` shows what reading and our scripts cost.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import hiredis

from actors.folders import Folders
from benchmarks import cpu
from benchmarks.deployment import wait_until_settled
from benchmarks.peers.by_hand import DURABLE, valkey
from benchmarks.peers.by_hand_redis import pack
from benchmarks.peers.ours import deployed, measured
from benchmarks.peers.peer import Figures, Peer, Work

Pipeline = tuple[bytes, int]
"""Commands as they go over the wire, and their number."""

FEED_BYTES = 1 << 20
BEFORE_COMMANDS = 1_000  # at a time, where nothing is measured
CONNECTIONS = 4


class RedisWrites(Peer):
    leaves_out = "everything but the server: nobody reads, decides or sends."
    unit = "connection"
    events = 100_000
    emails = False

    def __init__(self, durability: str) -> None:
        self._durability = durability
        self.name, self.beside = f"the same writes in Valkey, {durability}", f"ours, {durability}"
        self.durability = DURABLE[durability]

    def run(self, work: Work, concurrency: int, folder: Path) -> Figures:
        file, begin, end = self._recorded(work, folder / "data")
        replay = folder / "replay"
        replay.mkdir()
        before, found = commands(file, 0, begin), commands(file, begin, end)
        made = list(pipelines(found, -(-len(found) * work.batch // work.events)))
        with valkey(self._durability, replay) as (server, redis):
            for packed, count in pipelines(before, BEFORE_COMMANDS):
                redis.exchange(packed, count)
            used_s, begun_s = cpu.seconds_of(server.pid), time.monotonic()
            for packed, count in made:
                redis.exchange(packed, count)
            wall_s, spent_s = time.monotonic() - begun_s, cpu.seconds_of(server.pid) - used_s
        size = sum(len(packed) for packed, _ in made)
        note = f"{len(found) / work.events:.2f} commands and {size / work.events:.0f} bytes an event"
        return Figures(work.events, wall_s, spent_s, cpu_us_per_event={"valkey": round(spent_s / work.events * 1e6, 2)}, note=note)

    def _recorded(self, work: Work, data: Path) -> tuple[Path, int, int]:
        """The file of a deployment that did the work, and between which bytes it did. RuntimeError where the file was rewritten meanwhile."""
        with deployed(work, CONNECTIONS, data, "--durability", self._durability) as deployment:
            (file,) = Path(Folders(str(data)).valkey).rglob("*.incr.aof")
            begin = file.stat().st_size
            measured(deployment, work, CONNECTIONS, single=False)
            wait_until_settled(deployment)
            end = file.stat().st_size
        if not file.exists():
            raise RuntimeError("the server rewrote its file while it was watched: take fewer events")
        return file, begin, end


def commands(file: Path, begin: int, end: int) -> list[list[bytes]]:
    """What stands between two places of an append-only file."""
    reader, found = hiredis.Reader(), []
    content = memoryview(file.read_bytes())[begin:end]
    for start in range(0, len(content), FEED_BYTES):
        reader.feed(bytes(content[start : start + FEED_BYTES]))
        while (command := reader.gets()) is not False:
            found.append(command)
    return found


def pipelines(found: list[list[bytes]], size: int) -> Iterator[Pipeline]:
    """Commands in pieces of so many."""
    for start in range(0, len(found), size):
        piece = found[start : start + size]
        yield pack([tuple(command) for command in piece]), len(piece)


PEERS = (RedisWrites("relaxed"), RedisWrites("fsync"))
