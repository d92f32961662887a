import msgspec

from benchmarks import workload
from benchmarks.deployment import Metrics


def events_of(found):
    return [event for body in found.bodies for event in msgspec.json.decode(body)]


def test_the_same_seed_makes_the_same_bytes():
    assert workload.make(7, 2_000, 500).bodies == workload.make(7, 2_000, 500).bodies
    assert workload.make(7, 2_000, 500).bodies != workload.make(8, 2_000, 500).bodies


def test_what_is_expected_is_what_is_in_the_events():
    found = workload.make(3, 4_100, 500)
    events = events_of(found)
    distinct = {event["id"]: event for event in events}.values()
    assert found.expected.sent == len(events) == 4_100
    assert found.expected.distinct == len(distinct) == 4_100 - 20
    assert found.expected.enrolled == sum(event["data"]["total"] >= 10 for event in distinct)
    assert found.expected.emails == sum(event["data"]["notify"] and event["data"]["total"] >= 10 for event in distinct) == 410


def test_contacts_follow_zipf():
    contacts = [event["contact"] for event in events_of(workload.make(1, 20_000, 1_000))]
    counts = sorted((contacts.count(name) for name in set(contacts)), reverse=True)
    assert 1.6 < counts[0] / counts[1] < 2.5  # the second is half as frequent as the first
    assert 7 < counts[0] / counts[9] < 14  # the tenth a tenth


def counts_of(draw):
    contacts = [event["contact"] for event in events_of(workload.make(1, 20_000, 1_000, draw=draw))]
    return sorted((contacts.count(name) for name in set(contacts)), reverse=True)


def test_contacts_are_drawn_in_other_ways_too():
    assert counts_of("uniform")[0] < 50  # of 20 on average
    hot = counts_of("hot")
    assert 0.09 < hot[0] / 20_000 < 0.11
    assert hot[1] < 50
    assert 2.0 < counts_of("zipf-1.2")[0] / counts_of("zipf-1.2")[1] < 2.6  # two to the power of 1.2 is 2.3


def test_metrics_are_summed_by_labels():
    metrics = Metrics('# HELP a b\na{x="1",y="2"} 3\na{x="1",y="3"} 4.5\na{x="2",y="3"} 1\nb 7\nc{x="a\\"}"} 2\n')
    assert metrics.total("a") == 8.5
    assert metrics.total("a", x="1") == 7.5
    assert metrics.by("a", "y") == {"2": 3, "3": 5.5}
    assert metrics.total("b") == 7
    assert metrics.total("c") == 2
    assert metrics.total("missing") == 0
