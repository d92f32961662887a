"""The outbox: who is served when, what comes back by itself, and what an operator can do."""

from __future__ import annotations

import pytest

from engine.core.effects import TRANSACTIONAL
from engine.core.errors import Full, WayfareError
from engine.core.records import Outcome
from engine.ports import Settle
from tests.conformance.making import claim, commit, counts, effect, events, take

FAR_MS = 9_000_000_000_000


def ids(claims):
    return [int(one.effect.id) for one in claims]


async def mark(storage, claims, lease_ms=30_000, once=True):
    return await storage.outbox.mark(claims, lease_ms, once=once)


async def test_an_effect_comes_out_as_it_went_in(storage):
    made = effect(1, contact="zoë", dest="gmail.com", map="sequence:a|b", params={"values": {"x": [1, None]}}, decided_ms=77)
    commit(storage, take(storage), effects=[made])
    (one,) = await claim(storage)
    assert (one.partition, one.attempt, one.first_ms, one.guard) == (0, 1, 77, "")
    assert one.effect == made
    assert await claim(storage) == []


async def test_the_transactional_lane_is_served_first(storage):
    commit(storage, take(storage), effects=[effect(1), effect(2), effect(3, lane=TRANSACTIONAL), effect(4), effect(5, lane=TRANSACTIONAL)])
    assert ids(await claim(storage)) == [3, 5, 1, 2, 4]


async def test_a_large_mailing_does_not_stand_before_another_maps_few(storage):
    bulk = [effect(number, map="newsletter") for number in range(1, 21)]
    commit(storage, take(storage), effects=[*bulk, effect(91, map="welcome"), effect(92, map="welcome", dest="gmail.com")])
    assert ids(await claim(storage, most=8)) == [1, 2, 91, 92, 3, 4, 5, 6]
    assert ids(await claim(storage, most=3)) == [7, 8, 9]


async def test_other_channels_and_partitions_are_left_alone(storage):
    commit(storage, take(storage), effects=[effect(1, channel="sms")])
    commit(storage, take(storage, 1), effects=[effect(2)])
    assert await claim(storage) == []
    assert ids(await claim(storage, partitions=[0, 1])) == [2]
    assert await claim(storage, partitions=[]) == []


async def test_many_partitions_share_what_is_asked_for(storage):
    for partition in range(4):
        commit(storage, take(storage, partition), effects=[effect(partition * 100 + number) for number in range(1, 11)])
    seen = []
    for _ in range(40):
        part = await claim(storage, most=6, partitions=[0, 1, 2, 3])
        assert len(part) <= 6
        seen += ids(part)
    assert sorted(seen) == sorted(partition * 100 + number for partition in range(4) for number in range(1, 11))


async def test_what_is_spread_is_due_later_than_not_before(storage):
    commit(storage, take(storage), effects=[effect(1, not_before_ms=1), effect(2, not_before_ms=1, spread_ms=FAR_MS), effect(3)])
    assert sorted(ids(await claim(storage))) == [1, 3]
    assert (await storage.outbox.depths())["email"]["deferred"] == 1


async def test_closed_destinations_and_those_without_room_are_passed_over(storage):
    hosts = [("a.example", 1), ("b.example", 2), ("c.example", 3)]
    commit(storage, take(storage), effects=[effect(f"{host}{number}", channel="webhook", dest=dest) for dest, host in hosts for number in range(5)])
    taken = await claim(storage, "webhook", closed=["a.example"], room={"b.example": 3, "a.example": 9})
    by_dest = [one.effect.dest for one in taken]
    assert (by_dest.count("a.example"), by_dest.count("b.example"), by_dest.count("c.example")) == (0, 3, 5)
    assert len(await claim(storage, "webhook", closed=["a.example"], room={"b.example": 0})) == 0
    assert len(await claim(storage, "webhook")) == 7


async def test_a_claim_that_expires_is_pending_again_at_the_front(storage):
    commit(storage, take(storage), effects=[effect(1), effect(2)])
    late = await claim(storage, most=1, lease_ms=10)
    await storage.pass_ms(15)
    again = await claim(storage)
    assert ids(again) == [1, 2]
    assert again[0].attempt == 1
    assert await mark(storage, late) == ["lost"]
    assert await storage.outbox.settle([Settle(claim=late[0], state="rejected")]) == [False]
    assert await counts(storage) == {"pending": 2}


