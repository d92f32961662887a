"""Shares of a claim over partitions: they add up to what was asked for, and nobody is left out for long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.storage.shares import by_backlog, evenly


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


def test_the_larger_backlog_gets_the_larger_share():
    assert by_backlog(100, [900, 0, 0, 100], 0) == [75, 6, 6, 13]
