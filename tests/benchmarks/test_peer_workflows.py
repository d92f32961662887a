"""The workflow engines do the canonical workload right, in the environments that `make peers` builds; and so does our own step beside Bytewax."""

import sqlite3

import pytest

from benchmarks.deployment import Sinks
from benchmarks.peers import bytewax, dbos, in_process, restate, temporal
from benchmarks.peers.main import Size, checked, work_for
from benchmarks.peers.peer import Work
from engine.codec import decode_any

SENDING = [restate.Restate(), dbos.Dbos(), temporal.Temporal()]
STEPPING = [*bytewax.PEERS, *in_process.PEERS]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("peer", SENDING, ids=lambda peer: peer.name)
def test_a_tiny_round_counts_right_and_every_mail_arrives(peer, tmp_path):
    if why := peer.missing():
        pytest.skip(why)
    with Sinks() as sinks:
        work = work_for(peer, Size(events=210, contacts=40), 1, sinks.smtp_port)
        figures = peer.run(work, 4, tmp_path)
        arrived = sinks.counts()
    assert_right(peer, work, figures, arrived["total"])
    assert arrived["duplicates"] == 0
    assert figures.counts.duplicates > 0  # or nothing was to be suppressed


@pytest.mark.parametrize("peer", STEPPING, ids=lambda peer: peer.name)
def test_step_and_checkpoint_count_right(peer, tmp_path):
    if why := peer.missing():
        pytest.skip(why)
    work = work_for(peer, Size(events=4_300, contacts=300), 1, 0)
    assert_right(peer, work, peer.run(work, peer.sweep[-1], tmp_path), 0)


@pytest.mark.parametrize("every_s", [0, 10])
def test_what_our_checkpoints_hold_is_everything(every_s, tmp_path):
    work = Work(1, 4_300, 300, 0, warm_events=400)
    in_process.InProcess(every_s).run(work, 1, tmp_path)
    with sqlite3.connect(tmp_path / "checkpoints.sqlite") as database:
        (contacts,) = database.execute("SELECT count(*) FROM contacts WHERE due > 0 OR due IS NULL").fetchone()
        commits = database.execute("SELECT offset, effects, dedupe FROM commits ORDER BY offset").fetchall()
    database.close()
    enrolled, warm = work.made().expected, work.warm().expected
    assert contacts == 300
    assert commits[-1][0] == 1 + 300 + enrolled.sent + warm.sent
    assert sum(len(decode_any(effects)) for _, effects, _ in commits) == enrolled.emails + warm.emails
    assert sum(len(keys) for _, _, keys in commits) == 8 * (enrolled.distinct + warm.distinct)


def assert_right(peer, work, figures, arrived):
    for name, (wanted, found) in checked(peer, work, figures, arrived).items():
        assert found == wanted, name
    assert figures.wall_s > 0
    assert figures.cpu_s > 0