async def test_an_expired_mark_is_unknown_and_a_late_result_still_counts(storage):
    commit(storage, take(storage), effects=[effect(1)])
    claims = await claim(storage)
    assert await mark(storage, claims, 10) == [""]
    await storage.pass_ms(15)
    assert await claim(storage) == []
    assert await counts(storage) == {"unknown": 1}
    assert [line["effect"] for line in await storage.outbox.listing("unknown", 10)] == [claims[0].effect.id]
    assert await storage.outbox.settle([Settle(claim=claims[0], state="delivered")]) == [True]
    assert await counts(storage) == {"delivered": 1}
    assert await storage.outbox.listing("unknown", 10) == []


async def test_an_expired_mark_that_may_be_sent_again_is_one_attempt_older(storage):
    commit(storage, take(storage), effects=[effect(1)])
    assert await mark(storage, await claim(storage), 10, once=False) == [""]
    await storage.pass_ms(15)
    assert [one.attempt for one in await claim(storage)] == [2]


async def test_marking_again_extends_the_mark(storage):
    commit(storage, take(storage), effects=[effect(1)])
    claims = await claim(storage)
    assert await mark(storage, claims, 10) == [""]
    assert await mark(storage, claims, 60_000) == [""]
    await storage.pass_ms(15)
    await claim(storage)
    assert await counts(storage) == {"pending": 1}


async def test_deferred_effects_come_when_they_are_due(storage):
    commit(storage, take(storage), effects=[effect(1), effect(2), effect(3, not_before_ms=FAR_MS)])
    soon, later = await claim(storage)
    now_ms = storage.log.read({}, 1).now_ms
    settles = [
        Settle(claim=soon, state="deferred", due_ms=now_ms + 20, reason="busy"),
        Settle(claim=later, state="deferred", due_ms=now_ms + 20, attempted=False),
    ]
    assert await storage.outbox.settle(settles) == [True, True]
    assert await claim(storage) == []
    assert (await storage.outbox.depths())["email"]["deferred"] == 3
    await storage.pass_ms(30)
    assert sorted((int(one.effect.id), one.attempt) for one in await claim(storage)) == [(1, 2), (2, 1)]
    assert await counts(storage) == {"pending": 3}


async def test_released_claims_keep_their_order(storage):
    commit(storage, take(storage), effects=[effect(number) for number in range(1, 5)])
    claims = await claim(storage, most=3)
    await storage.outbox.release(claims)
    await storage.outbox.release(claims)
    assert ids(await claim(storage)) == [1, 2, 3, 4]


async def test_what_was_withdrawn_in_a_pools_hands_is_not_marked_and_does_not_come_back(storage):
    lease = take(storage)
    commit(storage, lease, effects=[effect(number) for number in range(1, 5)])
    claims = await claim(storage)
    assert await mark(storage, claims[3:]) == [""]
    commit(storage, lease, withdrawn=[effect(number).id for number in range(1, 5)])
    assert await mark(storage, claims[:1]) == ["withdrawn"]
    await storage.outbox.release(claims[1:2])
    assert await storage.outbox.settle([Settle(claim=claims[2], state="deferred", due_ms=FAR_MS), Settle(claim=claims[3], state="delivered")]) == [True, True]
    assert await claim(storage) == []
    assert await counts(storage) == {"withdrawn": 3, "delivered": 1}


async def test_a_withdrawn_dead_letter_cannot_be_replayed(storage):
    lease = take(storage)
    commit(storage, lease, effects=[effect(1)])
    await storage.outbox.settle([Settle(claim=(await claim(storage))[0], state="dead")])
    commit(storage, lease, withdrawn=[effect(1).id])
    assert await storage.outbox.resolve([effect(1).id], "dead", "pending") == 0
    assert await counts(storage) == {"withdrawn": 1}


@pytest.mark.parametrize("what", ["*", "channel:email", "promotional:email", "map:welcome"])
async def test_the_red_button_stops_claims_and_marks(storage, what):
    commit(storage, take(storage), effects=[effect(1), effect(2)])
    claims = await claim(storage, most=1)
    await storage.outbox.stop(what, True, "too many bounces")
    assert await storage.outbox.stopped() == {what: "too many bounces"}
    assert await mark(storage, claims) == ["stopped"]
    assert await claim(storage) == []
    await storage.outbox.stop(what, False)
    assert ids(await claim(storage)) == [1, 2]
    assert await counts(storage) == {"pending": 2}


