"""Leases: one owner at a time, by the storage's clock; and what fences those who lost theirs."""

from __future__ import annotations

import pytest

from engine.core.errors import Fenced
from engine.ports import Commit
from tests.conformance.making import commit, take


async def test_a_lease_is_held_by_one(storage):
    first = storage.leases.acquire(0, "shard-1", 60_000)
    assert (first.partition, first.owner, first.epoch) == (0, "shard-1", 1)
    assert storage.leases.acquire(0, "shard-2", 60_000) is None
    assert storage.leases.acquire(1, "shard-2", 60_000) is not None


async def test_an_expired_lease_can_be_taken_and_then_not_renewed(storage):
    first = storage.leases.acquire(0, "shard-1", 20)
    assert storage.leases.renew([first], 20) == [first]
    await storage.pass_ms(25)
    second = storage.leases.acquire(0, "shard-2", 60_000)
    assert (second.epoch, second.token == first.token) == (2, False)
    assert storage.leases.renew([first, second], 60_000) == [second]


async def test_an_expired_lease_that_nobody_took_is_renewed(storage):
    lease = storage.leases.acquire(0, "shard-1", 10)
    await storage.pass_ms(15)
    assert storage.leases.owners()[0][0] == ""
    assert storage.leases.renew([lease], 60_000) == [lease]
    assert storage.leases.acquire(0, "shard-2", 60_000) is None


async def test_release_frees_at_once_and_leaves_others_alone(storage):
    first = take(storage)
    storage.leases.release([first])
    second = take(storage, owner="shard-2")
    storage.leases.release([first])
    owner, epoch, left_ms = storage.leases.owners()[0]
    assert (owner, epoch) == ("shard-2", second.epoch)
    assert 50_000 < left_ms <= 60_000


async def test_an_owner_frozen_past_its_lease_can_write_nothing(storage):
    """It woke up in the middle of a commit, an hour late: its token is no longer the current one."""
    frozen = storage.leases.acquire(0, "shard-1", 10)
    commit(storage, frozen, contacts={"ann": b"before"})
    await storage.pass_ms(15)
    owner = take(storage, owner="shard-2")
    state = storage.commits.load(owner)
    late = Commit(expected=state.commit, offset=state.offset, time_ms=0, snapshot=0, contacts={"ann": b"late"})
    assert isinstance(storage.commits.commit([(frozen, late)])[0], Fenced)
    assert storage.commits.fetch({0: ["ann"]}) == {0: [b"before"]}
    for act in (storage.commits.load, storage.commits.look, lambda lease: storage.commits.posted(lease, 1)):
        with pytest.raises(Fenced):
            act(frozen)


async def test_a_released_lease_commits_nothing(storage):
    lease = take(storage)
    storage.leases.release([lease])
    assert isinstance(storage.commits.commit([(lease, Commit(expected=0, offset=1, time_ms=0, snapshot=0))])[0], Fenced)


async def test_a_dead_owners_leases_are_revoked_and_its_tokens_no_longer_hold(storage):
    first, second = storage.leases.acquire(0, "shard-1", 60_000), storage.leases.acquire(1, "shard-2", 60_000)
    storage.leases.revoke("shard-1")
    storage.leases.revoke("nobody")
    assert storage.leases.renew([first, second], 60_000) == [second]
    with pytest.raises(Fenced):
        storage.commits.look(first)
    taken = storage.leases.acquire(0, "shard-3", 60_000)
    assert taken.epoch == 2
    storage.leases.revoke("shard-1")
    assert storage.leases.owners()[0][0] == "shard-3"
