"""Bytewax with recovery: the map as a dataflow in a process of its own, whose state is snapshotted into SQLite at the end of each epoch.

It has no HTTP, no log and sends nothing, so it stands beside our own step and checkpoint in one process (in_process.py), with epochs as far apart as our
transactions: as it is if not told otherwise, and with an epoch for each batch that is read.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec

from benchmarks.peers.in_process import said
from benchmarks.peers.peer import ROOT, Counts, Figures, Peer, Work


class Said(msgspec.Struct):
    """What the flow prints at its end."""

    wall_s: float
    cpu_s: float
    entered: int
    told: int
    repeated: int


class Bytewax(Peer):
    """`epoch_s`: seconds between snapshots, 0 for one after each batch."""

    environment = "bytewax"
    leaves_out = "all but step and checkpoint; addresses; and a repeated id is known among the contact's newest 20 only"
    target = 1
    events = 400_000
    emails = False
    unit = "workers"
    sweep = (1, 2)

    def __init__(self, epoch_s: float) -> None:
        self.name = f"bytewax, {said(epoch_s)}"
        self.durability = (
            f"fsync: what an epoch changed is in SQLite (wal, synchronous full) at its end, {said(epoch_s)}; input since is read again after a crash"
        )
        self.beside = f"ours in process, {said(epoch_s)}"
        self._epoch_s = epoch_s

    def run(self, work: Work, concurrency: int, folder: Path) -> Figures:
        work.write(folder)
        command = [str(self.python), "-m", "benchmarks.peers.inside.bytewax_flow", str(folder), str(concurrency), str(self._epoch_s)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"bytewax failed:\n{done.stderr[-4000:]}")
        found = msgspec.json.decode(done.stdout.splitlines()[-1], type=Said)
        return Figures(work.events, found.wall_s, found.cpu_s, Counts(work.events, found.repeated, found.entered, found.told))


PEERS = [Bytewax(0), Bytewax(10)]
