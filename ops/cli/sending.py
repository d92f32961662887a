"""`wayfare send`: a file of events, one JSON object a line, in batches; goes on where it was interrupted.

Each batch carries an idempotency key made of its place and its bytes, and the place behind the last accepted batch is kept in a file beside
the events. So a batch whose answer was lost, or that was sent before this program was killed, is not applied twice.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec

from ops.cli.client import Client, Refused, Unreachable
from ops.cli.options import connected, print_json, printing

BATCH_EVENTS = 1_000
BATCH_BYTES = 4 * 1024 * 1024
HEAD_BYTES = 4096
AWAY_S_MAX = 60.0  # how long nobody may answer, before it is given up
AGAIN = ("busy:", "unknown:", "unavailable:")  # how the reasons of items begin that are good, and only came at a bad time


class Batch(NamedTuple):
    """Some lines of the file: where they begin and end in bytes, and the number of the first, from 1."""

    begin: int
    end: int
    first_line: int
    lines: list[bytes]

    def key(self) -> str:
        """The same whenever the same lines of the same place are sent."""
        return _digest(b"%d\n" % self.begin + b"\n".join(self.lines))


class Progress(msgspec.Struct):
    """What the file beside the events holds. The digest of the first `head` bytes tells which file it belongs to."""

    head: int = 0
    begins: str = ""
    place: int = 0
    line: int = 1
    accepted: int = 0
    rejected: int = 0


@click.command(help="Send events from a file, one JSON object a line; interrupted, it goes on where it was.")
@click.argument("events", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--again", is_flag=True, help="Begin at the beginning, whatever was sent before.")
@printing
@connected
def send(*, events: Path, again: bool, as_json: bool, client: Client) -> None:
    """Send the file; exit status 1 where lines were rejected."""
    kept = events.with_name(f"{events.name}.sent")
    if again:
        kept.unlink(missing_ok=True)
    progress = _read_progress(kept, events)
    with _bar(events.stat().st_size, quiet=as_json) as advance:
        advance(progress.place)
        for batch in batches(events, progress.place, progress.line):
            accepted, rejected = deliver(client, batch)
            for line, why in rejected:
                click.echo(f"{events}:{line}: {why}", err=True)
            progress.accepted += accepted
            progress.rejected += len(rejected)
            progress.place, progress.line = batch.end, batch.first_line + len(batch.lines)
            kept.write_bytes(msgspec.json.encode(progress))
            advance(batch.end - batch.begin)
    if as_json:
        print_json({"accepted": progress.accepted, "rejected": progress.rejected})
    else:
        click.echo(f"{progress.accepted} accepted, {progress.rejected} rejected")
    sys.exit(1 if progress.rejected else 0)


def batches(events: Path, place: int, line: int) -> Iterator[Batch]:
    """The file from a place on; empty lines are counted and left in, for the gateway passes over them."""
    with events.open("rb") as file:
        file.seek(place)
        lines: list[bytes] = []
        begin = place
        for raw in file:
            lines.append(raw.rstrip(b"\r\n"))
            place += len(raw)
            if len(lines) >= BATCH_EVENTS or place - begin >= BATCH_BYTES:
                yield Batch(begin, place, line, lines)
                begin, line, lines = place, line + len(lines), []
        if lines:
            yield Batch(begin, place, line, lines)


def deliver(client: Client, batch: Batch, sleep: Callable[[float], None] = time.sleep) -> tuple[int, list[tuple[int, str]]]:
    """Send until everything is accepted or rejected for good: (accepted, [(line, why)])."""
    accepted, rejected = 0, []
    left = [(batch.first_line + index, line) for index, line in enumerate(batch.lines) if line.strip()]
    key = batch.key()
    while left:
        answer = _post(client, [line for _, line in left], key, sleep)
        accepted += answer.get("accepted", 0)
        late = []
        for item in answer.get("rejected", ()):
            line, why = left[item["index"]], item["error"]
            if why.startswith(AGAIN):
                late.append(line)
            else:
                rejected.append((line[0], why))
        left, key = late, _digest(key.encode())
        if left:
            sleep(1.0)
    return accepted, rejected


def _post(client: Client, lines: list[bytes], key: str, sleep: Callable[[float], None]) -> dict[str, Any]:
    """One request, repeated with the same key while the deployment is busy, away, or its answer is lost."""
    body = b"\n".join(lines)
    away_s, wait_s = 0.0, 0.5
    while True:
        try:
            answer: dict[str, Any] = client.send("POST", "/v1/events", body, {"Content-Type": "application/x-ndjson", "Idempotency-Key": key})[1]
            return answer
        except Refused as refused:
            if refused.status == 422:
                return dict(refused.problem)
            if refused.status not in (409, 429, 503):
                raise
            sleep(refused.retry_after_s)
        except Unreachable:
            if away_s >= AWAY_S_MAX:
                raise
            sleep(wait_s)
            away_s, wait_s = away_s + wait_s, min(5.0, wait_s * 2)


def _read_progress(kept: Path, events: Path) -> Progress:
    """Where to go on; from the beginning where the file is another one now. A file that grew is the same one."""
    with events.open("rb") as file:
        head = file.read(HEAD_BYTES)
    try:
        progress = msgspec.json.decode(kept.read_bytes(), type=Progress)
    except (FileNotFoundError, msgspec.DecodeError):
        progress = Progress()
    same = progress.head and progress.begins == _digest(head[: progress.head]) and progress.place <= events.stat().st_size
    if not same:
        return Progress(len(head), _digest(head))
    if progress.place:
        click.echo(f"going on behind line {progress.line - 1}; `--again` begins anew", err=True)
    return progress


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()


class _bar:  # noqa: N801 - used like a function
    """A progress bar over bytes on standard error; nothing where that is no terminal."""

    def __init__(self, total: int, *, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("sending"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        console = Console(stderr=True)
        self._progress = Progress(*columns, console=console, disable=quiet or not console.is_terminal)
        self._task = self._progress.add_task("sending", total=total)

    def __enter__(self) -> Callable[[int], None]:
        self._progress.start()
        return lambda count: self._progress.update(self._task, advance=count)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
