"""`wayfare bench [SUITE]`: run a suite, write its results as JSON with machine, versions and commit, print a table."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks import canonical, machine

SUITES = {"canonical": canonical}
RESULTS = Path(__file__).parent / "results"


def run(suite: str = "canonical", *, small: bool = False, results: Path | None = None, console: Console | None = None) -> int:
    """Run a suite; 0 if every count was right, else 1. A small run measures nothing worth keeping and writes only where it is told."""
    console = console or Console()
    size = canonical.SMALL if small else canonical.FULL
    begun = time.monotonic()
    steps, done = (size.runs + 1) * len(size.durabilities), 0

    def say(line: str) -> None:
        nonlocal done
        done += 1
        left_s = (time.monotonic() - begun) / done * (steps - done)
        console.print(f"[dim]{time.monotonic() - begun:5.0f} s, about {left_s:.0f} s left[/dim]  {line}", highlight=False)

    console.print(f"{suite}: {size.runs} runs of {size.events:,} events for each of {', '.join(size.durabilities)}", highlight=False)
    with tempfile.TemporaryDirectory(prefix="wayfare-bench-") as folder:
        found = SUITES[suite].run(size, Path(folder), say)
    result = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **machine.describe(), "results": found}
    if results or not small:
        console.print(f"written: {_write(result, suite, results or RESULTS)}", highlight=False)
    console.print(_table(found))
    return 0 if all(each["holds"] for each in found) else 1


def _write(result: dict[str, Any], suite: str, folder: Path) -> Path:
    """Write a result under its time and suite."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{result['at'][:19].replace(':', '').replace('-', '')}-{suite}.json"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    return file


def _table(found: list[dict[str, Any]]) -> Table:
    """The medians, one column per durability."""
    table = Table("median", *(each["durability"] for each in found), title="canonical workload")
    rows: dict[str, list[str]] = {
        "events/s accepted": [f"{each['medians']['accepted_per_s']:,.0f}" for each in found],
        "events/s committed": [f"{each['medians']['committed_per_s']:,.0f}" for each in found],
        "effects/s delivered": [f"{each['medians']['effects_per_s']:,.0f}" for each in found],
        "p50, p99 from acceptance to commit": [f"{each['latency']['p50_ms']} ms, {each['latency']['p99_ms']} ms" for each in found],
        "  at events/s": [f"{each['latency']['events_per_s']:,.0f}" for each in found],
        "bytes per resident contact": [f"{each['bytes_per_resident_contact']}" for each in found],
        "all counts right": ["yes" if each["holds"] else "NO" for each in found],
    }
    for role in found[0]["medians"]["cpu_us_per_event"]:
        rows[f"CPU µs per event: {role}"] = [f"{each['medians']['cpu_us_per_event'][role]:.2f}" for each in found]
    for name, cells in rows.items():
        table.add_row(name, *cells)
    return table
