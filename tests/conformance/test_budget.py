"""Budgets: no more than the rate allows, from one place, by the storage's clock."""

from __future__ import annotations

import pytest

from engine.core.errors import WayfareError


async def test_a_burst_and_then_the_rate(storage):
    assert await storage.budget.grant("email", 100, 20, 15) == (15, 0)
    granted, retry_ms = await storage.budget.grant("email", 100, 20, 15)
    assert 5 <= granted <= 7
    assert 1 <= retry_ms <= 10
    assert (await storage.budget.grant("sms", 100, 20, 20))[0] == 20


async def test_waiting_as_told_is_enough(storage):
    assert await storage.budget.grant("email", 20, 1, 1) == (1, 0)
    granted, retry_ms = await storage.budget.grant("email", 20, 1, 1)
    assert (granted, 40 <= retry_ms <= 50) == (0, True)
    await storage.pass_ms(retry_ms)
    assert await storage.budget.grant("email", 20, 1, 1) == (1, 0)


async def test_more_than_the_rate_is_never_granted(storage):
    began_ms = storage.log.read({}, 1).now_ms
    granted = 0
    for _ in range(20):
        granted += (await storage.budget.grant("email", 500, 5, 50))[0]
        await storage.pass_ms(2)
    passed_ms = storage.log.read({}, 1).now_ms - began_ms
    assert 20 <= granted <= 5 + (passed_ms + 1) * 0.5


async def test_a_slow_rate_works_too(storage):
    assert await storage.budget.grant("postcard", 0.01, 1, 3) == (1, pytest.approx(100_000, abs=50))


async def test_a_limit_that_grants_nothing_is_a_mistake(storage):
    for rate, burst in ((0, 1), (-1, 1), (5, 0.5)):
        with pytest.raises(WayfareError):
            await storage.budget.grant("email", rate, burst, 1)


async def test_a_day_has_its_allowance(storage):
    assert await storage.budget.grant_day("sms/day", 10, 7, "2026-01-05") == 7
    assert await storage.budget.grant_day("sms/day", 10, 7, "2026-01-05") == 3
    assert await storage.budget.grant_day("sms/day", 10, 7, "2026-01-05") == 0
    assert await storage.budget.grant_day("sms/day", 10, 7, "2026-01-06") == 7
    assert await storage.budget.grant_day("sms/day", 5, 7, "2026-01-06") == 0
