"""The fan-out suite runs small, so that it cannot rot; its counts must be right, its figures mean nothing."""

import pytest

from benchmarks import fanout


@pytest.mark.timeout(180)
def test_everybody_gets_one_message_by_each_channel_within_its_limit(tmp_path):
    said = []
    (found,) = fanout.run(fanout.SMALL, tmp_path, said.append)
    assert found["holds"], said
    assert len(said) == fanout.steps(fanout.SMALL)
    for channel, rate in fanout.SMALL.rates:
        assert found["figures"]["free"][channel]["arrived"] == fanout.SMALL.contacts
        assert found["figures"]["limited"][channel]["limit_per_s"] == rate
        assert sum(number for _, number in found["figures"]["limited"][channel]["series"]["arrived_per_s"]) == fanout.SMALL.contacts
    assert found["figures"]["fair"]["transactional, behind the bulk"]["percentiles"]["99"] > 0
    assert fanout.table([found]).row_count == 2 * len(fanout.SMALL.rates) + 4


def test_what_came_beyond_a_limit_is_counted():
    within = fanout.paced([10 + number / 128 for number in range(384)], 9, 128)
    assert within["beyond_the_limit"] == 0
    assert within["mean_per_s"] == 128
    beyond = fanout.paced([10 + number / 256 for number in range(768)], 9, 128)
    assert beyond["beyond_the_limit"] == 768 - 511
    assert beyond["most_in_a_second"] == 256


def test_the_most_within_a_second_is_found_wherever_it_lies():
    assert fanout.most_within([0, 0.9, 1.0, 1.1, 1.8, 3], 1) == 4
    assert fanout.most_within([], 1) == 0
