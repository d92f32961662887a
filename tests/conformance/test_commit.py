"""The commit: whole or not at all, on the owner's token and the number of the commit before."""

from __future__ import annotations

import pytest

from engine.codec import encode
from engine.core.effects import Post, Row
from engine.core.errors import Fenced, WayfareError
from engine.core.records import Event
from engine.ports import Commit, PartitionState
from tests.conformance.making import claim, commit, counts, effect, take


async def test_a_fresh_partition_begins_with_record_one(storage):
    assert storage.commits.load(take(storage)) == PartitionState(offset=1)


async def test_everything_of_a_commit_is_there_afterwards(storage):
    lease = take(storage)
    commit(
        storage,
        lease,
        offset=40,
        time_ms=9_000,
        snapshot=3,
        contacts={"ann": b"A", "bob": b"B"},
        due={"ann": 500, "bob": 300},
        posts=[Post("router:inbound", "route", {"contact": "ann"}), Post("router:inbound", "route", {"contact": "bob"})],
        marks={2: 17},
        rows=[Row("tasks", "t1", b"one"), Row("tasks", "t2", b"two"), Row("lists", "ann", b"x")],
        counters={"map:welcome:entered": 2},
        dedupe=(12, b"k" * 16),
    )
    state = storage.commits.load(lease)
    assert state == PartitionState(offset=40, commit=1, time_ms=9_000, snapshot=3, marks={2: 17}, posted=2, dedupe=[(12, b"k" * 16)])
    assert storage.commits.look(lease) == 1
    assert storage.commits.fetch({0: ["bob", "eve", "ann"], 1: ["ann"], 2: []}) == {0: [b"B", None, b"A"], 1: [None], 2: []}
    assert storage.commits.due({0: 400, 1: 400}, 10) == {0: [("bob", 300)], 1: []}
    assert [(seq, post.data["contact"]) for seq, post in storage.commits.posts(0, 10)] == [(1, "ann"), (2, "bob")]
    assert await storage.directory.rows("tasks") == {"t1": b"one", "t2": b"two"}
    assert (await storage.directory.counters())["map:welcome:entered"] == 2


async def test_a_second_commit_changes_and_deletes(storage):
    lease = take(storage)
    commit(storage, lease, contacts={"ann": b"A", "bob": b"B"}, due={"ann": 500, "bob": 300}, rows=[Row("tasks", "t1", b"one")], counters={"c": 2})
    commit(
        storage,
        lease,
        contacts={"ann": b"A2", "bob": None},
        due={"ann": 200, "bob": 0},
        rows=[Row("tasks", "t2", b"x"), Row("tasks", "t1", b"y"), Row("tasks", "t1", None), Row("tasks", "t2", b"two")],
        counters={"c": -1},
    )
    assert storage.commits.fetch({0: ["ann", "bob"]}) == {0: [b"A2", None]}
    assert storage.commits.due({0: 1_000}, 10) == {0: [("ann", 200)]}
    assert await storage.directory.rows("tasks") == {"t2": b"two"}
    assert (await storage.directory.counters())["c"] == 1


async def test_due_gives_the_earliest_first_and_no_more_than_asked(storage):
    commit(storage, take(storage), due={f"c{number}": 1_000 - number for number in range(10)})
    assert storage.commits.due({0: 998}, 3) == {0: [("c9", 991), ("c8", 992), ("c7", 993)]}


async def test_the_same_commit_again_is_refused(storage):
    lease = take(storage)
    made = commit(storage, lease, counters={"c": 1}, effects=[effect(1)])
    assert isinstance(storage.commits.commit([(lease, made)])[0], Fenced)
    assert storage.commits.look(lease) == made.expected + 1
    assert (await storage.directory.counters())["c"] == 1
    assert await counts(storage) == {"pending": 1}


async def test_each_commit_of_a_round_trip_has_its_own_fate(storage):
    leases = [take(storage, partition) for partition in range(3)]
    commits = [Commit(expected=int(number == 1), offset=2, time_ms=0, snapshot=0, contacts={"ann": b"A"}) for number in range(3)]
    answers = storage.commits.commit(list(zip(leases, commits, strict=True)))
    assert [type(answer) for answer in answers] == [type(None), Fenced, type(None)]
    assert storage.commits.fetch({0: ["ann"], 1: ["ann"], 2: ["ann"]}) == {0: [b"A"], 1: [None], 2: [b"A"]}


async def test_offset_and_time_never_run_back(storage):
    lease = take(storage)
    commit(storage, lease, offset=40, time_ms=9_000)
    answer = storage.commits.commit([(lease, Commit(expected=1, offset=39, time_ms=9_000, snapshot=0))])[0]
    assert isinstance(answer, WayfareError)
    commit(storage, lease, offset=41, time_ms=8_000)
    assert storage.commits.load(lease).time_ms == 9_000


async def test_a_large_commit_passes_the_bounds_of_lua(storage):
    lease = take(storage)
    contacts = {f"contact-{number}": b"c" * 20 for number in range(9_001)}
    effects = [effect(number, contact=f"contact-{number}") for number in range(4_500)]
    commit(storage, lease, contacts=contacts, due=dict.fromkeys(contacts, 5), effects=effects)
    assert len(storage.commits.due({0: 5}, 20_000)[0]) == 9_001
    assert await counts(storage) == {"pending": 4_500}
    commit(storage, lease, contacts=dict.fromkeys(contacts), due=dict.fromkeys(contacts, 0))
    assert storage.commits.due({0: 5}, 10) == {0: []}


