"""The ingest suite runs small, so that it cannot rot; its counts must be right, its figures mean nothing."""

import pytest

from benchmarks import ingest
from benchmarks.load import Seen


@pytest.mark.timeout(180)
def test_every_load_is_accepted_applied_and_sent_once(tmp_path):
    said = []
    (found,) = ingest.run(ingest.SMALL, tmp_path, said.append)
    assert found["holds"], said
    assert len(said) <= ingest.steps(ingest.SMALL)
    for batch, _ in ingest.SMALL.batches:
        closed, *opened = [load for load in found["loads"] if load["batch"] == batch]
        assert closed["offered_per_s"] == 0
        assert found["figures"][str(batch)]["most_per_s"] == closed["accepted_per_s"] > 0
        assert opened
        assert all(load["offered_per_s"] > 0 and load["percentiles"]["99"] > 0 for load in opened)
    assert ingest.table([found]).row_count == len(found["loads"]) + len(ingest.SMALL.batches)


def load(rate, p99_ms, refused=0):
    seen = Seen(accepted=100, retried=refused, begun_s=1, ended_s=3, latencies_ms=[p99_ms] * 100, answered_s=[0.5] * 50 + [1.5] * 50)
    return ingest._described(seen, rate, [], {})


def test_the_knee_is_the_last_rate_that_held():
    opened = [load(100, 2), load(200, 40), load(300, 400)]
    assert ingest._knee(ingest.FULL, 350, opened) | {"percentiles": {}} == {"most_per_s": 350, "knee_per_s": 200, "knee_shown": True, "percentiles": {}}
    assert ingest._knee(ingest.FULL, 350, opened)["percentiles"]["99"] == 40


def test_a_refusal_breaks_a_load_as_well():
    assert ingest._knee(ingest.FULL, 350, [load(100, 2), load(200, 3, refused=1)])["knee_per_s"] == 100
    assert ingest._knee(ingest.FULL, 350, [load(100, 2, refused=1)])["knee_per_s"] == 0


def test_no_knee_is_claimed_where_nothing_broke():
    assert not ingest._knee(ingest.FULL, 350, [load(100, 2), load(200, 3)])["knee_shown"]


def test_a_series_has_events_by_whole_seconds():
    assert load(100, 2)["series"]["accepted_per_s"] == [(0.5, 50), (1.5, 50)]
