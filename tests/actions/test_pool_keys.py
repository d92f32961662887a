"""The pool and what providers declare: how long they recognise a key, and how much they want under way."""

from __future__ import annotations

from typing import ClassVar

from actions.limits import Limits
from actions.pool import KEY_FORGOTTEN
from actions.providers.provider import DEFERRED, UNKNOWN, Result
from tests.actions.pool_bench import Bench, Told, fine

HOUR_MS = 3_600_000
AMBIGUOUS = Result(state=UNKNOWN, reason="timed out")


class Keyed(Told):
    key_life_ms: ClassVar[int] = 24 * HOUR_MS


class Gathering(Told):
    gathers: ClassVar[bool] = True


async def test_what_may_have_been_accepted_is_repeated_only_while_its_key_is_remembered() -> None:
    bench = Bench()
    provider = Keyed(lambda _: AMBIGUOUS)
    [effect] = bench.decide("postcard")
    pool = bench.pool("postcard", provider, Limits("postcard", once=False))
    for _ in range(30):
        await bench.work(pool)
        bench.now_ms += HOUR_MS
    assert len(provider.sent) > 10
    assert await bench.counts("postcard") == {"decided": 1, "unknown": 1}
    [listed] = await bench.store.outbox.listing("unknown", 10)
    assert (listed["effect"], listed["reason"]) == (effect, KEY_FORGOTTEN)
    assert len(provider.sent) <= 25, "nothing is sent after a day"

    await bench.store.outbox.resolve([effect], "unknown", "pending")
    provider.answer = fine
    await bench.work(pool)
    assert await bench.counts("postcard") == {"decided": 1, "delivered": 1}, "an operator's word begins anew"


async def test_a_first_attempt_is_made_however_old_the_effect_is() -> None:
    bench = Bench()
    bench.decide("postcard")
    bench.now_ms += 48 * HOUR_MS
    provider = Keyed(fine)
    await bench.work(bench.pool("postcard", provider, Limits("postcard", once=False)))
    assert len(provider.sent) == 1


async def test_what_was_certainly_not_accepted_is_tried_on_for_all_its_life_where_nothing_ambiguous_is_repeated() -> None:
    bench = Bench()
    provider = Keyed(lambda _: Result(state=DEFERRED, reason="503 later"))
    bench.decide("postcard")
    pool = bench.pool("postcard", provider)
    for _ in range(40):
        await bench.work(pool)
        bench.now_ms += HOUR_MS
    assert len(provider.sent) > 30
    provider.answer = fine
    await bench.work(pool)
    assert await bench.counts("postcard") == {"decided": 1, "delivered": 1}


async def test_a_provider_that_gathers_has_thousands_under_way_and_others_never_more_than_the_bound() -> None:
    for kind, most in ((Told, 32), (Gathering, 300)):
        bench = Bench(in_flight_max=32, gathered_effects_max=300)
        bench.decide("facebook", count=1_000)
        pool = bench.pool("facebook", kind(fine), Limits("facebook", once=False))
        claimed = 0
        while await pool.turn():  # nothing is settled between turns, so every claim keeps its place
            claimed = pool._gate.in_flight
        assert claimed == most
        await pool.settled()
