"""The task queues do the canonical workload right, in the environments that `make peers` builds; without those, only what they share is tested."""

import importlib

import pytest

from benchmarks import workload
from benchmarks.deployment import Sinks
from benchmarks.peers import queues
from benchmarks.peers.inside import journey
from benchmarks.peers.main import Size, checked, work_for

EVENT = {"id": "e1", "contact": "c1", "name": "order.placed", "data": {"total": 120.5, "notify": True, "currency": "USD", "cds": 2}}
TRIED = [queues.Celery(), queues.Dramatiq(before=True), queues.Taskiq()]


@pytest.mark.parametrize("peer", TRIED, ids=lambda peer: peer.name)
def test_a_small_round_counts_right(peer, tmp_path):
    if why := peer.missing():
        pytest.skip(why)
    with Sinks() as sinks:
        work = work_for(peer, Size(events=420, contacts=50), 1, sinks.smtp_port)
        figures = peer.run(work, 2, tmp_path)
        arrived = sinks.counts()
    for name, (wanted, found) in checked(peer, work, figures, arrived["total"]).items():
        assert found == wanted, name
    assert arrived["duplicates"] == 0
    assert figures.counts.duplicates > 0  # or nothing was to be suppressed
    assert figures.wall_s >= figures.committed_s > 0
    assert figures.cpu_us_per_event["workers"] > 0


@pytest.fixture
def contacts(monkeypatch):
    monkeypatch.setenv("PEER_REDIS", "unix:///nowhere")
    monkeypatch.setenv("PEER_SMTP_PORT", "1")
    return importlib.import_module("benchmarks.peers.inside.contacts")


def test_an_event_is_applied_by_one_task_and_told_again_by_that_task_alone(contacts):
    kept = b'{"email": "a@example.com", "tags": [], "last_total": null, "due_s": 0}'
    first = contacts.Decision(EVENT, "task-1", [kept, None])
    assert (first.told, first.applied_before, first.duplicate) == ("a@example.com", False, False)
    again = contacts.Decision(EVENT, "task-1", [kept, b"task-1"])
    assert (again.told, again.applied_before, again.duplicate) == ("a@example.com", True, False)
    other = contacts.Decision(EVENT, "task-2", [kept, b"task-1"])
    assert (other.told, other.applied_before, other.duplicate) == ("", True, True)


def test_what_a_task_does_is_what_the_workload_expects(contacts):
    made = workload.make(5, 2_000, 100)
    told = enrolled = 0
    kept, applied = {}, {}
    for event in (event for body in made.bodies for event in contacts.json.loads(body)):
        address = f"{event['contact']}@example.com"
        contact = kept.setdefault(event["contact"], contacts.json.dumps(journey.fresh(address)).encode())
        decision = contacts.Decision(event, "task", [contact, applied.get(event["id"])])
        pipe = Written()
        if not decision.applied_before:
            decision.write(pipe)
            applied[event["id"]] = b"another task"
            told += decision.told == address
            enrolled += "due" in pipe.keys
    assert (len(applied), enrolled, told) == (made.expected.distinct, made.expected.enrolled, made.expected.emails)


class Written:
    """A transaction that remembers which keys were changed."""

    def __init__(self):
        self.keys = set()

    def set(self, key, value, ex=None):
        self.keys.add(key)

    def zadd(self, key, members):
        self.keys.add(key)

    def hincrby(self, key, field, by):
        self.keys.add(key)
