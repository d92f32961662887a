"""The life beside an actor's work: its word, the word to stop, and the end as an orphan."""

from __future__ import annotations

import threading

import pytest

from actors.duty import SHARD, SUPERVISOR, Duty
from actors.life import MEASURE_MS, Life, process_here
from actors.processes import identify
from engine.codec import decode_any
from engine.config import Config
from engine.core.errors import Unavailable
from engine.storage.memory_control import MemoryControl

CONFIG = Config()
DUTY = Duty(role=SHARD, name="shard-1", run="this", url="", config=CONFIG)


class Scene:
    def __init__(self) -> None:
        self.now = 1_000
        self.parent = 42
        self.died: list[int] = []
        self.measured = 0
        self.stop = threading.Event()
        self.control = MemoryControl(lambda: self.now)
        self.control.reign("this", 10**9)
        self.life = Life(DUTY, self.control, self.stop, measured=self.measure, clock=lambda: self.now, parent=lambda: self.parent, die=self.died.append)

    def measure(self) -> dict[str, str]:
        self.measured += 1
        return {"metrics": f"text {self.measured}"}


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_it_says_who_it_is_and_what_it_measures(scene):
    scene.life.turn()
    word = scene.control.beats()["shard-1"]
    said = decode_any(word)
    assert (said["role"], said["name"], said["run"], said["metrics"]) == ("shard", "shard-1", "this", "text 1")
    assert process_here(word) == identify(said["pid"])
    assert process_here(b"") is None
    scene.now += MEASURE_MS - 1
    scene.life.turn()
    scene.now += 1
    scene.life.turn()
    assert scene.measured == 2
    scene.now += CONFIG.beat_life_ms
    assert scene.control.beats() == {}


@pytest.mark.parametrize("whom", ["shard", "shard-1"])
def test_it_stops_when_its_role_or_itself_is_told_to(scene, whom):
    scene.control.tell("another", whom, "stop")
    scene.control.tell("this", "pool", "stop")
    scene.control.tell("this", "shard-2", "stop")
    scene.life.turn()
    assert not scene.stop.is_set()
    scene.control.tell("this", whom, "stop")
    scene.life.turn()
    assert scene.stop.is_set()


def test_it_takes_its_word_back_at_the_end(scene):
    ended = threading.Event()
    scene.life.turn()
    ended.set()
    scene.life.run(ended)
    assert scene.control.beats() == {}


def test_it_ends_when_its_parent_is_gone(scene):
    scene.parent = 1
    scene.life.turn()
    assert scene.died


def test_it_ends_when_another_run_has_begun(scene):
    scene.control.reign("this", 0)
    scene.now += 1
    scene.control.reign("next", 10**9)
    scene.life.turn()
    assert scene.died


def test_it_waits_for_an_up_that_is_silent_but_not_for_ever(scene):
    scene.control.reign("this", 0)
    scene.life.turn()
    scene.now += CONFIG.orphan_ms
    scene.life.turn()
    assert not scene.died
    scene.now += 1
    scene.life.turn()
    assert scene.died


def test_the_supervisor_gives_up_before_those_whom_it_would_replace(scene):
    duty = Duty(role=SUPERVISOR, name="supervisor-1", run="this", url="", config=CONFIG)
    died: list[int] = []
    life = Life(duty, scene.control, scene.stop, clock=lambda: scene.now, parent=lambda: 42, die=died.append)
    scene.control.reign("this", 0)
    scene.now += CONFIG.orphan_ms // 2 + 1
    life.turn()
    scene.life.turn()
    assert died
    assert not scene.died


def test_silence_of_storage_is_not_silence_of_up(scene, monkeypatch):
    def away() -> str:
        raise Unavailable("down")

    scene.control.reign("this", 0)
    with monkeypatch.context() as patch:
        patch.setattr(scene.control, "reigning", away)
        scene.now += 10 * CONFIG.orphan_ms
        scene.life.turn()
    scene.now += CONFIG.orphan_ms
    scene.life.turn()
    assert not scene.died
