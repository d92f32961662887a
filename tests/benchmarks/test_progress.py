"""The bar in a terminal, the lines elsewhere, and the estimate of both."""

import io

import pytest
from rich.console import Console

from benchmarks.progress import Steps, span


class Clock:
    """Time that passes when it is told."""

    def __init__(self):
        self.s = 0.0

    def __call__(self):
        return self.s


def run(terminal, steps=4):
    screen, clock = io.StringIO(), Clock()
    with Steps("skew", steps, Console(file=screen, width=100, force_terminal=terminal), clock) as progress:
        for number in range(steps):
            clock.s += 30
            progress.say(f"run {number} [of] {steps}")
    return screen.getvalue()


def test_elsewhere_there_are_lines_and_no_bar():
    lines = run(terminal=False).splitlines()
    assert lines == [
        "30 s, about 1 min 30 s left  run 0 [of] 4",
        "1 min 00 s, about 1 min 00 s left  run 1 [of] 4",
        "1 min 30 s, about 30 s left  run 2 [of] 4",
        "2 min 00 s, about 0 s left  run 3 [of] 4",
    ]


def test_in_a_terminal_a_bar_stays_below_the_lines():
    screen = run(terminal=True)
    assert "━" in screen
    assert "4/4" in screen
    assert all(f"run {number} [of] 4" in screen for number in range(4))
    assert screen.rindex("4/4") > screen.rindex("run 3 [of] 4")


def test_the_estimate_counts_down_between_steps_and_never_below_nothing():
    clock = Clock()
    progress = Steps("soak", 3, Console(file=io.StringIO()), clock)
    assert progress.left_s() is None
    clock.s = 10
    progress.say("one")
    assert progress.left_s() == 20
    clock.s = 14
    assert progress.left_s() == 16
    clock.s = 100
    assert progress.left_s() == 0


def test_a_suite_may_say_more_than_it_promised():
    progress = Steps("ingest", 1, Console(file=io.StringIO()), Clock())
    for line in ("one", "two", "three"):
        progress.say(line)
    assert progress.left_s() == 0


def test_the_bar_is_taken_away_by_an_error():
    screen = io.StringIO()
    with pytest.raises(RuntimeError), Steps("fanout", 2, Console(file=screen, force_terminal=True)):
        raise RuntimeError
    assert screen.getvalue().endswith("\x1b[?25h")  # the cursor is there again


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7_800, "2 h 10 min")])
def test_spans(seconds, words):
    assert span(seconds) == words