async def test_dedupe_keys_gather_in_buckets_and_the_oldest_go(storage):
    lease = take(storage)
    for bucket, keys in ((5, b"a" * 8), (5, b"b" * 8), (6, b"c" * 8), (7, b"d" * 8)):
        commit(storage, lease, dedupe=(bucket, keys))
    assert storage.commits.load(lease).dedupe == [(5, b"a" * 8 + b"b" * 8), (6, b"c" * 8), (7, b"d" * 8)]
    commit(storage, lease, dedupe=(8, b"e" * 8))
    assert [bucket for bucket, _ in storage.commits.load(lease).dedupe] == [6, 7, 8]


async def test_posts_are_numbered_on_and_forgotten_when_they_arrived(storage):
    lease = take(storage)
    for _ in range(2):
        commit(storage, lease, posts=[Post("router:inbound", "route", {}), Post("router:inbound", "route", {})])
    assert [seq for seq, _ in storage.commits.posts(0, 3)] == [1, 2, 3]
    storage.commits.posted(lease, 3)
    storage.commits.posted(lease, 3)
    assert [seq for seq, _ in storage.commits.posts(0, 10)] == [4]
    commit(storage, lease, posts=[Post("router:inbound", "route", {})])
    assert storage.commits.load(lease).posted == 5


async def test_parked_contacts_queue_by_place(storage):
    lease = take(storage)
    commit(storage, lease, parked=[("email/", "ann"), ("sms/", "bob"), ("email/", "cid")], effects=[effect(1, dest="gmail.com")])
    assert storage.commits.full([0, 1]) == {0: {"email/gmail.com": 1, "parked:email/": 2, "parked:sms/": 1}, 1: {}}
    assert storage.commits.parked(0, "email/", 1) == ["ann"]
    commit(storage, lease, unparked={"email/": 1, "sms/": 5}, parked=[("email/", "dan")])
    assert storage.commits.parked(0, "email/", 10) == ["cid", "dan"]
    assert storage.commits.full([0]) == {0: {"email/gmail.com": 1, "parked:email/": 2}}


async def test_depth_counts_what_is_not_settled(storage):
    lease = take(storage)
    commit(storage, lease, effects=[effect(1), effect(2, dest="a.example"), effect(3, dest="a.example", not_before_ms=9_000_000_000_000)])
    assert storage.commits.full([0]) == {0: {"email/": 1, "email/a.example": 2}}
    commit(storage, lease, withdrawn=[effect(1).id, effect(3).id])
    assert storage.commits.full([0]) == {0: {"email/a.example": 1}}
    assert await counts(storage) == {"pending": 1, "withdrawn": 2}


async def test_an_effect_withdrawn_in_its_own_commit_is_never_claimed(storage):
    commit(storage, take(storage), effects=[effect(1), effect(2)], withdrawn=[effect(1).id, "f" * 32])
    assert [one.effect.id for one in await claim(storage)] == [effect(2).id]


async def test_poison_is_kept_within_its_bound(storage):
    lease = take(storage)
    for number in range(4):
        commit(storage, lease, set_aside=[(number, encode(Event("ann", "x")), f"reason {number}")])
    found = await storage.directory.set_aside(2)
    assert [(one["partition"], one["offset"], one["reason"]) for one in found] == [(0, 3, "reason 3"), (0, 2, "reason 2")]
    assert len(await storage.directory.set_aside(10)) == 3


async def test_owners_that_died_without_a_commit_are_counted_while_records_wait(storage):
    first = take(storage, ttl_ms=20)
    assert storage.commits.load(first).tries == 1
    await storage.pass_ms(25)
    assert storage.commits.load(take(storage, ttl_ms=20)).tries == 1, "nothing waited: no record can have killed them"
    await storage.intake.append({0: [Event("ann", "e")]})
    await storage.pass_ms(25)
    third = take(storage, ttl_ms=20)
    assert storage.commits.load(third).tries == 2
    storage.commits.attempt(third, 1)
    await storage.pass_ms(25)
    fourth = take(storage)
    state = storage.commits.load(fourth)
    assert (state.tries, state.attempt) == (3, 1)
    commit(storage, fourth, offset=1, counters={"c": 1}, scan=7)
    state = storage.commits.load(fourth)
    assert (state.tries, state.attempt, state.scan) == (1, 0, 7)


async def test_a_clean_release_is_no_death(storage):
    await storage.intake.append({0: [Event("ann", "e")]})
    for _ in range(3):
        lease = take(storage, ttl_ms=20)
        assert storage.commits.load(lease).tries == 1
        storage.leases.release([lease])


async def test_only_the_owner_notes_an_attempt(storage):
    first = take(storage, ttl_ms=20)
    await storage.pass_ms(25)
    take(storage, ttl_ms=20)
    with pytest.raises(Fenced):
        storage.commits.attempt(first, 1)
    with pytest.raises(Fenced):
        storage.commits.load(first)


async def test_a_scan_meets_every_checkpoint(storage):
    lease = take(storage, ttl_ms=20)
    wanted = {f"contact-{number}": b"v%d" % number for number in range(2_000)}
    commit(storage, lease, contacts=wanted)
    found: dict[str, bytes] = {}
    cursor, rounds = 0, 0
    while rounds == 0 or cursor:
        some, cursor = storage.commits.scan(0, cursor, 50)
        found.update(some)
        rounds += 1
    assert found == wanted
    assert rounds > 1
