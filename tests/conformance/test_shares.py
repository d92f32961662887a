"""Shares of a claim over partitions: no more than asked for, urgent first, everybody in turn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.storage.shares import by_need, parted

needs = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 5_000)), min_size=1, max_size=64)


@given(total=st.integers(0, 1_000), needs=needs, turn=st.integers(0, 1_000))
def test_what_waits_is_asked_for(total, needs, turn):
    urgent, other = [need[0] for need in needs], [need[1] for need in needs]
    shares = by_need(total, urgent, other, turn)
    waiting = sum(urgent) + sum(other)
    assert sum(shares) == (total if waiting else 0)
    assert all(share == 0 for share, one, two in zip(shares, urgent, other, strict=True) if not one + two)
    if waiting <= total:
        assert all(share >= one + two for share, one, two in zip(shares, urgent, other, strict=True))


def test_what_is_urgent_comes_first_wherever_it_is():
    assert by_need(100, [0, 0, 30, 0], [900, 900, 900, 900], 0) == [70, 0, 30, 0]


def test_what_waits_is_fetched_from_few_partitions_in_turn():
    assert by_need(100, [0, 0, 0], [60, 900, 900], 0) == [60, 40, 0]
    assert by_need(100, [0, 0, 0], [60, 900, 900], 1) == [0, 100, 0]
    assert by_need(100, [0, 0, 0], [60, 900, 900], 2) == [0, 0, 100]


@given(total=st.integers(0, 500), needs=needs, turn=st.integers(0, 99))
def test_the_room_of_a_destination_is_not_exceeded(total, needs, turn):
    shares = by_need(256, [need[0] for need in needs], [need[1] for need in needs], turn)
    parts = parted(total, shares)
    assert min(total, sum(shares)) <= sum(parts) <= total
    assert all(part == 0 for part, share in zip(parts, shares, strict=True) if not share)
