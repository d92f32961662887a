"""The latency suite runs small, so that it cannot rot; its counts must be right, its figures mean nothing."""

import pytest

from benchmarks import latency


@pytest.mark.timeout(180)
def test_every_marker_is_followed_to_the_sink(tmp_path):
    said = []
    (found,) = latency.run(latency.SMALL, tmp_path, said.append)
    assert found["holds"], said
    assert len(said) == latency.steps(latency.SMALL)
    assert [each["share"] for each in found["runs"]] == list(latency.SMALL.shares)
    for each in found["runs"]:
        assert each["markers"] > 0
        assert 0 < each["percentiles"]["50"] <= each["percentiles"]["99"]
        assert each["round_trips"]["ping"]["50"] > 0
        assert each["round_trips"]["set"]["50"] > 0
    assert found["figures"]["at 20%"]["p99_ms"]["at_most"] == 25
    assert latency.table([found]).row_count == 3 * len(latency.SMALL.shares)
