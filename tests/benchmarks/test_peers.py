"""The hand-written loop does the canonical workload, and the frame sees when somebody does not."""

import subprocess
import sys
import time
from contextlib import closing, contextmanager

import msgspec
import pytest

from actors import processes
from benchmarks import workload
from benchmarks.deployment import Sinks
from benchmarks.peers import main
from benchmarks.peers.bare_handler import BareHandler
from benchmarks.peers.by_hand import ByHand, counts, know, valkey
from benchmarks.peers.by_hand_front import appends
from benchmarks.peers.by_hand_front import decode as decode_events
from benchmarks.peers.by_hand_redis import Redis
from benchmarks.peers.by_hand_worker import WAIT_MS, Contact, Worker, decode_contact
from benchmarks.peers.inside import journey
from benchmarks.peers.peer import Counts, Figures, Peer, Work, started, wait
from benchmarks.peers.redis_writes import commands, pipelines
from engine.storage.server import socket_path

STARTER = """
import sys, time
from pathlib import Path
from benchmarks.peers.peer import started
with started(["sleep", "60"], log=Path(sys.argv[1])) as (process,):
    print(process.pid, flush=True)
    time.sleep(60)
"""

SIZE = main.Size(events=3_000, contacts=500, rounds=1, sweep=False)


@contextmanager
def worker(folder):
    with closing(Redis(str(socket_path(folder)))) as redis:
        yield Worker(redis)


def among(monkeypatch, *peers):
    monkeypatch.setattr(main, "every_peer", lambda: list(peers))


def by_hand(durability, name, beside):
    peer = ByHand(durability, target=0.1)
    peer.name, peer.beside = name, beside
    return peer


def test_the_hand_written_loop_counts_right_and_every_mail_arrives(tmp_path, monkeypatch):
    among(monkeypatch, by_hand("relaxed", "one", ""), by_hand("fsync", "other", "one"))
    lines = []
    (found,) = main.run(SIZE, tmp_path, lines.append)
    assert found["holds"], lines
    assert len(lines) == main.steps(SIZE) == 2
    rate = found["medians"]["other"]
    assert rate["committed_per_s"] >= rate["per_s"] > 0
    assert set(found["rounds"][0]["other"]["cpu_by_part"]) == {"front", "worker", "sender", "valkey"}
    assert found["ratios"]["other"]["least"] <= found["ratios"]["other"]["median"] <= found["ratios"]["other"]["most"]
    assert set(found["ratios"]) == {"other"}
    assert list(tmp_path.iterdir()) == []
    assert main.table([found]).row_count == 2


def test_the_bare_handler_answers_every_single_event(tmp_path):
    work = Work(1, 300, 100, smtp_port=0, batch=1, warm_events=30)
    figures = BareHandler("fsync").run(work, 4, tmp_path)
    assert main.checked(BareHandler("fsync"), work, figures, 0) == {"events": (300, 300)}


class Forgetful(Peer):
    """Counts right, and sends nothing."""

    name = "forgetful"

    def run(self, work, concurrency, folder):
        expected = work.made().expected
        return Figures(work.events, 1.0, 0.5, Counts(expected.sent, expected.sent - expected.distinct, expected.enrolled, expected.emails))


def test_mails_that_did_not_arrive_leave_no_rate(tmp_path, monkeypatch):
    among(monkeypatch, Forgetful())
    (found,) = main.run(SIZE, tmp_path, lambda _: None)
    assert not found["holds"]
    assert found["medians"]["forgetful"]["per_s"] == 0


def test_who_is_not_installed_is_left_out_with_the_command(monkeypatch):
    absent = Forgetful()
    absent.environment = "nowhere"
    among(monkeypatch, absent)
    assert main.steps(SIZE) == 0
    assert "make peers PEERS=nowhere" in absent.missing()


def test_some_can_be_chosen_and_bring_along_whom_they_stand_beside(monkeypatch):
    among(monkeypatch, by_hand("fsync", "ours", ""), by_hand("fsync", "by hand", "ours"), by_hand("fsync", "celery", "ours"))
    monkeypatch.setenv(main.CHOSEN, "cel")
    assert [peer.name for peer in main.chosen(SIZE)] == ["ours", "celery"]


def test_a_worker_that_is_started_again_goes_on_where_it_was(tmp_path):
    work = Work(1, 1_000, 200, smtp_port=0, batch=100)
    half = len(work.made().bodies) // 2
    expected = work.made().expected
    with valkey("relaxed", tmp_path) as (_, redis):
        know(redis, work)
        for bodies in (work.made().bodies[: half + 1], work.made().bodies[half:]):  # the one in the middle comes twice
            for body in bodies:
                redis.run(appends(decode_events(body)))
            sent = counts(redis)["read"] + 100 * len(bodies)
            with worker(tmp_path) as working:
                while counts(redis)["read"] < sent:
                    working.turn()
        found = counts(redis)
        assert found["enrolled"] == expected.enrolled
        assert found["decided"] == expected.emails
        assert found["duplicates"] == expected.sent - expected.distinct + 100


