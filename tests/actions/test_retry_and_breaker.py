"""Retries and breakers: pure, with a time of our own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actions.breaker import CLOSED, OPEN, PROBING, Breakers
from actions.retry import delay_ms, next_attempt_ms
from engine.config import Config

HOUR_MS = 3_600_000


@given(st.text(max_size=40), st.integers(1, 200))
def test_the_delay_lies_in_the_upper_half_of_a_doubling_step(effect: str, attempt: int) -> None:
    step = min(HOUR_MS, 1_000 * 2 ** (attempt - 1))
    assert step // 2 <= delay_ms(effect, attempt, 1_000, HOUR_MS) <= step


def test_delays_are_the_same_again_and_differ_between_effects() -> None:
    assert delay_ms("a", 7, 1_000, HOUR_MS) == delay_ms("a", 7, 1_000, HOUR_MS)
    assert len({delay_ms(str(number), 7, 1_000, HOUR_MS) for number in range(100)}) > 90


def test_an_effect_dies_when_its_life_is_over_not_before() -> None:
    config = Config()
    now, attempt = 0, 1
    while due := next_attempt_ms("e", attempt, 0, now, 0, config):
        now, attempt = due, attempt + 1
    assert config.effect_life_ms - HOUR_MS <= now <= config.effect_life_ms, "attempts_max must not end it days before its life does"


def test_attempts_are_bounded() -> None:
    config = Config(attempts_max=3)
    assert next_attempt_ms("e", 2, 0, 0, 0, config)
    assert not next_attempt_ms("e", 3, 0, 0, 0, config)


def test_retry_after_is_a_lower_bound_that_is_itself_bounded() -> None:
    config = Config()
    assert next_attempt_ms("e", 1, 0, 0, 90_000, config) == 90_000
    assert next_attempt_ms("e", 1, 0, 0, 10**12, config) == config.retry_ms_max


def test_a_breaker_opens_probes_and_closes() -> None:
    breakers = Breakers(failures=3, open_ms=1_000, destinations_max=10)
    assert [breakers.failed("h", 0) for _ in range(3)] == [False, False, True]
    assert breakers.state("h", 999) == OPEN
    assert not breakers.failed("h", 500), "what was still under way does not prolong it"
    assert breakers.state("h", 1_000) == PROBING
    assert list(breakers.not_closed(1_000)) == [("h", PROBING)]
    assert breakers.failed("h", 1_000), "a failed probe opens it again"
    assert breakers.state("h", 1_999) == OPEN
    assert breakers.succeeded("h")
    assert breakers.state("h", 1_999) == CLOSED
    assert not list(breakers.not_closed(1_999))


def test_a_success_between_failures_starts_the_count_anew() -> None:
    breakers = Breakers(failures=2, open_ms=1_000, destinations_max=10)
    breakers.failed("h", 0)
    assert not breakers.succeeded("h")
    assert not breakers.failed("h", 0)
    assert breakers.state("h", 0) == CLOSED


def test_a_trip_opens_at_once_and_the_known_are_bounded() -> None:
    breakers = Breakers(failures=5, open_ms=1_000, destinations_max=3)
    assert breakers.trip("a", 500)
    assert not breakers.trip("a", 600)
    assert breakers.state("a", 599) == OPEN
    for name in "bcd":
        breakers.failed(name, 0)
    assert breakers.state("a", 0) == CLOSED, "the oldest of four is forgotten"
