"""Temporal: its development server on SQLite, a workflow for each contact, events as signals that start the workflow where there is none.

The development server is what runs without a cluster of its own; its database is a file here, as a deployment's would be.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.peers.peer import ROOT, Counts, Figures, Peer, Work, cpu_s, started
from benchmarks.peers.restate import free_ports, listens

WORKERS = 2
READY_S_MAX = 60
DONE_S_MAX = 300
QUERIES = 16


class Temporal(Peer):
    name = "temporal"
    environment = "temporal"
    durability = "fsync: a signal is accepted when it is in the workflow's history, in SQLite (journal_mode wal, synchronous full: its default)"
    leaves_out = "HTTP: its client speaks gRPC, one signal a request; and addresses come with a contact's first event instead of an import"
    target = 200
    unit = "signals under way"
    sweep = (8, 32, 128)
    events = 1_500

    def run(self, work: Work, concurrency: int, folder: Path) -> Figures:
        warm, events = work.write(folder)
        tally, log = folder / "tally", folder / "temporal.log"
        tally.touch()
        port, metrics_port, http_port = free_ports(3)
        environ = {"TALLY": str(tally), "SMTP_PORT": str(work.smtp_port)}
        server: list[str | Path] = [self.python.with_name("temporal"), "server", "start-dev", "--ip", "127.0.0.1", "--port", str(port), "--headless"]
        server += ["--http-port", str(http_port), "--metrics-port", str(metrics_port), "--db-filename", folder / "temporal.db", "--log-level", "error"]
        worker: list[str | Path] = [self.python, "-m", "benchmarks.peers.inside.temporal_worker", f"127.0.0.1:{port}"]
        with started(server, log=log) as servers:
            _wait(lambda: listens(port) and self._ready(port), READY_S_MAX, log)
            with started(*[worker] * WORKERS, log=log, environ=environ) as workers:
                self._client(port, "send", warm, concurrency)
                _wait(lambda: tally.stat().st_size >= work.warm_events, DONE_S_MAX, log)
                before = self._client(port, "count", warm, QUERIES)
                used = cpu_s([*servers, *workers])
                sent = self._client(port, "send", events, concurrency)
                _wait(lambda: tally.stat().st_size >= work.warm_events + work.events, DONE_S_MAX, log)
                wall_s, spent = time.monotonic() - sent["begun_s"], cpu_s([*servers, *workers]) - used
                (folder / "all.ndjson").write_bytes(warm.read_bytes() + events.read_bytes())
                after = self._client(port, "count", folder / "all.ndjson", QUERIES)
        grew = {name: after[name] - before[name] for name in after}
        return Figures(work.events, wall_s, spent, Counts(int(sent["accepted"]), grew["repeated"], grew["entered"], grew["told"]))

    def _ready(self, port: int) -> bool:
        """Whether the server serves: it listens a while before its namespace is there."""
        command = [str(self.python.with_name("temporal")), "workflow", "count", "--address", f"127.0.0.1:{port}"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _client(self, port: int, verb: str, file: Path, concurrency: int) -> Any:
        command = [str(self.python), "-m", "benchmarks.peers.inside.temporal_client", f"127.0.0.1:{port}", verb, str(file), str(concurrency)]
        done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"temporal's client failed to {verb}:\n{done.stderr[-4000:]}")
        return msgspec.json.decode(done.stdout)


PEERS = [Temporal()]


def _wait(is_there: Callable[[], bool], seconds_max: float, log: Path) -> None:
    deadline = time.monotonic() + seconds_max
    while not is_there():
        if time.monotonic() > deadline:
            raise RuntimeError(f"temporal did not do its part within {seconds_max} s:\n{log.read_text(errors='replace')[-4000:]}")
        time.sleep(0.01)
