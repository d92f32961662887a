"""`wayfare bench [SUITE]`: run a suite, write its results as JSON with machine, versions and commit, print a table."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from benchmarks import backlog, canonical, checkpoint, fanout, growth, ingest, k6, latency, machine, recover, report, sending, skew, soak, timers
from benchmarks.peers import main as peers
from benchmarks.progress import Steps

SUITES: dict[str, Any] = {
    "canonical": canonical,
    "sending": sending,
    "peers": peers,
    "checkpoint": checkpoint,
    "soak": soak,
    "ingest": ingest,
    "skew": skew,
    "growth": growth,
    "timers": timers,
    "k6": k6,
    "fanout": fanout,
    "recover": recover,
    "backlog": backlog,
    "latency": latency,
}
"""Each has sizes FULL and SMALL, `steps(size)`, `run(size, folder, say)` and `table(found)`."""
RESULTS = Path(__file__).parent / "results"


def run(suite: str = "canonical", *, small: bool = False, results: Path | None = None, console: Console | None = None) -> int:
    """Run a suite; 0 if every count was right, else 1. A small run measures nothing worth keeping and writes only where it is told."""
    console = console or Console()
    module = SUITES[suite]
    size = module.SMALL if small else module.FULL
    console.print(f"{suite}: {', '.join(f'{name} {value}' for name, value in msgspec.to_builtins(size).items())}", highlight=False)
    with tempfile.TemporaryDirectory(prefix="wayfare-bench-") as folder, Steps(suite, module.steps(size), console) as progress:
        found = module.run(size, Path(folder), progress.say)
    command = f"wayfare bench {suite}{' --small' * small}"
    result = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "command": command, **machine.describe(), "settings": machine.settings(), "results": found}
    if results or not small:
        for file in _keep(result, suite, results or RESULTS, small=small):
            console.print(f"written: {file}", highlight=False)
    console.print(module.table(found))
    return 0 if all(each["holds"] for each in found) else 1


def _keep(result: dict[str, Any], suite: str, folder: Path, *, small: bool) -> list[Path]:
    """Write a result under its time and suite, its report beside it, and the newest of every suite where a person looks for it.

    The report of a small run is made, so that it cannot rot, and not kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{result['at'][:19].replace(':', '').replace('-', '')}-{suite}.json"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    page = report.page({file.name: report.read(file)})
    if small:
        return [file]
    beside = file.with_suffix(".html")
    beside.write_text(page, encoding="utf-8")
    return [file, beside, report.write(report.FOUND_AT, report.newest(folder))]
