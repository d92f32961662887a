"""Our own step and checkpoint in this process, as Bytewax does them in its own: no HTTP, no log, no Redis, no sends.

A partition of ours (actors/partition.py: dedupe, timers, effects, encoded contacts) steps batches of decoded records, and each commit goes into SQLite with the
journal and the sync that Bytewax's recovery store has. `every_s` is how far apart transactions are at least: 0 for one with each batch, which is when ours
commits; 10 is what Bytewax does if it is not told otherwise, and then up to ten seconds of input must be there to be read again after a crash.
"""

from __future__ import annotations

import gc
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from actions.registry import load_registry
from actors.partition import Partition
from actors.presence import GC_THRESHOLD
from actors.work import Work as Todo
from benchmarks import workload
from benchmarks.in_process import events as records_of
from benchmarks.peers.peer import Counts, Figures, Peer, Work
from engine.codec import encode
from engine.config import Config
from engine.conservation import elements
from engine.core.records import Record, Update
from engine.core.workspace import compile_workspace
from engine.ports import Commit, LogBatch, PartitionState

TABLES = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE contacts (id TEXT PRIMARY KEY, value BLOB, due INTEGER) WITHOUT ROWID;
CREATE TABLE commits (offset INTEGER PRIMARY KEY, time_ms INTEGER, effects BLOB, bucket INTEGER, dedupe BLOB);
"""
WRITE_CONTACT = """
INSERT INTO contacts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value, due = coalesce(excluded.due, due)
"""


class Checkpoints:
    """Commits in SQLite. Everything of a transaction is written whole or not at all."""

    def __init__(self, file: Path) -> None:
        self._database = sqlite3.connect(file, isolation_level=None)
        self._database.executescript(TABLES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def write(self, commits: list[Commit]) -> None:
        """All of these in one transaction; of a contact that is in several, what it came to be."""
        contacts, due = {}, {}
        for commit in commits:
            contacts.update(commit.contacts)
            due.update(commit.due)
        self._database.execute("BEGIN")
        self._database.executemany(WRITE_CONTACT, [(contact, value, due.get(contact)) for contact, value in contacts.items()])
        rows = [(commit.offset, commit.time_ms, encode(commit.effects), *(commit.dedupe or (0, b""))) for commit in commits]
        self._database.executemany("INSERT INTO commits VALUES (?, ?, ?, ?, ?)", rows)
        self._database.execute("COMMIT")


class InProcess(Peer):
    """`every_s`: see above."""

    beside = ""
    events = 400_000
    emails = False
    unit = "process"

    def __init__(self, every_s: float) -> None:
        self.name = f"ours in process, {said(every_s)}"
        self.durability = f"SQLite, journal_mode wal, synchronous full, {said(every_s)}"
        self._every_s = every_s

    def run(self, work: Work, concurrency: int, folder: Path) -> Figures:
        config, made, warm = Config(partitions=1), work.made(), work.warm()
        compiled = compile_workspace(workload.documents(smtp_port=1), load_registry(), config, number=1)
        partition = Partition(0, PartitionState(snapshot=1), config, lambda _: compiled)
        with Checkpoints(folder / "checkpoints.sqlite") as checkpoints:
            addresses: list[Record] = [Update(contact, {"email": address}) for contact, address in work.addresses()]
            for records in (addresses, records_of(warm)):
                self._drain(partition, checkpoints, records)
            todo = records_of(made)
            with _collected_as_in_a_shard():
                used, begun = time.process_time(), time.perf_counter()
                counts = self._drain(partition, checkpoints, todo)
                return Figures(work.events, time.perf_counter() - begun, time.process_time() - used, counts)

    def _drain(self, partition: Partition, checkpoints: Checkpoints, records: list[Record]) -> Counts:
        """Step and commit all of them; what the commits counted."""
        waiting: list[Commit] = []
        written_s, emails = time.perf_counter(), 0
        sums: Counter[str] = Counter()
        for batch in _batches(partition, records):
            commit = partition.step(Todo([batch], until_ms=batch.stamp_ms))
            waiting.append(commit)
            if time.perf_counter() - written_s >= self._every_s:
                checkpoints.write(waiting)
                waiting, written_s = [], time.perf_counter()
            partition.confirm(commit)
            sums.update(commit.counters)
            emails += len(commit.effects)
        if waiting:
            checkpoints.write(waiting)
        arrived, _ = elements(sums, workload.MAP_ID).get("later", (0, 0))
        return Counts(len(records), sums["duplicates"], arrived, emails)


@contextmanager
def _collected_as_in_a_shard() -> Iterator[None]:
    """The garbage collector as a shard's process has it (actors/presence.py); what it was comes back."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def said(every_s: float) -> str:
    """How often there is a transaction, in words."""
    return f"a transaction every {every_s:g} s" if every_s else "a transaction a batch"


def _batches(partition: Partition, records: list[Record]) -> Iterator[LogBatch]:
    """The records as the log would give them, with everybody who is new known to be so, as after a fetch."""
    most = partition.config.batch_records_max
    for start in range(0, len(records), most):
        batch = LogBatch(partition.offset, int(time.time() * 1000), records[start : start + most])
        _admit(partition, partition.wants([batch], ()))
        yield batch


def _admit(partition: Partition, contacts: Iterable[str]) -> None:
    for contact in contacts:
        partition.residency.admit(contact, None)


PEERS = [InProcess(0), InProcess(10)]
