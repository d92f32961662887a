"""The supervisor over memory twins and a clock that is turned by hand."""

from __future__ import annotations

import pytest

from actors.duty import SHARD, STOP
from actors.supervisor import Supervisor
from engine.config import Config
from engine.core.errors import Unavailable
from engine.storage.memory import MemoryStore

CONFIG = Config(partitions=8, shards=1, standbys=1, gateways=1, pools=1)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000

    def __call__(self) -> int:
        return self.now


class Stage:
    """Processes that only exist here: they speak when told to. `frozen` ones run on in silence."""

    def __init__(self, config: Config = CONFIG) -> None:
        self.clock = Clock()
        self.config = config
        self.store = MemoryStore(config, self.clock)
        self.control = self.store.control
        self.alive: set[str] = set()
        self.frozen: set[str] = set()
        self.started: list[str] = []
        self.killed: list[str] = []
        self.supervisor = self.another()

    def another(self) -> Supervisor:
        return Supervisor("run", self.config, self.control, self.store.leases, self, self.clock)

    def start(self, role: str, name: str) -> None:
        assert name not in self.started
        self.alive.add(name)
        self.started.append(name)

    def running(self) -> set[str]:
        return set(self.alive)

    def kill(self, name: str, word: bytes) -> None:
        self.alive.discard(name)
        self.killed.append(name)

    def wait(self, timeout_ms: int) -> None:
        self.clock.now += timeout_ms

    def die(self, name: str) -> None:
        self.alive.discard(name)

    def go(self, turns: int = 1) -> None:
        for _ in range(turns):
            for name in self.alive - self.frozen:
                self.control.beat(name, b"", self.config.beat_life_ms)
            self.supervisor.turn()
            self.wait(self.config.beat_ms)

    def owners(self) -> dict[str, int]:
        return {shard: len(owned) for shard, owned in self.control.assignment().items()}

    def role(self, role: str) -> list[str]:
        return sorted(name for name in self.alive if name.startswith(role))


@pytest.fixture
def stage() -> Stage:
    made = Stage()
    made.go(2)
    return made


def test_it_starts_what_is_wanted_and_gives_all_partitions_to_one_shard(stage):
    assert [len(stage.role(role)) for role in ("gateway", "shard", "pool")] == [1, 2, 1]
    stage.go(5)
    assert len(stage.started) == 4
    assert list(stage.owners().values()) == [8]


def test_a_dead_shard_is_replaced_by_the_standby_in_the_same_turn(stage):
    first = next(iter(stage.owners()))
    stage.die(first)
    stage.go()
    standby = next(iter(stage.owners()))
    assert standby != first
    assert len(stage.role("shard")) == 2
    stage.go(5)
    assert stage.owners() == {standby: 8}


def test_the_leases_of_a_dead_shard_are_taken_away_at_once(stage):
    first = next(iter(stage.owners()))
    lease = stage.store.leases.acquire(0, first, 60_000)
    stage.die(first)
    stage.go()
    assert stage.store.leases.renew([lease], 60_000) == []
    assert stage.store.leases.acquire(0, next(iter(stage.owners())), 60_000) is not None


def test_a_frozen_shard_loses_its_partitions_first_and_its_life_later(stage):
    first = next(iter(stage.owners()))
    stage.frozen.add(first)
    stage.go(CONFIG.beat_life_ms // CONFIG.beat_ms + 2)
    assert first not in stage.owners()
    assert first in stage.alive
    stage.go(CONFIG.frozen_ms // CONFIG.beat_ms + 2)
    assert first in stage.killed
    assert len(stage.role("shard")) == 2


def test_a_shard_that_thaws_in_time_becomes_the_standby(stage):
    first = next(iter(stage.owners()))
    stage.frozen.add(first)
    stage.go(CONFIG.beat_life_ms // CONFIG.beat_ms + 2)
    stage.frozen.clear()
    stage.go(5)
    assert stage.killed == []
    assert first not in stage.owners()


@pytest.mark.parametrize("role", ["gateway", "pool"])
def test_a_dead_gateway_or_pool_is_replaced(stage, role):
    before = stage.role(role)
    stage.die(before[0])
    stage.go(2)
    assert len(stage.role(role)) == 1
    assert stage.role(role) != before


def test_what_dies_again_and_again_is_started_at_growing_distances(stage):
    for _ in range(100):
        for name in stage.role("pool"):
            stage.die(name)
        stage.go()
    # 100 turns are 30 s: the distances grow from 0 over 0.1, 0.2, 0.4 … to 10 s
    assert 8 <= len([name for name in stage.started if name.startswith("pool")]) <= 14
    stage.go(CONFIG.restart_ms_max // CONFIG.beat_ms + 2)
    assert len(stage.role("pool")) == 1


def test_one_that_never_says_a_word_is_given_up(stage):
    stage.frozen.add("pool-5")
    stage.die(stage.role("pool")[0])
    stage.go(CONFIG.frozen_ms // CONFIG.beat_ms + 2)
    assert stage.role("pool") == ["pool-5"]
    stage.go((CONFIG.birth_ms_max - CONFIG.frozen_ms) // CONFIG.beat_ms + 2)
    assert stage.killed[-1] == "pool-5"
    assert stage.role("pool") == ["pool-6"]


def test_what_was_told_to_stop_is_not_started_again(stage):
    stage.control.tell("run", SHARD, STOP)
    for name in stage.role("shard"):
        stage.die(name)
    stage.go(50)
    assert stage.role("shard") == []
    assert len(stage.role("pool")) == 1


def test_a_new_supervisor_goes_on_where_the_last_one_died(stage):
    owners, alive = stage.owners(), set(stage.alive)
    stage.supervisor = stage.another()
    stage.go(5)
    assert (stage.owners(), stage.alive) == (owners, alive)
    stage.die(next(iter(owners)))
    stage.go()
    assert len(stage.started) == len(set(stage.started)) == 5


def test_a_new_supervisor_notices_who_died_between(stage):
    first = next(iter(stage.owners()))
    stage.die(first)
    stage.supervisor = stage.another()
    stage.go(2)
    assert first not in stage.owners()
    assert sum(stage.owners().values()) == 8


def test_nobody_is_silent_while_storage_is_away(stage, monkeypatch):
    owners, alive = stage.owners(), set(stage.alive)

    def away() -> dict[str, bytes]:
        raise Unavailable("down")

    with monkeypatch.context() as patch:
        patch.setattr(stage.control, "beats", away)
        stage.go(3 * CONFIG.frozen_ms // CONFIG.beat_ms)
    stage.control._beats.clear()
    stage.supervisor.turn()  # storage is back before anybody spoke again
    assert stage.owners() == owners
    stage.go(5)
    assert (stage.owners(), stage.alive, stage.killed) == (owners, alive, [])


def test_more_shards_share_the_partitions():
    stage = Stage(Config(partitions=8, shards=3, standbys=1))
    stage.go(3)
    assert sorted(stage.owners().values()) == [2, 3, 3]
    before = stage.control.assignment()
    dead = next(iter(before))
    stage.die(dead)
    stage.go(2)
    after = stage.control.assignment()
    moved = [partition for shard, owned in after.items() for partition in owned if partition not in before.get(shard, ())]
    assert sorted(moved) == sorted(before[dead])
