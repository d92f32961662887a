"""The table of states of effects, move by move: what is legal happens, all else changes nothing."""

from __future__ import annotations

import pytest

from engine.ports import Settle
from engine.storage.effect_values import MOVES
from tests.conformance.making import claim, commit, counts, effect, take

FOUND = ["claimed", "marked", "marked again", "unknown", "pending", "deferred", "dead", "delivered", "another's"]
INTO = ["delivered", "rejected", "deferred", "unknown", "dead", "suppressed", "withdrawn", "dropped", "pending", "claimed"]
COUNTED = {"deferred": "pending"}


async def bring(storage, found):
    """One effect in the state wanted, and the claim whose token is judged."""
    commit(storage, take(storage), effects=[effect(1)])
    (one,) = await claim(storage, lease_ms=10 if found == "another's" else 30_000)
    if found in ("marked", "marked again", "unknown", "delivered"):
        assert await storage.outbox.mark([one], 30_000, once=found != "marked again") == [""]
    if found in ("unknown", "delivered"):
        assert await storage.outbox.settle([Settle(claim=one, state=found)]) == [True]
    elif found == "pending":
        await storage.outbox.release([one])
    elif found in ("deferred", "dead"):
        assert await storage.outbox.settle([Settle(claim=one, state=found, due_ms=9_000_000_000_000)]) == [True]
    elif found == "another's":
        await storage.pass_ms(15)
        assert len(await claim(storage)) == 1
    return one


@pytest.mark.parametrize("found", FOUND)
@pytest.mark.parametrize("into", INTO)
async def test_settling(storage, found, into):
    one = await bring(storage, found)
    before = await counts(storage)
    legal = into in MOVES.get(found.removesuffix(" again"), ())
    assert await storage.outbox.settle([Settle(claim=one, state=into, due_ms=9_000_000_000_000)]) == [legal]
    assert await counts(storage) == ({COUNTED.get(into, into): 1} if legal else before)
    unsettled = sum(storage.commits.full([0])[0].values())
    assert unsettled == (await counts(storage)).get("pending", 0)


@pytest.mark.parametrize("found", FOUND)
async def test_marking(storage, found):
    one = await bring(storage, found)
    before = await counts(storage)
    legal = found in ("claimed", "marked", "marked again")
    assert await storage.outbox.mark([one], 30_000, once=True) == ["" if legal else "lost"]
    assert await counts(storage) == before


@pytest.mark.parametrize("found", FOUND)
async def test_releasing(storage, found):
    one = await bring(storage, found)
    await storage.outbox.release([one])
    assert len(await claim(storage)) == (1 if found in ("claimed", "pending") else 0)


@pytest.mark.parametrize("found", FOUND)
@pytest.mark.parametrize("into", ["pending", "delivered", "rejected", "dropped"])
async def test_resolving(storage, found, into):
    one = await bring(storage, found)
    before = await counts(storage)
    legal = {"dead": ("pending", "dropped"), "unknown": ("pending", "delivered", "rejected")}
    for state, allowed in legal.items():
        if into in allowed:
            assert await storage.outbox.resolve([one.effect.id], state, into) == (1 if found == state else 0)
    moved = into in legal.get(found, ())
    assert await counts(storage) == ({into: 1} if moved else before)
    assert sum(storage.commits.full([0])[0].values()) == (await counts(storage)).get("pending", 0)
