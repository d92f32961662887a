"""The skew suite runs small inside the tests, so that it cannot rot; its counts must be right, its figures mean nothing."""

import pytest

from benchmarks import skew


@pytest.mark.timeout(180)
def test_every_draw_counts_right(tmp_path):
    said = []
    found = skew.run(skew.SMALL, tmp_path, said.append)
    assert [each["draw"] for each in found] == ["uniform", "zipf-1.2", "hot"]
    assert all(each["holds"] for each in found), said
    assert len(said) == skew.steps(skew.SMALL)
    assert all(each["medians"]["committed_per_s"] > 0 for each in found)
    assert found[0]["ratios_to_uniform"] == [1.0]
    assert skew.table(found).row_count == 3
