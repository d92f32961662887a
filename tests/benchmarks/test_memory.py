import os
import random

import pytest

from benchmarks import cpu, memory
from benchmarks.memory import FLAT_BYTES_PER_MIN, slope

MIB = 1024 * 1024


def noisy(per_s, noise, seconds=600, seed=1):
    chance = random.Random(seed)
    return [(second, 500 * MIB + per_s * second + chance.gauss(0, noise)) for second in range(seconds)]


def test_a_line_is_found_under_noise():
    found = slope(noisy(100_000, MIB), 60)
    assert abs(found.bytes_per_min - 6_000_000) < found.within < 600_000
    assert found.verdict == "grows"


def test_what_does_not_grow_is_flat():
    assert slope(noisy(0, MIB / 4), 60).verdict == "flat"
    assert slope([(second, 7.0) for second in range(20)], 0) == memory.Slope(0, 0, "flat")


def test_much_noise_decides_nothing_but_one_time_in_twenty():
    found = [slope(noisy(0, 50 * MIB, seconds=120, seed=seed), 10) for seed in range(100)]
    assert all(each.within > FLAT_BYTES_PER_MIN for each in found)
    assert sum(each.verdict != "undecided" for each in found) <= 10


def test_what_is_given_back_is_not_called_flat():
    assert slope(noisy(-100_000, MIB), 60).verdict == "shrinks"


def test_the_warm_up_is_left_out():
    filling = [(second, min(second, 100) * MIB) for second in range(400)]
    assert slope(filling, 120).verdict == "flat"
    assert slope(filling, 0).verdict != "flat"


def test_two_samples_make_no_line():
    with pytest.raises(ValueError, match="2 samples"):
        slope([(0, 1.0), (1, 2.0), (2, 3.0)], 1)


@pytest.mark.parametrize(("free", "known"), [(3, 3.182), (5, 2.571), (10, 2.228), (22, 2.074), (100, 1.984)])
def test_students_t(free, known):
    assert memory.student_95(free) == pytest.approx(known, rel=0.04)


def test_resident_memory_is_summed_by_role():
    found = memory.resident_by_role(os.getpid())
    assert found.keys() == {*cpu.ROLES, cpu.OTHER}
    assert found["other"] > 10 * MIB