async def test_transactional_mail_goes_on_while_promotional_mail_is_stopped(storage):
    commit(storage, take(storage), effects=[effect(1), effect(2, lane=TRANSACTIONAL), effect(3), effect(4, lane=TRANSACTIONAL)])
    await storage.outbox.stop("promotional:email", True)
    claims = await claim(storage)
    assert ids(claims) == [2, 4]
    assert await mark(storage, claims) == ["", ""]
    await storage.outbox.stop("promotional:email", False)
    assert ids(await claim(storage)) == [1, 3]


async def test_the_red_button_of_one_map_leaves_others_running(storage):
    await storage.outbox.stop("map:welcome", True)
    commit(storage, take(storage), effects=[effect(1), effect(2, map="other"), effect(3, map="other")])
    assert ids(await claim(storage)) == [2, 3]


async def test_settling_appends_the_outcome_in_the_same_breath(storage):
    commit(storage, take(storage), effects=[effect(number) for number in range(1, 4)])
    claims = await claim(storage)
    await mark(storage, claims[:2])
    settles = [
        Settle(claim=claims[0], state="delivered", report=True, data={"message": "m1"}),
        Settle(claim=claims[1], state="rejected", reason="no such mailbox"),
        Settle(claim=claims[2], state="delivered", report=True),  # never marked: refused, and so not reported
    ]
    assert await storage.outbox.settle(settles) == [True, True, False]
    records = [record for batch in storage.log.read({0: 1}, 10).batches[0] for record in batch.records]
    assert records == [Outcome("ann", effect(1).id, "send_email", "delivered", "", 1, "thanks", {"message": "m1"})]


async def test_no_room_for_an_outcome_settles_nothing(storage):
    lease = take(storage)
    commit(storage, lease, effects=[effect(1), effect(2)])
    claims = await claim(storage)
    await storage.intake.append({0: events(150)}, reserve=True)
    settles = [Settle(claim=claims[0], state="rejected"), Settle(claim=claims[1], state="rejected", report=True)]
    with pytest.raises(Full):
        await storage.outbox.settle(settles)
    assert await counts(storage) == {"pending": 2}
    assert await storage.outbox.settle(settles[:1]) == [True]
    commit(storage, lease, offset=2)
    assert await storage.outbox.settle(settles[1:]) == [True]


async def test_many_outcomes_are_cut_into_entries(storage):
    commit(storage, take(storage), effects=[effect(number) for number in range(25)])
    claims = await claim(storage)
    assert all(await storage.outbox.settle([Settle(claim=one, state="rejected", report=True) for one in claims]))
    assert max(len(batch.records) for batch in storage.log.read({0: 1}, 100).batches[0]) <= 10
    assert await counts(storage) == {"rejected": 25}


async def dead_letters(storage, numbers):
    for number in numbers:
        (one,) = await claim(storage, most=1)
        await storage.outbox.settle([Settle(claim=one, state="dead", reason=f"reason {number}")])
        await storage.pass_ms(2)


async def test_dead_letters_are_listed_newest_first_and_filtered(storage):
    commit(storage, take(storage), effects=[effect(1, map="a"), effect(2, map="b"), effect(3, map="a")])
    await dead_letters(storage, [1, 2, 3])
    lines = await storage.outbox.listing("dead", 10)
    assert [line["reason"] for line in lines] == ["reason 3", "reason 2", "reason 1"]
    assert {key: lines[0][key] for key in ("contact", "kind", "channel", "dest", "element", "attempts")} == {
        "contact": "ann",
        "kind": "send_email",
        "channel": "email",
        "dest": "",
        "element": "thanks",
        "attempts": 1,
    }
    assert [line["map"] for line in await storage.outbox.listing("dead", 10, map_id="b")] == ["b"]
    assert len(await storage.outbox.listing("dead", 10, reason="reason 1")) == 1
    assert len(await storage.outbox.listing("dead", 10, channel="sms")) == 0
    assert len(await storage.outbox.listing("dead", 10, since_ms=lines[1]["at_ms"])) == 2
    assert len(await storage.outbox.listing("dead", 1)) == 1
    assert storage.commits.full([0]) == {0: {}}


