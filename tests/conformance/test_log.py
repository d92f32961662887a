"""The log: dense numbers, stamps that never run back, bounds for clients with a reserve beyond them, reading and trimming."""

from __future__ import annotations

import pytest

from engine.core.errors import DamagedLog, Full
from engine.core.records import Command, Erase, Event, Outcome, Posted, Update, UseSnapshot
from tests.conformance.making import commit, events, take


async def test_numbers_are_dense_and_begin_with_one(storage):
    assert await storage.intake.append({0: events(3), 1: events(25)}) == {0: 1, 1: 1}
    assert await storage.intake.append({0: events(2)}) == {0: 4}
    read = storage.log.read({0: 1, 1: 1, 2: 1}, 100)
    assert [(batch.first, len(batch.records)) for batch in read.batches[0]] == [(1, 3), (4, 2)]
    assert [(batch.first, len(batch.records)) for batch in read.batches[1]] == [(1, 10), (11, 10), (21, 5)]
    assert 2 not in read.batches


async def test_every_kind_of_record_comes_back_as_it_was(storage):
    records = [
        Event("ann", "a", {"x": [1, {"y": None}]}, "id-1", 5),
        Update("ann", {"name": "Ann", "age": None}, ["vip"], ["lead"], {"email": "subscribed"}),
        Command("ann", "add_to", "welcome"),
        Outcome("ann", "e1", "send_sms", "rejected", "unknown number"),
        Posted("router:inbound", 3, 7, "route", {"contact": "ann"}),
        Erase("ann"),
        UseSnapshot(4),
    ]
    await storage.intake.append({0: records})
    assert storage.log.read({0: 1}, 100).batches[0][0].records == records


async def test_reading_may_begin_within_an_entry(storage):
    await storage.intake.append({0: events(10)})
    batches = storage.log.read({0: 7}, 100).batches[0]
    assert [(batch.first, [record.data["n"] for record in batch.records]) for batch in batches] == [(7, [6, 7, 8, 9])]
    assert storage.log.read({0: 11}, 100).batches == {}


async def test_reading_is_bounded_but_never_stuck(storage):
    for _ in range(6):
        await storage.intake.append({0: events(10)})
    offset, sizes = 1, []
    while batches := storage.log.read({0: offset}, 25).batches.get(0):
        sizes.append(sum(len(batch.records) for batch in batches))
        offset = batches[-1].first + len(batches[-1].records)
    assert offset == 61
    assert max(sizes) <= 25
    assert sum(len(batch.records) for batch in storage.log.read({0: 1}, 3).batches[0]) == 10


async def test_stamps_follow_the_clock_and_reads_are_stamped_before(storage):
    await storage.intake.append({0: events(1)})
    before = storage.log.read({0: 1}, 10)
    await storage.pass_ms(5)
    await storage.intake.append({0: events(1)})
    stamps = [batch.stamp_ms for batch in storage.log.read({0: 1}, 10).batches[0]]
    assert stamps[0] <= before.now_ms <= stamps[1]
    assert stamps[1] - stamps[0] >= 5


async def test_clients_are_refused_at_the_bound_and_the_reserve_is_not(storage):
    assert await storage.intake.append({0: events(100)}) == {0: 1}
    refused = await storage.intake.append({0: events(1), 1: events(1)})
    assert isinstance(refused[0], Full)
    assert refused[0].retry_after_ms > 0
    assert refused[1] == 1
    assert await storage.intake.append({0: events(30)}, reserve=True) == {0: 101}
    storage.log.append({0: events(20)})
    with pytest.raises(Full):
        storage.log.append({0: events(1)})
    commit(storage, take(storage), offset=60)
    assert await storage.intake.append({0: events(1)}) == {0: 151}


async def test_lag_is_what_is_not_committed(storage):
    assert (await storage.intake.lag())[0] == (0, 0)
    await storage.intake.append({0: events(10)})
    await storage.pass_ms(5)
    behind, age_ms = (await storage.intake.lag())[0]
    assert (behind, age_ms >= 5) == (10, True)
    commit(storage, take(storage), offset=4)
    assert (await storage.intake.lag())[0][0] == 7


async def test_trim_drops_whole_committed_entries_only(storage):
    await storage.intake.append({0: events(30)})
    assert storage.log.trim(0, 31) == 0
    commit(storage, take(storage), offset=25)
    assert storage.log.trim(0, -5) == 0  # fewer records than a shard keeps
    assert storage.log.trim(0, 15) == 10
    assert storage.log.trim(0, 1_000) == 10
    assert [batch.first for batch in storage.log.read({0: 25}, 100).batches[0]] == [25]
    with pytest.raises(DamagedLog) as caught:
        storage.log.read({0: 5}, 100)
    assert (caught.value.partition, caught.value.expected, caught.value.found) == (0, 5, 21)


async def test_an_emptied_log_goes_on_counting(storage):
    await storage.intake.append({0: events(10)})
    commit(storage, take(storage), offset=11)
    assert storage.log.trim(0, 11) == 10
    assert storage.log.trim(0, 11) == 0
    assert await storage.intake.append({0: events(1)}) == {0: 11}
    assert [batch.first for batch in storage.log.read({0: 11}, 100).batches[0]] == [11]


async def test_nothing_to_append_is_nothing(storage):
    assert await storage.intake.append({0: []}) == {}
    storage.log.append({})
    assert storage.log.read({}, 10).batches == {}
    assert storage.intake.refusing() == 0
