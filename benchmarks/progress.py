"""How far a suite is: in a terminal a bar that stays below the lines, elsewhere the lines alone, each with the time left.

The estimate is what the steps so far took, for those that are left; a suite of uneven steps corrects itself as it goes.
The bar is drawn once a second: drawing costs CPU time (about a millisecond) on a machine that is being measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

DRAWN_PER_S = 1


class Steps:
    """A suite's steps, used as a context: `say` ends one step and prints its line."""

    def __init__(self, name: str, steps: int, console: Console, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._console = now, console
        self._begun_s = self._last_s = now()
        self._steps, self._done = max(1, steps), 0
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn(), _Left(self))
        # Off a terminal rich would print the bar once at the end, after all lines; there it has nothing to tell.
        self._bar = Progress(*columns, console=console, refresh_per_second=DRAWN_PER_S, disable=not console.is_terminal, expand=True)
        self._task = self._bar.add_task(escape(name), total=self._steps)

    def say(self, line: str) -> None:
        """A step is done; a suite that says more lines than it promised has simply no time left."""
        self._done += 1
        self._steps = max(self._steps, self._done)
        self._last_s = self._now()
        self._bar.update(self._task, completed=self._done, total=self._steps)
        self._console.print(f"[dim]{self.words()}[/dim]  {escape(line)}", highlight=False)

    def left_s(self) -> float | None:
        """Seconds that the rest will take by what the steps so far took; None before the first one is done."""
        if not self._done:
            return None
        per_step_s = (self._last_s - self._begun_s) / self._done
        return max(0.0, per_step_s * (self._steps - self._done) - (self._now() - self._last_s))

    def words(self) -> str:
        """Time gone and time left."""
        gone_s, left_s = self._now() - self._begun_s, self.left_s()
        return f"{span(gone_s)}, {'no estimate yet' if left_s is None else f'about {span(left_s)} left'}"

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()


class _Left(ProgressColumn):
    """Time gone and left, beside the bar; rich's own estimate needs two steps and forgets those of more than half a minute ago."""

    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self._of = steps

    def render(self, task: Task) -> Text:
        return Text(self._of.words(), style="dim")


def span(seconds: float) -> str:
    """Seconds as a person says them: `42 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
