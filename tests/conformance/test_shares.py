"""Shares of a claim over partitions: they add up to what was asked for, and nobody is left out for long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.storage.shares import PROBED, by_backlog, evenly, parted


@given(total=st.integers(0, 1_000), backlog=st.lists(st.integers(0, 10_000), min_size=1, max_size=64), turn=st.integers(0, 1_000))
def test_shares_add_up(total, backlog, turn):
    assert sum(evenly(total, len(backlog), turn)) == total
    shares = by_backlog(total, backlog, turn)
    assert sum(shares) == total
    assert min(shares) >= 0


@given(parts=st.integers(1, 64))
def test_every_partition_is_asked_in_turn(parts):
    asked = [0] * parts
    for turn in range(parts):
        for part, share in enumerate(evenly(1, parts, turn)):
            asked[part] += share
    assert asked == [1] * parts


def test_what_waits_is_fetched_from_few_partitions():
    assert by_backlog(100, [900, 0, 900, 100], 0) == [75, 25, 0, 0]
    assert by_backlog(100, [900, 10, 900, 100], 2) == [0, 0, 100, 0]
    assert by_backlog(100, [30, 10, 20, 100], 0) == [30, 10, 20, 40]


@given(held=st.lists(st.booleans(), min_size=1, max_size=32))
def test_nobody_is_left_out_for_long(held):
    backlog = [1_000 * one for one in held]
    asked = [0] * len(held)
    for turn in range(PROBED * len(held)):
        for part, share in enumerate(by_backlog(64, backlog, turn)):
            asked[part] += share
    assert min(asked) > 0


@given(total=st.integers(0, 500), backlog=st.lists(st.integers(0, 300), min_size=1, max_size=32), turn=st.integers(0, 99))
def test_the_room_of_a_destination_is_not_exceeded(total, backlog, turn):
    shares = by_backlog(256, backlog, turn)
    parts = parted(total, shares)
    assert min(total, sum(shares)) <= sum(parts) <= total
    assert all(part == 0 for part, share in zip(parts, shares, strict=True) if not share)
