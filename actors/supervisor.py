"""The supervisor: keeps the wanted number of shards, gateways and pools running, and hands partitions to shards.

A plain class over four ports, one `turn` at a time. It keeps no truth of its own: what runs it asks of `Processes`, who lives and who owns
what of `Control` and `Leases`, so a new supervisor goes on where the last one died. Invariants: a shard that is silent owns nothing by the next turn;
a process that is silent for `frozen_ms` is ended, and only then replaced; while storage is away nobody counts as silent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from actors.assignment import assign
from actors.backoff import Backoff
from actors.duty import GATEWAY, POOL, ROLES, SHARD, STOP
from engine.config import Config
from engine.core.errors import Unavailable
from engine.ports import Control, Leases

log = structlog.get_logger(__name__)


class Processes(Protocol):
    """Starting and ending what the supervisor looks after. Ray's shells are one; the tests have a twin."""

    def start(self, role: str, name: str) -> None:
        """Begin to start it; returns at once."""

    def running(self) -> set[str]:
        """Names of those that were started, by this supervisor or one before it, and have not ended."""

    def kill(self, name: str, word: bytes) -> None:
        """End it at once, or clean up after it; nothing where there is none. `word` is what it published last, which says where it runs."""

    def wait(self, timeout_ms: int) -> None:
        """Return when one of them ends, or after the time."""


class Member:
    """What this supervisor has noticed of one process. `heard_ms` is 0 before its first word."""

    def __init__(self, since_ms: int) -> None:
        self.since_ms = since_ms
        self.heard_ms = 0
        self.word = b""


class Supervisor:
    """One deployment's supervisor. `clock` gives milliseconds that never run back."""

    def __init__(self, run: str, config: Config, control: Control, leases: Leases, processes: Processes, clock: Callable[[], int]) -> None:
        self._run = run
        self._config = config
        self._control = control
        self._leases = leases
        self._processes = processes
        self._clock = clock
        self._members: dict[str, Member] = {}
        self._number = 0
        self._wanted = {SHARD: config.shards + config.standbys, GATEWAY: config.gateways, POOL: config.pools}
        self._backoff = {role: Backoff(config.restart_ms_min, config.restart_ms_max) for role in ROLES}
        self._start_at = dict.fromkeys(ROLES, 0)
        self._blind_until = 0  # silence means nothing before this

    def run(self, stop: threading.Event) -> None:
        """Until `stop`; then once more, to clean up after what has stopped. The others go on without it."""
        while not stop.is_set():
            self.turn()
            self._processes.wait(self._config.beat_ms)
        self.turn()

    def turn(self) -> None:
        """Look, bury, start, hand out: once. Storage being away is not an error here."""
        now = self._clock()
        try:
            told, beats = self._control.told(self._run), self._control.beats()
            self._look(now, beats)
            for role in ROLES:
                self._keep(role, 0 if told.get(role) == STOP else self._wanted[role], now)
            self._hand_out(now)
        except Unavailable as error:
            self._blind_until = now + self._config.beat_life_ms
            log.warning("storage unavailable", error=str(error))

    def _look(self, now: int, beats: Mapping[str, bytes]) -> None:
        """Notice who came, who speaks, who ended and who is frozen."""
        running = self._processes.running()
        for name in running - self._members.keys():
            self._members[name] = Member(now)
        self._number = max([self._number, *(_number(name) for name in (*running, *beats))])
        for name, member in list(self._members.items()):
            if name in beats:
                member.heard_ms, member.word = now, beats[name]
            elif now < self._blind_until:
                member.since_ms, member.heard_ms = now, now if member.heard_ms else 0
            patience_ms = self._config.frozen_ms if member.heard_ms else self._config.birth_ms_max
            if name not in running:
                self._bury(name, now, "ended")
            elif now - max(member.heard_ms, member.since_ms) > patience_ms:
                self._bury(name, now, "silent")

    def _bury(self, name: str, now: int, why: str) -> None:
        """A process is gone, or as good as gone: make it sure, and let its place be taken."""
        log.warning("process lost", lost=name, why=why)
        self._processes.kill(name, self._members.pop(name).word)
        self._control.beat(name, b"", 0)
        role = _role(name)
        if role == SHARD:
            self._leases.revoke(name)
        self._start_at[role] = self._backoff[role].died(now)

    def _keep(self, role: str, wanted: int, now: int) -> None:
        """Start what is missing of one role."""
        have = sum(_role(name) == role for name in self._members)
        if now < self._start_at[role]:
            return
        for _ in range(wanted - have):
            self._number += 1
            name = f"{role}-{self._number}"
            self._members[name] = Member(now)
            self._processes.start(role, name)
            log.info("process started", started=name)

    def _hand_out(self, now: int) -> None:
        """Give every partition to a shard that speaks."""
        alive = [name for name, member in self._members.items() if _role(name) == SHARD and self._speaks(member, now)]
        current = self._control.assignment()
        wanted = assign(self._config.partitions, alive, current, self._config.shards)
        if wanted != current:
            self._control.assign(wanted)
            log.info("partitions assigned", **{name: len(owned) for name, owned in wanted.items()})

    def _speaks(self, member: Member, now: int) -> bool:
        return member.heard_ms == now or (member.heard_ms > 0 and now < self._blind_until)


def _role(name: str) -> str:
    return name.rpartition("-")[0]


def _number(name: str) -> int:
    number = name.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0
