"""Control: assignments, words, who lives, who reigns."""

from __future__ import annotations


async def test_an_assignment_replaces_the_one_before(storage):
    assert storage.control.assignment() == {}
    assert storage.control.assigned("shard-1") == []
    storage.control.assign({"shard-1": [0, 1], "shard-2": []})
    storage.control.assign({"shard-3": range(4)})
    assert storage.control.assignment() == {"shard-3": [0, 1, 2, 3]}
    assert storage.control.assigned("shard-3") == [0, 1, 2, 3]
    assert storage.control.assigned("shard-1") == []


async def test_words_belong_to_a_run(storage):
    assert storage.control.told("first") == {}
    storage.control.tell("first", "gateway", "stop")
    storage.control.tell("first", "shard-2", "stop")
    storage.control.tell("first", "gateway", "go on")
    assert storage.control.told("first") == {"gateway": "go on", "shard-2": "stop"}
    assert storage.control.told("second") == {}


async def test_a_process_is_seen_by_the_directory_and_vanishes(storage):
    storage.control.beat("shard-1", b"\x00one", 60_000)
    storage.control.beat("shard-2", b"two", 20)
    storage.control.beat("gateway-1", b"three", 60_000)
    assert storage.control.beats().keys() >= {"shard-1", "gateway-1"}
    await storage.pass_ms(25)
    assert storage.control.beats() == await storage.directory.processes() == {"shard-1": b"\x00one", "gateway-1": b"three"}
    storage.control.beat("shard-1", b"", 0)
    storage.control.beat("nobody", b"", 0)
    assert storage.control.beats() == {"gateway-1": b"three"}


async def test_one_run_reigns_until_its_time_is_over(storage):
    assert storage.control.reigning() == ""
    assert storage.control.reign("first", 30) == "first"
    assert storage.control.reign("second", 60_000) == "first"
    assert storage.control.reign("first", 30) == "first"
    await storage.pass_ms(35)
    assert storage.control.reigning() == ""
    assert storage.control.reign("second", 60_000) == "second"
    assert storage.control.reigning() == "second"
