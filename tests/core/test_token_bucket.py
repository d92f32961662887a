"""GCRA grants what the rate allows, and says when there is more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.core.token_bucket import grant


def test_a_fresh_bucket_gives_its_burst_then_the_rate() -> None:
    granted, arrival, wait = grant(0, 1_000_000, 10, 5, 8)
    assert (granted, wait) == (5, 100)
    assert grant(arrival, 1_000_099, 10, 5, 8)[0] == 0
    assert grant(arrival, 1_000_100, 10, 5, 8)[0] == 1
    assert grant(arrival, 1_000_250, 10, 5, 8)[0] == 2


def test_an_idle_bucket_never_holds_more_than_its_burst() -> None:
    _, arrival, _ = grant(0, 0, 10, 5, 5)
    assert grant(arrival, 10**9, 10, 5, 100)[0] == 5


def test_there_is_nothing_to_wait_for_when_all_is_granted() -> None:
    assert grant(0, 0, 10, 5, 5)[2] == 0
    assert grant(0, 0, 10, 5, 6)[2] == 100


@given(st.floats(0.1, 5_000), st.floats(1, 500), st.lists(st.tuples(st.integers(0, 300), st.integers(1, 200)), min_size=1, max_size=60))
def test_never_more_than_burst_plus_rate_times_time(rate: float, burst: float, asks: list[tuple[int, int]]) -> None:
    arrival, now, total = 0.0, 1_000_000, 0
    for pause, want in asks:
        now += pause
        granted, arrival, wait = grant(arrival, now, rate, burst, want)
        total += granted
        assert total <= burst + rate * (now - 1_000_000) / 1_000 + 0.01
        if granted < want:
            assert grant(arrival, now + wait, rate, burst, 1)[0] == 1, "the wait it names is long enough"
