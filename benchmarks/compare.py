"""Every figure of two result files side by side, with its spread, and whether the difference is more than chance.

The rule: of at least RUNS_MIN runs each, the ranges do not overlap. If nothing had changed, two times five runs would lie apart like that once in 126 figures,
so of many figures one may do so by chance. It holds for runs that do not depend on one another: a machine that became slower between the files
shifts all runs of one, and only runs in turns (as ratios are taken) are safe from that. Fewer runs, or one figure without a spread, say nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from rich.markup import escape
from rich.table import Table

from benchmarks import figures
from benchmarks.figures import Figure, shown

RUNS_MIN = 5
BETTER, WORSE, OTHER = "better", "worse", "different"
WITHIN, FEW, SAME = "within the spread", "too few runs to say", "the same"
STYLES = {BETTER: "green", WORSE: "red", OTHER: "yellow"}


class Spread(msgspec.Struct, frozen=True):
    """A figure in one of the files."""

    least: float
    median: float
    most: float
    runs: int

    def __str__(self) -> str:
        return shown(self.median) + (f" ({shown(self.least)} to {shown(self.most)})" if self.runs > 1 else "")


class Difference(msgspec.Struct, frozen=True):
    """A figure in both files. `percent` is of the medians, None where the old one is 0; `verdict` is one of the words above."""

    suite: str
    figure: str
    unit: str
    old: Spread
    new: Spread
    percent: float | None
    verdict: str


class Comparison(msgspec.Struct, frozen=True):
    """Two result files: what makes them hard to compare, what differs, and what only one of them has."""

    warnings: list[str]
    differences: list[Difference]
    only_old: list[str]
    only_new: list[str]


def compare(old: dict[str, Any], new: dict[str, Any]) -> Comparison:
    """Compare two result files (as report.read gives them). Results stand beside each other by suite and label, figures by their path."""
    before, after = dict(_figures(old)), dict(_figures(new))
    both = [key for key in before if key in after]
    return Comparison(
        list(_warnings(old, new)),
        [_difference(key[0], before[key], after[key]) for key in both],
        [_said(key[0], figure) for key, figure in before.items() if key not in after],
        [_said(key[0], figure) for key, figure in after.items() if key not in before],
    )


def verdict(old: Figure, new: Figure) -> str:
    """Better, worse (or different, where neither is plain), if the ranges of enough runs do not overlap."""
    if (old.least, old.median, old.most) == (new.least, new.median, new.most):
        return SAME
    if min(old.runs, new.runs) < RUNS_MIN:
        return FEW
    if old.least <= new.most and new.least <= old.most:
        return WITHIN
    if new.more_is_better is None:
        return OTHER
    return BETTER if (new.median > old.median) == new.more_is_better else WORSE


def table(found: Comparison) -> Table:
    """What differs, a row each; figures that are the same in both are counted only."""
    shown_table = Table("suite", "figure", "unit", "old", "new", "difference", "verdict", title="medians (least to most)")
    for column in shown_table.columns:
        column.overflow = "fold"
        column.justify = "right" if column.header in ("old", "new", "difference") else "left"
    for each in found.differences:
        if each.verdict != SAME:
            percent = "" if each.percent is None else f"{each.percent:+.1f} %"
            row = [each.suite, each.figure, each.unit, str(each.old), str(each.new), percent, each.verdict]
            shown_table.add_row(*map(escape, row), style=STYLES.get(each.verdict))
    same = sum(each.verdict == SAME for each in found.differences)
    apart = sum(each.verdict in STYLES for each in found.differences)
    caption = [f"{same} figures are the same in both.", f"Outside of the spread (ranges of {RUNS_MIN} or more runs do not overlap): {apart}."]
    caption += [f"Only in the {which} file: {len(names)}." for which, names in (("old", found.only_old), ("new", found.only_new)) if names]
    shown_table.caption = escape(" ".join(caption))
    return shown_table


def _figures(result: dict[str, Any]) -> Iterator[tuple[tuple[str, figures.Path], Figure]]:
    """Every figure by the name of its result and its path."""
    for each in result["results"]:
        yield from (((_name(each), path), figure) for path, figure in figures.figures(each).items())


def _name(result: dict[str, Any]) -> str:
    return ", ".join(part for part in (str(result.get("suite", "")), figures.label(result)) if part)


def _difference(suite: str, old: Figure, new: Figure) -> Difference:
    percent = round((new.median / old.median - 1) * 100, 2) if old.median else None
    return Difference(suite, old.name, old.unit, _spread(old), _spread(new), percent, verdict(old, new))


def _spread(figure: Figure) -> Spread:
    return Spread(figure.least, figure.median, figure.most, figure.runs)


def _said(suite: str, figure: Figure) -> str:
    return f"{suite}: {figure.name}"


def _warnings(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """What makes the two hard to compare."""
    for name, one, other in _differing(old.get("machine", {}), new.get("machine", {})):
        yield f"The machines differ: {name} {one} and {other}."
    for name, one, other in _differing(old.get("versions", {}), new.get("versions", {})):
        yield f"The versions differ: {name} {one} and {other}."
    if "settings" in old and "settings" in new:
        for name, one, other in _differing(old["settings"], new["settings"]):
            yield f"The settings differ: {name} {one} and {other}."
    for which, result in (("old", old), ("new", new)):
        if str(result.get("commit", "")).endswith("+changes"):
            yield f"The {which} run is of a tree that was not clean ({result['commit']}), so nobody can repeat it."
        if wrong := [str(each.get("suite")) for each in result["results"] if not each.get("holds")]:
            yield f"The {which} run has wrong counts ({', '.join(wrong)}): its figures are worth nothing."
    sizes = {_name(each): each.get("size") for each in old["results"]}
    for each in new["results"]:
        if sizes.get(_name(each), each.get("size")) != each.get("size"):
            yield f"The sizes differ: {_name(each)} {sizes[_name(each)]} and {each.get('size')}."


def _differing(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            yield name, old.get(name, "none"), new.get(name, "none")
