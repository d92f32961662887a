"""The guard: what a contact allows, asked at the claim and again at the mark, whatever the lag of the log."""

from __future__ import annotations

import pytest

from engine.core.partitioning import partition_of
from engine.core.records import Event, Update
from tests.conformance.making import claim, commit, counts, effect, take

ANN = partition_of("ann", 4)


async def mark(storage, claims, **changed):
    return await storage.outbox.mark(claims, 30_000, once=True, **changed)


@pytest.mark.parametrize(
    ("marks", "lane", "consent", "answer"),
    [
        ("", "b", "email", ""),
        ("", "b", "sms", "sms: unsubscribed"),
        ("email=subscribed", "b", "email", ""),
        ("email=transactional_only", "b", "email", "email: transactional_only"),
        ("email=transactional_only", "t", "email", ""),
        ("email=unsubscribed", "t", "email", "email: unsubscribed"),
        ("sms=subscribed email=bounced", "b", "email", "email: bounced"),
        ("sms=subscribed email=bounced", "b", "sms", ""),
        ("email=unsubscribed", "b", "", ""),
        ("erased", "t", "", "contact erased"),
        ("erased", "t", "email", "contact erased"),
    ],
)
async def test_marking_asks_the_guard(storage, marks, lane, consent, answer):
    commit(storage, take(storage), effects=[effect(1, lane=lane, consent=consent)], guard={"ann": marks})
    claims = await claim(storage)
    assert claims[0].guard == marks
    assert await mark(storage, claims) == [answer]
    assert await counts(storage) == ({"suppressed": 1} if answer else {"pending": 1})


async def test_the_workspace_may_have_other_defaults(storage):
    commit(storage, take(storage), effects=[effect(1, consent="email"), effect(2, consent="sms")])
    assert await mark(storage, await claim(storage), defaults={"email": "unsubscribed", "sms": "subscribed"}) == ["email: unsubscribed", ""]


async def test_an_unsubscribe_that_is_still_unread_stops_what_was_decided_before(storage):
    commit(storage, take(storage, ANN), effects=[effect(1, consent="email")], guard={"ann": "sms=subscribed email=subscribed"})
    claims = await claim(storage, partitions=[ANN])
    await storage.intake.unsubscribe("ann", "email", "transactional_only")
    assert await mark(storage, claims) == ["email: transactional_only"]
    records = storage.log.read({ANN: 1}, 10).batches[ANN][0].records
    assert records == [Update("ann", consent={"email": "transactional_only"}, tighten=True)]


async def test_a_commit_of_older_records_does_not_undo_an_unsubscribe(storage):
    """The log still holds an older opt-in when the recipient clicks: the shard commits it afterwards."""
    lease = take(storage, ANN)
    await storage.intake.append({ANN: [Update("ann", consent={"email": "subscribed"})]})
    await storage.intake.unsubscribe("ann", "email", "unsubscribed")
    await storage.intake.unsubscribe("ann", "sms", "unsubscribed")
    commit(storage, lease, offset=2, guard={"ann": "email=subscribed sms=subscribed"}, effects=[effect(1, consent="email")])
    assert await mark(storage, await claim(storage, partitions=[ANN])) == ["email: unsubscribed"]
    commit(storage, lease, offset=3, guard={"ann": ""}, effects=[effect(2, consent="sms")])
    assert await mark(storage, await claim(storage, partitions=[ANN])) == ["sms: unsubscribed"]
    commit(storage, lease, offset=4, guard={"ann": "email=unsubscribed sms=unsubscribed"})
    commit(storage, lease, guard={"ann": "email=subscribed"}, effects=[effect(3, consent="email")])
    assert await mark(storage, await claim(storage, partitions=[ANN])) == [""]


async def test_an_unsubscribe_does_not_bring_back_the_erased(storage):
    commit(storage, take(storage, ANN), effects=[effect(1, consent="email")], guard={"ann": "erased"})
    await storage.intake.unsubscribe("ann", "email", "transactional_only")
    assert await mark(storage, await claim(storage, partitions=[ANN])) == ["contact erased"]


async def test_erasing_overrules_an_unread_unsubscribe(storage):
    lease = take(storage, ANN)
    await storage.intake.unsubscribe("ann", "email", "transactional_only")
    commit(storage, lease, offset=1, guard={"ann": "erased"}, effects=[effect(1, lane="t", consent="email")])
    assert await mark(storage, await claim(storage, partitions=[ANN])) == ["contact erased"]


@pytest.mark.parametrize(
    ("record", "answer"),
    [
        (Update("ann", consent={"email": "unsubscribed"}), "email: unsubscribed"),
        (Update("ann", consent={"email": "transactional_only", "sms": "subscribed"}), "email: transactional_only"),
        (Update("ann", {"email": "x"}), ""),
        (Event("ann", "unsubscribed"), "email: unsubscribed"),
        (Event("ann", "unsubscribed", {"channel": "sms"}), ""),
        (Event("ann", "unsubscribed", {"channel": "sms=x email=unsubscribed a"}), ""),
        (Event("ann", "email.complained"), "email: complained"),
        (Event("bob", "unsubscribed"), ""),
        (Event("ann", "order"), ""),
    ],
)
async def test_what_an_unread_record_takes_away_is_forbidden_at_once(storage, record, answer):
    commit(storage, take(storage, ANN), effects=[effect(1, consent="email")])
    claims = await claim(storage, partitions=[ANN])
    await storage.intake.append({ANN: [Event("ann", "before"), record]})
    assert await mark(storage, claims) == [answer]


async def test_an_unread_record_allows_nothing(storage):
    commit(storage, take(storage, ANN), effects=[effect(1, consent="email")], guard={"ann": "email=unsubscribed"})
    await storage.intake.append({ANN: [Update("ann", consent={"email": "subscribed"})]})
    assert await mark(storage, await claim(storage, partitions=[ANN])) == ["email: unsubscribed"]


async def test_a_mark_is_held_until_its_own_record_is_committed(storage):
    lease = take(storage, ANN)
    await storage.intake.append({ANN: [Update("ann", consent={"email": "subscribed"}), Update("ann", consent={"email": "unsubscribed"})]})
    commit(storage, lease, offset=2, guard={"ann": "email=subscribed"}, effects=[effect(1, consent="email")])
    assert await mark(storage, await claim(storage, partitions=[ANN])) == ["email: unsubscribed"]
    commit(storage, lease, offset=3, guard={"ann": "email=subscribed"}, effects=[effect(2, consent="email")])
    assert await mark(storage, await claim(storage, partitions=[ANN])) == [""]


async def test_a_link_clicked_after_a_stop_does_not_loosen_it(storage):
    """Neither of the two was read yet."""
    lease = take(storage, ANN)
    await storage.intake.append({ANN: [Update("ann", consent={"email": "unsubscribed"})]})
    await storage.intake.unsubscribe("ann", "email", "transactional_only")
    commit(storage, lease, effects=[effect(1, lane="t", consent="email")])
    assert await mark(storage, await claim(storage, partitions=[ANN])) == ["email: unsubscribed"]
    commit(storage, lease, offset=2, guard={"ann": "email=unsubscribed"}, effects=[effect(2, lane="t", consent="email")])
    assert await mark(storage, await claim(storage, partitions=[ANN])) == ["email: unsubscribed"]
