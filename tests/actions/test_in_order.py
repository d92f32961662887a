"""Decisions about one thing: one at a time, and never an older one after a newer one."""

from __future__ import annotations

import asyncio

from actions.in_order import InOrder
from engine.core.effects import Effect


def decided(ms: int, enrollment: int = 1, hop: int = 1) -> Effect:
    return Effect(f"{ms}.{enrollment}.{hop}", "ann", "k", "c", "t", "", "m", 1, "e", enrollment, hop, 0, 1, ms)


async def goes(order: InOrder, effect: Effect, thing: str = "gold") -> bool:
    async with order.turn("ann", thing, effect) as newest:
        return newest


async def test_an_older_decision_after_a_newer_one_is_superseded() -> None:
    order = InOrder(10)
    assert await goes(order, decided(5))
    assert not await goes(order, decided(4))
    assert await goes(order, decided(5)), "the same one again, after a failure"
    assert not await goes(order, decided(4)), "what was superseded has not become the newest"
    assert await goes(order, decided(4), "silver"), "another thing"


async def test_of_one_instant_only_one_enrollment_has_an_order() -> None:
    order = InOrder(10)
    assert await goes(order, decided(5, hop=3))
    assert not await goes(order, decided(5, hop=2))
    assert await goes(order, decided(5, enrollment=2, hop=1))


async def test_one_at_a_time_in_the_order_of_asking_and_others_meanwhile() -> None:
    order = InOrder(10)
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
    order = InOrder(2)
    for thing in ("a", "b", "c"):
        assert await goes(order, decided(5), thing)
    assert await goes(order, decided(4), "a"), "forgotten"
    assert not await goes(order, decided(4), "c")