async def test_a_replayed_dead_letter_begins_anew(storage):
    commit(storage, take(storage), effects=[effect(1, decided_ms=1)])
    await dead_letters(storage, [1])
    assert await storage.outbox.resolve([effect(1).id, effect(9).id], "dead", "pending") == 1
    (one,) = await claim(storage)
    assert (one.attempt, one.first_ms > 1) == (1, True)
    assert storage.commits.full([0]) == {0: {"email/": 1}}


async def test_dropped_and_resolved_effects_are_gone(storage):
    commit(storage, take(storage), effects=[effect(1), effect(2)])
    await dead_letters(storage, [1])
    claims = await claim(storage)
    await mark(storage, claims)
    await storage.outbox.settle([Settle(claim=claims[0], state="unknown", reason="connection reset")])
    assert await storage.outbox.resolve([effect(1).id], "unknown", "delivered") == 0
    assert await storage.outbox.resolve([effect(1).id], "dead", "dropped") == 1
    assert await storage.outbox.resolve([effect(2).id], "unknown", "delivered", 1) == 0, "it is not in that partition"
    assert await storage.outbox.resolve([effect(2).id], "unknown", "delivered", 0) == 1
    assert await counts(storage) == {"dropped": 1, "delivered": 1}
    for state, into in (("dead", "delivered"), ("unknown", "dropped"), ("pending", "dropped"), ("dead", "claimed")):
        with pytest.raises(WayfareError):
            await storage.outbox.resolve([effect(1).id], state, into)


async def test_the_listing_is_bounded_and_what_falls_off_is_counted(storage):
    commit(storage, take(storage), effects=[effect(number) for number in range(7)])
    claims = await claim(storage)
    for one in claims:
        await storage.outbox.settle([Settle(claim=one, state="dead")])
        await storage.pass_ms(2)
    assert await counts(storage) == {"dead": 5, "dropped": 2}
    assert sorted(int(line["effect"]) for line in await storage.outbox.listing("dead", 10)) == [2, 3, 4, 5, 6]


async def test_depths_tell_every_state(storage):
    now_ms = storage.log.read({}, 1).now_ms
    made = [effect(number, decided_ms=now_ms - 100 * number) for number in range(1, 6)]
    commit(storage, take(storage), effects=[*made, effect(6, lane=TRANSACTIONAL, decided_ms=now_ms - 50), effect(7, not_before_ms=FAR_MS)])
    claims = await claim(storage, most=4)
    await mark(storage, claims[1:])
    await storage.outbox.settle([Settle(claim=claims[1], state="unknown"), Settle(claim=claims[2], state="dead")])
    depths = await storage.outbox.depths()
    ages = {name: depths["email"].pop(name) for name in ("oldest_ms:t", "oldest_ms:b")}
    assert depths == {"email": {"pending:t": 0, "pending:b": 2, "claimed": 2, "deferred": 1, "unknown": 1, "dead": 1}}
    assert ages["oldest_ms:t"] == 0
    assert 400 <= ages["oldest_ms:b"] < 5_000
    await storage.outbox.release(claims[:1])
    assert (await storage.outbox.depths())["email"]["pending:t"] == 1


async def test_every_partition_has_its_turn_whatever_other_channels_do(storage):
    """A pool turns its list of partitions at every claim, and its process has pools of other channels on the same store."""
    for partition in range(4):
        commit(storage, take(storage, partition), effects=[effect(100 * partition + number) for number in range(20)])
    partitions = [0, 1, 2, 3]
    served = set()
    for _ in range(24):
        partitions.append(partitions.pop(0))
        served |= {one.partition for one in await claim(storage, most=2, partitions=list(partitions))}
        await claim(storage, "sms", most=2, partitions=partitions)
    assert served == {0, 1, 2, 3}


async def test_what_is_stopped_does_not_stand_before_other_partitions(storage):
    commit(storage, take(storage, 0), effects=[effect(number, lane=TRANSACTIONAL, map="held") for number in range(200)])
    commit(storage, take(storage, 1), effects=[effect(1_000 + number) for number in range(5)])
    await storage.outbox.stop("map:held", True)
    served = []
    for _ in range(24):
        served += await claim(storage, most=16, partitions=[0, 1, 2, 3])
    assert len(served) == 5
