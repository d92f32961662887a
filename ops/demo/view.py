"""What the demo shows while it runs: a live table on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

LINE_EVERY_S = 2


class Moment(msgspec.Struct, frozen=True):
    """How things stood, `at_s` seconds after the first purchase was sent."""

    at_s: float
    day: str
    sent: int
    lag: int
    unsettled: int
    waiting: int  # contacts whose clock runs
    kinds: dict[str, int]

    @property
    def messages(self) -> int:
        return sum(self.kinds.values())


class View:
    """Shows moments. Keeps them all, for the report."""

    def __init__(self, console: Console, events: int) -> None:
        self._console, self._events = console, events
        self._live = Live(console=console, refresh_per_second=8, transient=True) if console.is_terminal else None
        self._line_at_s = 0.0
        self.moments: list[Moment] = []

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def show(self, moment: Moment) -> None:
        """Show how things stand."""
        self.moments.append(moment)
        if self._live:
            self._live.update(self._picture(moment))
        elif time.monotonic() >= self._line_at_s:
            self._line_at_s = time.monotonic() + LINE_EVERY_S
            self._console.print(
                f"{moment.day}  {moment.sent:,} of {self._events:,} events, {moment.messages:,} messages, lag {moment.lag:,}, outbox {moment.unsettled:,}, "
                f"{moment.waiting:,} contacts wait",
                highlight=False,
            )

    def _picture(self, moment: Moment) -> Group:
        earlier = next((each for each in reversed(self.moments) if moment.at_s - each.at_s >= 1), self.moments[0])
        seconds = max(moment.at_s - earlier.at_s, 0.001)
        table = Table(box=None, show_header=False, padding=(0, 2))
        table.add_column(width=24)
        table.add_column(justify="right", width=12)
        table.add_column(justify="right", style="dim", width=14)
        rows: list[tuple[str, Any, str]] = [
            ("events sent", f"{moment.sent:,}", f"{(moment.sent - earlier.sent) / seconds:,.0f}/s"),
            ("messages received", f"{moment.messages:,}", f"{(moment.messages - earlier.messages) / seconds:,.0f}/s"),
            *((f"  {kind}", f"{count:,}", "") for kind, count in sorted(moment.kinds.items())),
            ("records not committed", f"{moment.lag:,}", ""),
            ("effects not settled", f"{moment.unsettled:,}", ""),
            ("contacts waiting", f"{moment.waiting:,}", ""),
        ]
        for row in rows:
            table.add_row(*row)
        return Group(Text(moment.day, style="bold"), Padding(ProgressBar(self._events, moment.sent, width=54), 0), table)
