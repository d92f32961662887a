"""The hand-written loop does the canonical workload, and the frame sees when somebody does not."""

import time
from contextlib import contextmanager

import pytest

from benchmarks import workload
from benchmarks.deployment import Sinks
from benchmarks.peers import by_hand, main
from benchmarks.peers.by_hand_redis import Redis, transaction
from benchmarks.peers.by_hand_worker import Worker, decode_contact
from benchmarks.peers.inside import journey
from benchmarks.peers.peer import Counts, Figures, Peer, Work
from engine.storage.server import socket_path

SIZE = main.Size(events=3_000, contacts=500, rounds=2, sweep=False, only=("by hand, relaxed",))


def test_the_hand_written_loop_counts_right_and_every_mail_arrives(tmp_path):
    lines = []
    (found,) = main.run(SIZE, tmp_path, lines.append)
    assert found["holds"], lines
    rate = found["medians"]["by hand, relaxed"]
    assert rate["committed_per_s"] >= rate["per_s"] > 0
    assert found["peers"]["by hand, relaxed"]["durability"]
    assert set(found["rounds"][0]["by hand, relaxed"]["cpu_by_part"]) == {"front", "worker", "sender", "valkey"}
    assert list(tmp_path.iterdir()) == []
    assert main.table([found]).row_count == len(found["medians"])
