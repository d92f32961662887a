"""The timers suite runs small inside the tests, so that it cannot rot; its counts must be right, its figures mean nothing."""

import pytest

from benchmarks import timers


@pytest.mark.timeout(180)
def test_a_small_storm_releases_everybody_and_loses_no_fresh_event(tmp_path):
    said = []
    (found,) = timers.run(timers.SMALL, tmp_path, said.append)
    assert found["holds"], said
    assert len(said) == timers.steps(timers.SMALL)
    assert found["medians"]["released_per_s"] > 0
    assert found["percentiles"][timers.ALONE]["99"] > 0
    assert found["series"]["waits_released_per_s"]
    assert timers.table([found]).row_count == 5
