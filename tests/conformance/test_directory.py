"""Snapshots, and what gateways and the command line read and administer."""

from __future__ import annotations

from engine.core.index import entries
from engine.core.partitioning import partition_of
from engine.core.records import UseSnapshot
from engine.ports import Snapshot
from tests.conformance.making import commit, take


async def test_publishing_stores_and_tells_every_log(storage):
    first = Snapshot(1, {"maps": [{"map": "a"}]}, {"a": {"1": {"map": "a"}}}, 5)
    assert await storage.workspaces.newest() == 0
    assert await storage.workspaces.publish(first, 0)
    assert await storage.workspaces.newest() == 1
    assert await storage.workspaces.get(1) == first
    assert storage.snapshots.snapshot(1) == first
    assert await storage.workspaces.get(2) is None
    assert storage.snapshots.snapshot(2) is None
    read = storage.log.read(dict.fromkeys(range(4), 1), 10)
    assert {partition: batches[0].records for partition, batches in read.batches.items()} == {partition: [UseSnapshot(1)] for partition in range(4)}


async def test_of_two_publishers_one_is_told_to_look_again(storage):
    assert await storage.workspaces.publish(Snapshot(1, {"by": "first"}), 0)
    assert not await storage.workspaces.publish(Snapshot(1, {"by": "second"}), 0)
    assert (await storage.workspaces.get(1)).documents == {"by": "first"}
    assert await storage.workspaces.publish(Snapshot(2, {"by": "second"}), 1)


async def test_publishing_the_same_again_is_no_conflict(storage):
    """Its reply was lost, so the publisher repeats it; the logs may be told twice, which changes nothing."""
    assert await storage.workspaces.publish(Snapshot(1, {"by": "first"}), 0)
    assert await storage.workspaces.publish(Snapshot(1, {"by": "first"}), 0)
    assert await storage.workspaces.newest() == 1


async def test_a_contact_and_the_state_of_partitions(storage):
    home = partition_of("ann", 4)
    commit(storage, take(storage, home), contacts={"ann": b"A"}, offset=7, time_ms=9, snapshot=2)
    assert await storage.directory.contact("ann") == b"A"
    assert await storage.directory.contact("bob") is None
    states = await storage.directory.states()
    assert sorted(states) == [0, 1, 2, 3]
    assert (states[home].offset, states[home].commit, states[home].snapshot) == (7, 1, 2)
    assert states[(home + 1) % 4].offset == 1


async def test_counters_are_summed_over_partitions(storage):
    for partition in range(3):
        commit(storage, take(storage, partition), counters={"map:a:entered": 2})
    assert await storage.directory.counters() == {"map:a:entered": 6}


async def test_api_keys(storage):
    await storage.directory.put_key("d1", {"name": "x", "scopes": ["read"], "made_ms": 1})
    await storage.directory.put_key("d2", {"name": "y", "scopes": [], "made_ms": 2})
    await storage.directory.put_key("d1", None)
    assert await storage.directory.keys() == {"d2": {"name": "y", "scopes": [], "made_ms": 2}}


async def test_once_is_won_by_the_first_until_it_expires(storage):
    assert await storage.directory.once("k", b"a", 20) is None
    assert await storage.directory.once("k", b"b", 20) == b"a"
    assert await storage.directory.kept("k") == b"a"
    await storage.pass_ms(25)
    assert await storage.directory.kept("k") is None
    assert await storage.directory.once("k", b"c", 20) is None
    assert await storage.directory.once("for good", b"d", 0) is None
    await storage.pass_ms(25)
    assert await storage.directory.once("for good", b"e", 0) == b"d"


async def test_processes_vanish_when_they_fall_silent(storage):
    storage.control.beat("shard-1", b"one", 60_000)
    storage.control.beat("shard-2", b"two", 15)
    storage.control.beat("shard-1", b"\x00three", 60_000)
    assert (await storage.directory.processes())["shard-2"] == b"two"
    await storage.pass_ms(20)
    assert await storage.directory.processes() == {"shard-1": b"\x00three"}


async def test_the_audit_keeps_the_newest(storage):
    for number in range(7):
        await storage.directory.audit({"who": "admin", "what": number})
    assert [entry["what"] for entry in await storage.directory.audited(3)] == [6, 5, 4]
    assert len(await storage.directory.audited(100)) == 5


async def test_ping_tells_memory_and_durability(storage):
    found = await storage.directory.ping()
    assert found["durability"] == "fsync"
    assert 0 <= found["used_bytes"] < found["max_bytes"]


async def test_waiting_contacts_are_counted_over_partitions(storage):
    first, second = take(storage, 0), take(storage, 1)
    commit(storage, first, due={"ann": 5, "bob": 6})
    commit(storage, second, due={"cem": 7})
    commit(storage, first, due={"bob": 0})
    assert await storage.directory.timers() == 2


def _index(**contacts: tuple[str, str]) -> dict[str, bool]:
    return {entry: True for contact, (email, phone) in contacts.items() for entry in entries(contact, {"email": email, "phone": phone})}


async def test_contacts_are_found_by_address_and_number_in_all_partitions(storage):
    commit(storage, take(storage, 0), index=_index(zoe=("Family@Example.com", "+12025550100"), bob=("bob@example.com", "")))
    commit(storage, take(storage, 2), index=_index(ann=("family@example.com", "+12025550100"), eve=("family@example.com.au", "+120255501000")))
    assert await storage.directory.find("email", " FAMILY@example.com ") == ["ann", "zoe"]
    assert await storage.directory.find("phone", "+1 (202) 555-0100") == ["ann", "zoe"]
    assert await storage.directory.find("email", "bob@example.co") == []
    assert await storage.directory.find("phone", "bob@example.com") == []


async def test_an_entry_that_goes_is_not_found_and_another_contact_keeps_its_own(storage):
    lease = take(storage)
    commit(storage, lease, index=_index(ann=("a@example.com", ""), bob=("a@example.com", "")))
    commit(storage, lease, index={**dict.fromkeys(_index(ann=("a@example.com", "")), False), **_index(ann=("b@example.com", ""))})
    assert await storage.directory.find("email", "a@example.com") == ["bob"]
    assert await storage.directory.find("email", "b@example.com") == ["ann"]


async def test_nothing_is_found_by_what_is_no_address(storage):
    commit(storage, take(storage), index=_index(ann=("a@example.com", "+12025550100")))
    for kind, value in (("email", ""), ("email", "a"), ("phone", ""), ("phone", "x"), ("email", "a@example.com\x00ann"), ("fax", "+12025550100")):
        assert await storage.directory.find(kind, value) == []


async def test_a_look_up_is_bounded(storage):
    most = storage.config.found_contacts_max
    assert most < 20, "the suite sets a small bound"
    commit(storage, take(storage), index=_index(**{f"c{number:02d}": ("a@example.com", "") for number in range(20)}))
    assert await storage.directory.find("email", "a@example.com") == [f"c{number:02d}" for number in range(most)]


async def test_the_index_passes_the_bounds_of_lua(storage):
    index = _index(**{f"c{number}": (f"c{number}@example.com", "") for number in range(5_000)})
    lease = take(storage)
    commit(storage, lease, index=index)
    assert await storage.directory.find("email", "c4999@example.com") == ["c4999"]
    commit(storage, lease, index=dict.fromkeys(index, False))
    assert await storage.directory.find("email", "c4999@example.com") == []
