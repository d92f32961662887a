"""Throttles: halved when asked, a little faster again and again, never forgotten too early and never kept for ever."""

from __future__ import annotations

from actions.throttle import PACE_MIN, STEPS, Throttles

HOLD_MS = 10_000
START_MS = 1_767_603_600_000


def busy(throttles: Throttles, per_s: int, seconds: int, now_ms: int = START_MS, dest: str = "gmail.com") -> int:
    """Send evenly for some seconds; the time after."""
    for _ in range(seconds * 10):
        now_ms += 100
        throttles.sent(dest, per_s // 10, now_ms)
    return now_ms


def test_the_pace_that_was_too_fast_is_halved() -> None:
    throttles = Throttles(["gmail.com", "yahoo.com"], HOLD_MS)
    now_ms = busy(throttles, 100, 25)
    assert 45 <= throttles.slow_down("gmail.com", now_ms) <= 55
    assert throttles.slow_down("gmail.com", now_ms + HOLD_MS - 1) == 0, "answers to what was under way don't halve it again"
    assert throttles.pace("yahoo.com", now_ms) == 0
    assert 20 <= throttles.slow_down("gmail.com", now_ms + HOLD_MS) <= 35


def test_it_recovers_step_by_step_and_is_let_go() -> None:
    throttles = Throttles(["gmail.com"], HOLD_MS)
    now_ms = busy(throttles, 100, 25)
    slow = throttles.slow_down("gmail.com", now_ms)
    paces = [throttles.pace("gmail.com", now_ms + step * HOLD_MS) for step in range(1, STEPS)]
    assert paces[0] > slow
    held = [pace for pace in paces if pace]
    assert held == sorted(held)
    assert len(held) == STEPS // 2 - 1
    assert paces[-1] == 0, "free"
    assert throttles.take("gmail.com", 1_000, now_ms + STEPS * HOLD_MS) == 1_000


def test_what_is_granted_keeps_to_the_pace() -> None:
    throttles = Throttles(["gmail.com"], HOLD_MS)
    now_ms = busy(throttles, 100, 25)
    pace = throttles.slow_down("gmail.com", now_ms)
    sent = 0
    for tick in range(900):
        room = dict(throttles.room(now_ms + tick * 10))
        taken = throttles.take("gmail.com", 256, now_ms + tick * 10)
        assert taken == room["gmail.com"], "what room promises may be taken"
        sent += taken
    assert pace * 8.5 <= sent <= pace * 9 + pace * 0.1 + 1


def test_a_destination_that_nobody_named_is_left_alone() -> None:
    throttles = Throttles(["gmail.com"], HOLD_MS)
    throttles.sent("web.de", 1_000, START_MS)
    assert throttles.slow_down("web.de", START_MS + 1_000) == 0
    assert throttles.slow_down("", START_MS + 1_000) == 0
    assert throttles.take("web.de", 50, START_MS + 1_000) == 50
    assert not list(throttles.room(START_MS + 1_000))


def test_a_trickle_is_not_slowed_below_the_floor() -> None:
    throttles = Throttles(["gmail.com"], HOLD_MS)
    throttles.sent("gmail.com", 1, START_MS)
    now_ms = START_MS + 5 * HOLD_MS
    throttles.sent("gmail.com", 1, now_ms)
    for _ in range(20):
        throttles.slow_down("gmail.com", now_ms)
        assert throttles.pace("gmail.com", now_ms) == 0 or throttles.pace("gmail.com", now_ms) >= PACE_MIN
        now_ms += HOLD_MS
