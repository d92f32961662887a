"""Partitions are handed out evenly, completely, and moved as little as can be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.assignment import assign

SHARDS = [f"shard-{number}" for number in range(1, 7)]


@st.composite
def situations(draw):
    partitions = draw(st.integers(1, 40))
    alive = draw(st.permutations(SHARDS).map(lambda order: order[: draw(st.integers(1, len(SHARDS)))]))
    owners = draw(st.lists(st.sampled_from([*SHARDS, ""]), min_size=partitions, max_size=partitions))
    current: dict[str, list[int]] = {}
    for partition, owner in enumerate(owners):
        if owner:
            current.setdefault(owner, []).append(partition)
    return partitions, alive, current, draw(st.integers(1, 6))


@given(situations())
def test_every_partition_has_one_living_owner_and_shares_are_even(situation):
    partitions, alive, current, active = situation
    assigned = assign(partitions, alive, current, active)
    assert sorted(partition for owned in assigned.values() for partition in owned) == list(range(partitions))
    assert set(assigned) <= set(alive)
    assert len(assigned) == min(active, len(alive))
    sizes = [len(owned) for owned in assigned.values()]
    assert max(sizes) - min(sizes) <= 1


@given(situations())
def test_an_assignment_that_is_right_stays(situation):
    partitions, alive, current, active = situation
    assigned = assign(partitions, alive, current, active)
    assert assign(partitions, alive, assigned, active) == assigned


@given(situations())
def test_no_more_moves_than_evening_out_needs(situation):
    partitions, alive, current, active = situation
    assigned = assign(partitions, alive, current, active)
    chosen = list(assigned)
    share, rest = divmod(partitions, len(chosen))
    sizes = sorted((len(current.get(shard, [])) for shard in chosen), reverse=True)
    could_stay = sum(min(size, share + (place < rest)) for place, size in enumerate(sizes))
    stayed = sum(len(set(current.get(shard, ())) & set(owned)) for shard, owned in assigned.items())
    assert stayed == could_stay


def test_a_standby_takes_over_everything_of_the_dead():
    assert assign(4, ["shard-2"], {"shard-1": [0, 1, 2, 3]}, 1) == {"shard-2": [0, 1, 2, 3]}


def test_an_owner_keeps_its_partitions_when_an_older_name_comes_back():
    assert assign(4, ["shard-1", "shard-2"], {"shard-2": [0, 1, 2, 3]}, 1) == {"shard-2": [0, 1, 2, 3]}


def test_with_nobody_alive_nothing_moves():
    assert assign(4, [], {"shard-1": [0, 1]}, 1) == {"shard-1": [0, 1]}


def test_two_that_claim_the_same_partition_are_told_apart():
    assigned = assign(2, ["a", "b"], {"a": [0, 1], "b": [0, 1]}, 2)
    assert sorted(assigned["a"] + assigned["b"]) == [0, 1]
