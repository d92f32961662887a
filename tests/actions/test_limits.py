"""Limits: what limits.yaml says, and that pools together never send more."""

from __future__ import annotations

import pytest

from actions.limits import Limits, limit_problems, read_limits
from engine.core.errors import InvalidConfig
from tests.actions.pool_bench import Bench, Told, fine

DOCUMENT = {
    "timezone": "America/New_York",
    "rates": {"email": "500/s", "sms": "30/m", "email:gmail.com": "50/s", "sms/day": 200, "email:gmail.com/day": 1_000, "webhook:a.example:8080": "2/s"},
    "delivery": {"sms": "at_least_once"},
    "default_consent": {"email": "subscribed"},
}


def test_each_channel_reads_its_part() -> None:
    assert read_limits(DOCUMENT, "email") == Limits(
        "email",
        {"": 500.0, "gmail.com": 50.0},
        {"gmail.com": 1_000},
        True,
        "America/New_York",
        {"email": "subscribed", "sms": "unsubscribed"},
        throttled=frozenset({"gmail.com"}),
    )
    sms = read_limits(DOCUMENT, "sms")
    assert (sms.rates, sms.days, sms.once) == ({"": 0.5}, {"": 200}, False)
    assert read_limits(DOCUMENT, "webhook").rates == {"a.example:8080": 2.0}
    assert read_limits({"default_consent": {"sms": "subscribed"}}, "email").consent == {"email": "subscribed", "sms": "subscribed"}
    assert [read_limits({}, channel).once for channel in ("email", "sms", "webhook")] == [True, True, False]


@pytest.mark.parametrize(
    "document",
    [
        {"rates": {"email": "fast"}},
        {"rates": {"email": "5/d"}},
        {"rates": {"email/day": "5/s"}},
        {"rates": {"email/day": -1}},
        {"rates": {"email": True}},
        {"delivery": {"email": "exactly_once"}},
        {"timezone": "Mars/Olympus"},
    ],
)
def test_what_cannot_be_read_names_its_entry(document: dict[str, object]) -> None:
    with pytest.raises(InvalidConfig, match=r"limits\.yaml"):
        read_limits(document, "email")


def test_every_bad_entry_is_named_before_it_is_published() -> None:
    problems = limit_problems({"rates": {"email": "500/s", "sms": "fast", "sms/day": "x"}, "delivery": {"email": "once", "webhook": "at_least_once"}})
    assert [problem.place for problem in problems] == ["rates.sms", "rates.sms/day", "delivery.email"]
    assert [problem.place for problem in limit_problems({"rates": []})] == []
    assert [problem.place for problem in limit_problems({"rates": ["email"]})] == ["rates"]
    assert [problem.place for problem in limit_problems({"delivery": {"email": {}, "sms": []}})] == ["delivery.email", "delivery.sms"]
    assert not limit_problems("500/s")
    assert not limit_problems(DOCUMENT)


def test_a_day_ends_at_local_midnight() -> None:
    limits = read_limits(DOCUMENT, "sms")
    midnight = 1_767_589_200_000  # 2026-01-05T00:00 in New York
    assert (limits.day(midnight - 1), limits.day(midnight)) == ("2026-01-04", "2026-01-05")
    assert limits.day_wait_ms(midnight - 500) == 500
    assert limits.day_wait_ms(midnight) == 60_000


async def test_two_pools_together_keep_to_the_rate() -> None:
    bench = Bench()
    provider = Told(fine)
    limits = read_limits({"rates": {"email": "50/s"}}, "email")
    pools = [bench.pool("email", provider, limits, owner) for owner in ("pool-1", "pool-2")]
    bench.decide("email", count=400)
    for tick in range(1, 401):
        await bench.work(*pools)
        bench.now_ms += 10
        assert len(provider.sent) <= 5 + 50 * tick * 10 / 1_000
    assert len(provider.sent) >= 0.95 * 50 * 4, "and they use it"
    assert await bench.counts("email") == {"decided": 400, "delivered": len(provider.sent), "pending": 400 - len(provider.sent)}
    assert all(dispatch.attempt == 1 for dispatch in provider.sent), "to wait for a limit is no failed attempt"
    assert sum(batch.limited_ms for batch in bench.batches) > 0


async def test_a_slow_rate_is_not_wasted_by_an_idle_pool() -> None:
    bench = Bench()
    provider = Told(fine)
    limits = read_limits({"rates": {"email": "1/s"}}, "email")
    idle, busy = bench.pool("email", Told(fine), limits, "idle"), bench.pool("email", provider, limits, "busy")
    for _ in range(20):
        await bench.work(idle)
        bench.decide("email")
        await bench.work(busy)
        bench.now_ms += 1_000
    assert len(provider.sent) == 20


async def test_a_destination_with_a_limit_does_not_hold_up_the_others() -> None:
    bench = Bench()
    provider = Told(fine)
    limits = read_limits({"rates": {"email:gmail.com": "10/s"}}, "email")
    pool = bench.pool("email", provider, limits)
    bench.decide("email", "gmail.com", 100)
    bench.decide("email", "", 100)
    await bench.work(pool)
    assert (provider.to("gmail.com"), provider.to("")) == (1, 100)
    for _ in range(20):
        bench.now_ms += 100
        await bench.work(pool)
    assert provider.to("gmail.com") == 21


async def test_a_days_allowance_ends_and_begins_with_the_day() -> None:
    bench = Bench()
    provider = Told(fine)
    limits = read_limits({"rates": {"sms/day": 30}, "timezone": "UTC", "quiet_hours": {"sms": None}}, "sms")
    pool = bench.pool("sms", provider, limits)
    bench.decide("sms", count=50)
    await bench.work(pool)
    assert len(provider.sent) == 30
    bench.now_ms += 12 * 3_600_000
    await bench.work(pool)
    assert len(provider.sent) == 30, "21:00 of the same day"
    bench.now_ms += 3 * 3_600_000
    await bench.work(pool)
    assert len(provider.sent) == 50


async def test_zero_is_a_limit_too() -> None:
    bench = Bench()
    provider = Told(fine)
    pool = bench.pool("email", provider, read_limits({"rates": {"email": "0/s"}}, "email"))
    bench.decide("email", count=3)
    for _ in range(5):
        await bench.work(pool)
        bench.now_ms += 1_000
    assert not provider.sent
    assert await bench.counts("email") == {"decided": 3, "pending": 3}
