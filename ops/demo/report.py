"""The demo's summary on the console, and the same as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from statistics import quantiles

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.deployment import Metrics
from ops.demo.checks import Outcome
from ops.demo.view import Moment

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 0.5rem 0 1.5rem; } th, td { text-align: left; padding: 0.2rem 1.2rem 0.2rem 0; border-bottom: 1px solid #ddd; }
td.n { text-align: right; font-variant-numeric: tabular-nums; } .bad { color: #b00020; font-weight: 600; } svg { width: 100%; height: auto; }
"""
WIDTH, HEIGHT = 900, 180
ENROLLED = ("entered", "active", "resting", "exited", "removed", "replaced")  # nobody merges or erases contacts here


class Summary(msgspec.Struct, frozen=True):
    """The figures that head the summary, as they are shown, and what they were taken from."""

    rows: list[tuple[str, str]]
    outcome: Outcome
    moments: list[Moment]
    pace: str


def percentile(latencies_ms: Sequence[float], percent: int) -> float:
    """A percentile of latencies; 0 where there are fewer than two."""
    return quantiles(latencies_ms, n=100, method="inclusive")[percent - 1] if len(latencies_ms) > 1 else 0.0


def bucket_of(metrics: Metrics, name: str, share: float) -> str:
    """Below what a share of a histogram's observations lies, as exactly as its buckets tell: `< 50 ms`."""
    buckets = sorted((float(bound), count) for bound, count in metrics.by(f"{name}_bucket", "le").items())
    if not buckets or not buckets[-1][1]:
        return "none"
    bound = next(bound for bound, count in buckets if count >= share * buckets[-1][1])
    return "more than measured" if bound == float("inf") else f"< {bound * 1000:g} ms"


def show(console: Console, summary: Summary) -> None:
    """Print the summary."""
    console.print(f"[dim]{summary.pace}[/dim]", highlight=False)
    for title, heads, rows in _tables(summary):
        table = Table(*heads, title=title, title_justify="left")
        for column in table.columns[1:]:
            column.justify = "right"
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for check in summary.outcome.checks:
        if not check.holds:
            console.print(f"[bold red]does not hold:[/bold red] {check.says}: {check.found} instead of {check.wanted}", highlight=False)
    held = sum(check.holds for check in summary.outcome.checks)
    console.print(f"[bold]{held} of {len(summary.outcome.checks)} checks hold[/bold]", highlight=False)


def write(file: Path, summary: Summary) -> None:
    """Write the report."""
    parts = [f"<!doctype html><html lang=en><meta charset=utf-8><title>Wayfare demo</title><style>{STYLE}</style><h1>Wayfare: the demo</h1>"]
    parts.append(f"<p>{escape(summary.pace)}</p>")
    parts.append(_chart("events sent, per second", summary.moments, lambda moment: moment.sent, "#1a6"))
    parts.append(_chart("messages received by the sinks, per second", summary.moments, lambda moment: moment.messages, "#15c"))
    parts += [_html_table(*table) for table in _tables(summary)]
    rows = [(check.says, f"{check.wanted}", f"{check.found}", "holds" if check.holds else "does not hold") for check in summary.outcome.checks]
    parts.append(_html_table("Checks", ("what", "should be", "was", ""), rows))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(parts), encoding="utf-8")


def _tables(summary: Summary) -> list[tuple[str, Sequence[str], list[tuple[str, ...]]]]:
    """Title, heads and rows of each table."""
    outcome = summary.outcome
    maps = [(name, *(f"{found['conservation'].get(what, 0):,}" for what in ENROLLED), f"{found['suppressed']:,}") for name, found in outcome.maps.items()]
    ends = ("decided", "delivered", "withdrawn", "suppressed", "rejected", "dead", "unknown")
    channels = [(name, *(f"{found.get(end, 0):,}" for end in ends)) for name, found in outcome.channels.items()]
    return [
        ("The run", ("", ""), [*summary.rows]),
        ("Messages that the sinks counted", ("kind", "messages"), [(kind, f"{count:,}") for kind, count in sorted(outcome.kinds.items())]),
        ("Enrollments, and sends suppressed for want of consent", ("map", *ENROLLED, "suppressed"), maps),
        ("Effects", ("channel", *ends), channels),
    ]


def _html_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}" for name in heads)
    lines = []
    for first, *rest in rows:
        bad = " class=bad" if rest and rest[-1] == "does not hold" else ""
        lines.append(f"<tr{bad}><td>{escape(first)}" + "".join(f"<td class=n>{escape(cell)}" for cell in rest))
    return f"<h2>{escape(title)}</h2><table><tr>{head}{''.join(lines)}</table>"


def _chart(title: str, moments: Sequence[Moment], count: Callable[[Moment], int], colour: str) -> str:
    """Rates over time, from one second to the next, as a line."""
    points, earlier = [(0.0, 0.0)], None
    for moment in moments:
        if earlier is None:
            earlier = moment
        elif moment.at_s - earlier.at_s >= 1:
            points.append((moment.at_s, (count(moment) - count(earlier)) / (moment.at_s - earlier.at_s)))
            earlier = moment
    end_s, most = max(points[-1][0], 1), max(1, *(rate for _, rate in points))
    line = " ".join(f"{at / end_s * WIDTH:.1f},{HEIGHT - rate / most * (HEIGHT - 20):.1f}" for at, rate in points)
    return (
        f"<h2>{escape(title)}</h2><svg viewBox='0 0 {WIDTH} {HEIGHT + 20}' role=img aria-label='{escape(title)}'>"
        f"<polyline fill=none stroke='{colour}' stroke-width=2 points='{line}'/><path d='M0 {HEIGHT}H{WIDTH}' stroke='#999'/>"
        f"<text x=0 y=14 font-size=13 fill='#444'>{most:,.0f}/s</text><text x={WIDTH - 40} y={HEIGHT + 16} font-size=13 fill='#444'>{end_s:.0f} s</text></svg>"
    )
