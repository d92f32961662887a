"""The canonical map as a Bytewax dataflow with recovery: contacts are the state of a keyed operator. Runs in Bytewax's environment.

`python -m benchmarks.peers.inside.bytewax_flow FOLDER WORKERS EPOCH_S` reads all events of `warm.ndjson` and `events.ndjson`, decodes them, runs them through the
flow, the first file and then the second, and prints what it counted and how long it took, until the last snapshot is in the recovery store. The 30 days are
the operator's own notification; who is to be told is emitted downstream.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter, deque
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from benchmarks.peers.inside import journey

BATCH_EVENTS = 2_000  # as many as a commit of ours holds
REMEMBERED_IDS = 20  # of the newest events of a contact
counts: Counter[str] = Counter()  # of all threads of this process, which has one interpreter lock


class Part(StatefulSourcePartition[dict[str, Any], int]):
    """A part of the events; its state is how many were read."""

    def __init__(self, events: list[dict[str, Any]], read: int | None) -> None:
        self._events, self._read = events, read or 0

    def next_batch(self) -> list[dict[str, Any]]:
        found = self._events[self._read : self._read + BATCH_EVENTS]
        if not found:
            raise StopIteration
        self._read += len(found)
        return found

    def snapshot(self) -> int:
        return self._read


class Events(FixedPartitionedSource[dict[str, Any], int]):
    """All events, in a part for each worker. A contact's are all in one part, so that their order is kept."""

    def __init__(self, events: list[dict[str, Any]], parts: int) -> None:
        self._parts: dict[str, list[dict[str, Any]]] = {f"part-{number}": [] for number in range(parts)}
        for event in events:
            self._parts[f"part-{int(event['contact'][1:]) % parts}"].append(event)

    def list_parts(self) -> list[str]:
        return list(self._parts)

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> Part:
        return Part(self._parts[for_part], resume_state)


class Contact(StatefulBatchLogic[dict[str, Any], dict[str, Any], tuple[Any, ...]]):
    """One contact."""

    def __init__(self, kept: tuple[Any, ...] | None) -> None:
        if kept is None:
            self._contact, self._seen = journey.fresh(""), deque[str](maxlen=REMEMBERED_IDS)
        else:
            self._contact, self._seen = {**kept[0], "tags": list(kept[0]["tags"])}, deque(kept[1], REMEMBERED_IDS)

    def on_batch(self, values: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], bool]:
        told = []
        for event in values:
            if event["id"] in self._seen:
                counts["repeated"] += 1
                continue
            self._seen.append(event["id"])
            if journey.step(self._contact, event, time.time()):
                counts["entered"] += 1
                if journey.is_told(event):
                    told.append(event)
        return told, StatefulBatchLogic.RETAIN

    def on_notify(self) -> tuple[list[dict[str, Any]], bool]:
        self._contact["due_s"] = 0.0  # 30 days have passed: the contact leaves the map
        return [], StatefulBatchLogic.RETAIN

    def notify_at(self) -> datetime | None:
        due_s = self._contact["due_s"]
        return datetime.fromtimestamp(due_s, UTC) if due_s else None

    def snapshot(self) -> tuple[Any, ...]:
        return {**self._contact, "tags": tuple(self._contact["tags"])}, tuple(self._seen)


class Counted(StatelessSinkPartition[Any]):
    def write_batch(self, items: list[Any]) -> None:
        counts["told"] += len(items)


class Told(DynamicSink[Any]):
    """Stands where a sender would."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Counted:
        return Counted()


def run(events: list[dict[str, Any]], store: Path, workers: int, epoch_s: float) -> float:
    """How long it took to run these events through the flow, with a recovery store of its own."""
    store.mkdir()
    init_db_dir(store, workers)
    flow = Dataflow("canonical")
    keyed = op.key_on("contact", op.input("events", flow, Events(events, workers)), lambda event: event["contact"])
    told = op.stateful_batch("map", keyed, Contact)
    op.output("told", told, Told())
    begun = time.perf_counter()
    cli_main(flow, workers_per_process=workers, epoch_interval=timedelta(seconds=epoch_s), recovery_config=RecoveryConfig(store))
    return time.perf_counter() - begun


def main() -> None:
    folder, workers, epoch_s = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    warm, events = ([json.loads(line) for line in (folder / name).read_bytes().splitlines()] for name in ("warm.ndjson", "events.ndjson"))
    run(warm, folder / "warm", workers, epoch_s)
    counts.clear()
    used = time.process_time()
    wall_s = run(events, folder / "store", workers, epoch_s)
    print(json.dumps({"wall_s": wall_s, "cpu_s": time.process_time() - used, **{name: counts[name] for name in ("entered", "told", "repeated")}}))


if __name__ == "__main__":
    main()
