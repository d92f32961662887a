"""Metrics of several processes become one page."""

from __future__ import annotations

from engine.metrics import Metrics, merge, page, stored


def samples(families):
    return {(one.name, *sorted(one.labels.items())): one.value for family in families for one in family.samples}


def test_counters_and_histograms_are_summed_and_gauges_keep_their_labels():
    texts = []
    for shard, resident in (("a", 5), ("b", 7)):
        metrics = Metrics()
        metrics.commits_fenced.inc(2)
        metrics.commit_batch.observe(3)
        metrics.contacts_resident.labels(shard).set(resident)
        metrics.breaker_open.labels("webhook").set(resident)
        texts.append(metrics.exposition())
    found = samples(merge(texts))
    assert found["wayfare_commits_fenced_total",] == 4
    assert found["wayfare_commit_batch_records_bucket", ("le", "5.0")] == 2
    assert found["wayfare_commit_batch_records_bucket", ("le", "2.0")] == 0
    assert (found["wayfare_contacts_resident", ("shard", "a")], found["wayfare_contacts_resident", ("shard", "b")]) == (5, 7)
    assert found["wayfare_breaker_open", ("destination_class", "webhook")] == 7


def test_a_merged_page_can_be_merged_again():
    metrics = Metrics("1.2.3")
    metrics.step.observe(0.1)
    metrics.events_accepted.labels('odd "source"\n').inc()
    text = metrics.exposition()
    assert samples(merge([page(merge([text]))])) == samples(merge([text]))
    assert "wayfare_build_info" in text
    assert "_created" not in text


def test_names_that_hold_each_other_are_told_apart():
    counters = {"el:a:x:in": 1, "el:sequence:a:x:in": 5, "el:sequence:a:x:out": 2, "map:a:entered": 1, "map:a:active": 1, "map:sequence:a:entered": 5}
    found = samples(stored(counters=counters, depths={}, lag={}, timers=4))
    assert found["wayfare_element_entries_total", ("element", "x"), ("map", "a")] == 1
    assert found["wayfare_contacts_at_element", ("element", "x"), ("map", "sequence:a")] == 3
    assert found["wayfare_timers_pending",] == 4
    assert found["wayfare_conservation_drift", ("map", "a")] == 0
    assert found["wayfare_conservation_drift", ("map", "sequence:a")] == 5