def test_the_hand_written_wait_ends_and_one_that_began_anew_goes_on(tmp_path):
    with valkey("relaxed", tmp_path) as (_, redis):
        now_ms = int(time.time() * 1_000)
        redis.run([("ZADD", "due", now_ms - 1, "over", now_ms - 1, "renewed")])
        for name, due_ms in (("over", now_ms - 1), ("renewed", now_ms + WAIT_MS)):
            redis.run([("HSET", "contacts", name, msgspec.msgpack.encode(Contact(due_ms=due_ms)))])
        with worker(tmp_path) as working:
            working.fire(now_ms)
        over, renewed, due = redis.run([("HGET", "contacts", "over"), ("HGET", "contacts", "renewed"), ("ZRANGE", "due", 0, -1)])
        assert decode_contact(over).due_ms == 0
        assert decode_contact(renewed).due_ms == now_ms + WAIT_MS
        assert due == [b"renewed"]


def test_the_map_by_hand_enrolls_and_tells_whom_the_workload_expects():
    made = workload.make(2, 2_000, 100)
    contacts = {f"c{number}": journey.fresh(f"c{number}@example.com") for number in range(100)}
    seen, enrolled, told = set(), 0, 0
    for event in (event for body in made.bodies for event in msgspec.json.decode(body)):
        if event["id"] not in seen and journey.step(contacts[event["contact"]], event, 5.0):
            enrolled += 1
            told += journey.is_told(event)
        seen.add(event["id"])
    assert (enrolled, told) == (made.expected.enrolled, made.expected.emails)
    assert any(contact["tags"] == ["big"] and contact["due_s"] == 5.0 + journey.WAIT_S for contact in contacts.values())


def test_a_mail_by_hand_arrives():
    with Sinks() as sinks:
        mailer = journey.Mailer(sinks.smtp_port)
        mailer.send("ann@example.com", {"id": "1", "data": {"total": 5, "currency": "USD", "cds": 2}})
        mailer.close()
        assert sinks.recipients("email:Your%20order") == ["ann@example.com"]


def test_writes_are_read_back_from_a_servers_file_and_sent_in_pieces(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with valkey("fsync", tmp_path / "one") as (_, redis):
        redis.run([("HSET", "a", str(number), "x" * 100) for number in range(50)])
        (file,) = (tmp_path / "one").rglob("*.incr.aof")
        begin = file.stat().st_size
        redis.run([("EVAL", "for n = 1, 10 do redis.call('ZADD', 'z', n, n) end", 0)])
        found = commands(file, begin, file.stat().st_size)
        before = commands(file, 0, begin)
    assert found[0] == [b"MULTI"]
    with valkey("fsync", tmp_path / "two") as (_, redis):
        for packed, count in [*pipelines(before, 20), *pipelines(found, 5)]:
            redis.exchange(packed, count)
        assert redis.run([("HLEN", "a"), ("ZCARD", "z")]) == [50, 10]


@pytest.mark.parametrize("name", ["by hand, fsync", "ours, relaxed", "bare handler beside fsync", "the same writes in Valkey, fsync"])
def test_what_needs_nothing_is_always_there(name):
    (peer,) = (peer for peer in main.every_peer() if peer.name == name)
    assert peer.missing() == ""
    assert peer.durability


class Broken(Peer):
    name = "broken"

    def run(self, work, concurrency, folder):
        raise RuntimeError("its server did not start")


def test_whoever_fails_has_no_rate_and_the_others_go_on(tmp_path, monkeypatch):
    among(monkeypatch, Broken(), BareHandler("fsync"))
    lines = []
    (found,) = main.run(msgspec.structs.replace(SIZE, events=300), tmp_path, lines.append)
    assert not found["holds"]
    assert "its server did not start" in lines[0]
    assert found["medians"]["bare handler beside fsync"]["per_s"] > 0
    assert main.table([found]).row_count == 2


def test_what_was_started_ends_when_the_benchmark_is_killed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", STARTER, tmp_path / "log"], stdout=subprocess.PIPE) as killed:
        child = processes.identify(int(killed.stdout.readline()))
        killed.kill()
    deadline = time.monotonic() + 20
    while processes.identify(child.pid) == child and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes.identify(child.pid) != child


def test_a_process_that_ends_too_early_is_told_with_its_words(tmp_path):
    log = tmp_path / "log"
    with started(["sh", "-c", "echo no such thing; exit 3"], log=log) as found, pytest.raises(RuntimeError, match=r"ended with 3:\nno such thing"):
        wait(lambda: False, found, log, 20)
