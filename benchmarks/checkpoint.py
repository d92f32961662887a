"""The checkpoint suite: what a commit costs by the number of records that it carries, in one process against a real Valkey.

Each batch size starts with an empty database, the contacts' addresses and a fifth of the events, unmeasured; then the rest of the canonical
workload is drained. A record's CPU in this process is split into its commit (packing and sending it, reading the answer) and all else (reading the log,
stepping, encoding checkpoints); the server's CPU is that of the whole process, from INFO. Bytes are what went over the socket while draining, and
what the AOF grew by. With `fsync` each commit waits for the disk, which is the wall time beside the CPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from benchmarks import workload
from benchmarks.client import Checks, all_right, in_words, percentiles
from benchmarks.in_process import InProcess, Server, addresses, events
from engine.core.records import Record

WARM_SHARE = 5  # one in this many events is drained before anything is measured


class Size(msgspec.Struct, frozen=True):
    """`events_max` in all of one batch size, and no more than `commits_max` commits."""

    batches: tuple[int, ...] = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000)
    events_max: int = 250_000
    commits_max: int = 10_000
    contacts: int = 20_000
    durabilities: tuple[str, ...] = ("fsync", "relaxed")


FULL = Size()
SMALL = Size(batches=(1, 50, 2_000), events_max=5_000, commits_max=250, contacts=500, durabilities=("relaxed",))


def steps(size: Size) -> int:
    """How many lines `run` will say."""
    return len(size.batches) * len(size.durabilities)


def run(size: Size, folder: Path, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """One result per durability, with the figures of each batch size."""
    results = []
    for durability in size.durabilities:
        with Server(folder / durability, durability) as server:
            figures = {}
            for batch in size.batches:
                figures[str(batch)] = _measure(size, server, batch)
                say(f"{durability}, {batch:,} records a commit: {_sentence(figures[str(batch)])}")
        holds = all(found["holds"] for found in figures.values())
        results.append({"suite": "checkpoint", "durability": durability, "size": msgspec.to_builtins(size), "figures": figures, "holds": holds})
    return results


def _measure(size: Size, server: Server, batch: int) -> dict[str, Any]:
    """One batch size on an empty database."""
    found = workload.make(batch, min(size.events_max, batch * size.commits_max), size.contacts)
    records, warm = events(found), found.expected.sent // WARM_SHARE
    with closing(InProcess(server, server.config.batch_records_max, fresh=True)) as process:
        process.append(addresses(size.contacts))
        process.drain()
    with closing(InProcess(server, batch, fresh=False)) as process:
        process.append(records[:warm])
        process.drain()
        figures = _drained(process, server, records[warm:], batch)
        counters = process.counters()
    checks: Checks = {
        "records applied": (found.expected.distinct + size.contacts + 1, counters["records"]),  # one publishes the map
        "duplicates found": (found.expected.sent - found.expected.distinct, counters["duplicates"]),
        "emails decided": (found.expected.emails, counters["fx:email:decided"]),
    }
    return {**figures, "checks": checks, "holds": all_right(checks)}


def _drained(process: InProcess, server: Server, records: list[Record], batch: int) -> dict[str, Any]:
    """Drain these records; what each of them cost."""
    process.append(records)
    commits, count = process.commits, len(records)
    commits.cpu_s, commits.walls_ms = 0.0, []
    before, began, used = server.settled(), time.perf_counter(), time.process_time()
    process.drain()
    wall_s, cpu_s, after = time.perf_counter() - began, time.process_time() - used, server.settled()

    def grew(*names: str) -> float:
        return sum(after[name] - before[name] for name in names)

    return {
        "batch": batch,
        "records": count,
        "commits": len(commits.walls_ms),
        "per_s": round(count / wall_s),
        "cpu_us_per_record": {
            "commit": round(commits.cpu_s / count * 1e6, 2),
            "read and step": round((cpu_s - commits.cpu_s) / count * 1e6, 2),
            "valkey": round(grew("used_cpu_user", "used_cpu_sys") / count * 1e6, 2),
        },
        "bytes_per_record": {"sent": round(grew("total_net_input_bytes") / count, 1), "aof": round(grew("aof_current_size") / count, 1)},
        "percentiles": percentiles(commits.walls_ms),
    }


def _sentence(found: dict[str, Any]) -> str:
    used = found["cpu_us_per_record"]
    return f"{sum(used.values()):.1f} µs a record, of which {used['valkey']:.1f} in the server, {in_words(found['checks'])}"


def table(found: list[dict[str, Any]]) -> Table:
    """A row per durability and batch size."""
    shown = Table(
        "records a commit", "records/s", "CPU µs: commit", "rest", "valkey", "bytes sent", "AOF", "p99 ms", title="cost of a record by the size of its commit"
    )
    for each in found:
        for batch, figures in each["figures"].items():
            used, size = figures["cpu_us_per_record"], figures["bytes_per_record"]
            cells = [f"{used[name]:.1f}" for name in ("commit", "read and step", "valkey")] + [f"{size['sent']:.0f}", f"{size['aof']:.0f}"]
            shown.add_row(f"{int(batch):,} {each['durability']}", f"{figures['per_s']:,}", *cells, f"{figures['percentiles']['99']:.2f}")
    shown.caption = "all counts right" if all(each["holds"] for each in found) else "COUNTS ARE WRONG"
    return shown
