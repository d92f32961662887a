"""Decisions about one thing: one at a time, and never an older one after a newer one."""

from __future__ import annotations

import asyncio

from actions.in_order import SUPERSEDED, WAITED, InOrder
from engine.core.effects import Effect


def decided(ms: int, enrollment: int = 1, hop: int = 1) -> Effect:
    return Effect(f"{ms}.{enrollment}.{hop}", "ann", "k", "c", "t", "", "m", 1, "e", enrollment, hop, 0, 1, ms)


async def goes(order: InOrder, effect: Effect, thing: str = "gold") -> bool:
    async with order.turn("ann", thing, effect) as instead:
        assert instead in (None, SUPERSEDED)
        return instead is None


async def test_an_older_decision_after_a_newer_one_is_superseded() -> None:
    order = InOrder(10, 5)
    assert await goes(order, decided(5))
    assert not await goes(order, decided(4))
    assert await goes(order, decided(5)), "the same one again, after a failure"
    assert not await goes(order, decided(4)), "what was superseded has not become the newest"
    assert await goes(order, decided(4), "silver"), "another thing"


async def test_of_one_instant_only_one_enrollment_has_an_order() -> None:
    order = InOrder(10, 5)
    assert await goes(order, decided(5, hop=3))
    assert not await goes(order, decided(5, hop=2))
    assert await goes(order, decided(5, enrollment=2, hop=1))


async def test_one_at_a_time_in_the_order_of_asking_and_others_meanwhile() -> None:
    order = InOrder(10, 5)
    seen = []
    free = asyncio.Event()

    async def work(key: str, name: str) -> None:
        async with order.turn(key, name, decided(1)):
            seen.append(f"{name} begins")
            await free.wait()
            seen.append(f"{name} ends")

    tasks = [asyncio.create_task(work(*one)) for one in (("ann", "a"), ("ann", "b"), ("bob", "c"))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert seen == ["a begins", "c begins"]
    free.set()
    await asyncio.gather(*tasks)
    assert [line for line in seen if not line.startswith("c")] == ["a begins", "a ends", "b begins", "b ends"]
    assert len(order._locks) == 0, "nothing is kept of who is done"


async def test_what_is_remembered_is_bounded() -> None:
    order = InOrder(2, 5)
    for thing in ("a", "b", "c"):
        assert await goes(order, decided(5), thing)
    assert await goes(order, decided(4), "a"), "forgotten"
    assert not await goes(order, decided(4), "c")


async def test_nobody_waits_too_long_and_who_gave_up_holds_nothing() -> None:
    order, places = InOrder(10, 0.05), asyncio.Semaphore(1)
    async with order.turn("ann", "a", decided(1), places) as first:
        async with order.turn("ann", "a", decided(2), places) as second, order.turn("bob", "b", decided(1), places) as third:
            assert (first, second, third) == (None, WAITED, WAITED)
        async with order.turn("bob", "b", decided(1)) as fourth:
            assert fourth is None, "the place was waited for with the key in hand, and both are free again"
    async with order.turn("ann", "a", decided(1), places) as fifth:
        assert fifth is None, "what gave up was not tried"
