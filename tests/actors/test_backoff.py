"""The distances between starts."""

from __future__ import annotations

from actors.backoff import Backoff


def test_at_once_then_at_growing_distances_up_to_a_bound():
    backoff = Backoff(100, 1_000)
    now, waits = 0, []
    for _ in range(7):
        again = backoff.died(now)
        waits.append(again - now)
        now = again + 1
    assert waits == [0, 100, 200, 400, 800, 1_000, 1_000]


def test_what_stayed_alive_for_long_starts_at_once_again():
    backoff = Backoff(100, 1_000)
    for now in (0, 1, 2):
        backoff.died(now)
    assert backoff.died(10_000) == 10_000
