"""`wayfare demo`: real purchases through a whole deployment, into sinks that count, and a summary that says whether it adds up.

Whatever happens, all that was started is ended and the data folder is removed; the report stays.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.deployment import Api, Deployment, Metrics, Sinks, lag_of, scrapes, unsettled_of, wait_until_settled
from engine.workspace_folder import read_workspace
from ops.demo import checks, report
from ops.demo.replay import Replay, adapted, part_of, read_orders, truth_of
from ops.demo.view import Moment, View

WORKSPACE = Path(__file__).parent / "workspace"
REPORT = Path("var/demo-report.html")
DAY_MS = 50
LOOK_S = 0.25
WATCH_S_MAX = 240
SETTLE_S_MAX = 120
WIDTH = 120  # where there is no terminal to ask


def run(report_file: Path = REPORT, day_ms: int = DAY_MS, console: Console | None = None, *, customers: int | None = None, days: int | None = None) -> int:
    """Run the demo, or a part of it: the first `customers`, the first `days`. 0 if every check holds, else 1."""
    console = console or Console(width=None if sys.stdout.isatty() else WIDTH)
    begun = time.monotonic()
    orders = part_of(read_orders(), customers, days)
    truth = truth_of(orders)
    pace = f"One day of 1997 lasts {day_ms} ms: {len(orders):,} purchases are sent in the order of their dates, and the maps' waits are as much shorter."
    console.print(f"[bold]Wayfare demo.[/bold] {pace}", highlight=False)
    with tempfile.TemporaryDirectory(prefix="wayfare-demo-") as folder, Sinks() as sinks:
        console.print("starting the engine: embedded Valkey, local Ray, gateway, shards, pools …", highlight=False)
        with Deployment(Path(folder) / "data") as deployment, closing(Api(deployment.url, deployment.key)) as api:
            ready_s = time.monotonic() - begun
            documents = workspace_for(sinks, day_ms)
            deployment.publish(documents)
            maps = [document["map"] for document in documents["maps"]]
            console.print(f"ready on {deployment.url} after {ready_s:.1f} s; published the maps {', '.join(maps)}", highlight=False)
            replay = Replay(api, orders, day_ms)
            replay.introduce()
            console.print(f"{replay.contacts:,} contacts are known; now their purchases", highlight=False)
            with View(console, len(orders)) as view:
                _watch(deployment, sinks, replay, view)
            replay.repeat()
            metrics = wait_until_settled(deployment, SETTLE_S_MAX)
            outcome = checks.judge(deployment, sinks, replay, truth, maps)
            console.print("stopping", highlight=False)
    rows = [*_figures(replay, view, metrics), ("whole demo", f"{time.monotonic() - begun:.1f} s, of which {ready_s:.1f} s until ready")]
    summary = report.Summary(rows, outcome, view.moments, pace)
    report.write(report_file, summary)
    report.show(console, summary)
    console.print(f"report: {report_file}", highlight=False)
    return 0 if outcome.holds else 1


def workspace_for(sinks: Sinks, day_ms: int) -> dict[str, Any]:
    """The demo's workspace with the sinks' ports and the demo's pace in it."""
    documents: dict[str, Any] = adapted(read_workspace(WORKSPACE), day_ms, sinks.url)
    documents["providers"]["email"]["port"] = sinks.smtp_port
    return documents


def _watch(deployment: Deployment, sinks: Sinks, replay: Replay, view: View) -> None:
    """Show the replay, and after its end the silence, until no contact waits for a time any more and nothing is under way."""
    done: Future[None] = Future()
    threading.Thread(target=_send, args=(replay, done), daemon=True).start()
    begun = time.monotonic()
    for metrics in scrapes(deployment, LOOK_S, WATCH_S_MAX):
        moment = _moment(time.monotonic() - begun, metrics, sinks, replay)
        view.show(moment)
        if done.done() and moment.lag == moment.unsettled == moment.waiting == 0:
            break
        if done.done() and done.exception():
            break
    done.result()


def _send(replay: Replay, done: Future[None]) -> None:
    try:
        replay.run()
    except BaseException as error:  # noqa: BLE001 - the watching thread raises it
        done.set_exception(error)
    else:
        done.set_result(None)


def _moment(at_s: float, metrics: Metrics, sinks: Sinks, replay: Replay) -> Moment:
    return Moment(
        at_s=at_s,
        day=replay.day.isoformat() if not replay.ended_s else "silence",
        sent=replay.events,
        lag=lag_of(metrics),
        unsettled=unsettled_of(metrics),
        waiting=int(metrics.total("wayfare_timers_pending")),
        kinds=sinks.counts()["kinds"],
    )


def _figures(replay: Replay, view: View, metrics: Metrics) -> list[tuple[str, str]]:
    """The figures that head the summary."""
    seconds = replay.ended_s - replay.begun_s
    messages, last = view.moments[-1].messages, view.moments[-1].at_s
    return [
        ("contacts", f"{replay.contacts:,}"),
        ("events", f"{replay.events:,} in {seconds:.1f} s, {replay.events / seconds:,.0f}/s on average, as the dates have it"),
        ("messages", f"{messages:,} in {last:.1f} s, {messages / last:,.0f}/s on average"),
        ("a request's 202", f"p50 {report.percentile(replay.latencies_ms, 50):.1f} ms, p99 {report.percentile(replay.latencies_ms, 99):.1f} ms"),
        ("from decision to dispatch", f"p50 {_dispatch(metrics, 0.5)}, p99 {_dispatch(metrics, 0.99)}"),
    ]


def _dispatch(metrics: Metrics, share: float) -> str:
    return report.bucket_of(metrics, "wayfare_trigger_to_dispatch_seconds", share)
