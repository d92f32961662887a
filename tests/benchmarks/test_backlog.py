"""The backlog suite runs small, so that it cannot rot; its counts must be right, its figures mean nothing."""

import pytest

from benchmarks import backlog


@pytest.mark.timeout(180)
def test_what_was_accepted_while_no_shard_ran_is_applied_once(tmp_path):
    said = []
    (found,) = backlog.run(backlog.SMALL, tmp_path, said.append)
    assert found["holds"], said
    assert len(said) == backlog.steps(backlog.SMALL)
    assert found["figures"]["behind_records"] == backlog.SMALL.events * backlog.SMALL.laps
    assert 0 < found["figures"]["first_commit_s"] <= found["figures"]["drain_s"]
    assert found["series"]["lag_records"][-1][1] == 0
    assert backlog.table([found]).row_count > 6
