"""Plots as inline SVG: lines, stacked bars, ranges. Pure: numbers in, text out; colours come from the page's style sheet.

Each plot brings the table of what it shows. A drawing is 480 units wide, so that its letters can be read on a phone and two stand side by side
on a screen; what tells lines apart is a dash as well as a colour.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import msgspec

from benchmarks.figures import shown

WIDTH, HEIGHT = 480, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 22, 14, 40
COLOURS = 10  # in the style sheet, for the parts of bars
LINES_MAX = 7  # of a plot; so many dashes can be told apart
LOG_FROM = 30  # a scale becomes logarithmic where its most is so many times its least
POINTS_MAX = 240  # of a line; beyond it, the least and the most of each slice are drawn
TABLE_ROWS_MAX = 40
BAR, ROW = 46, 46  # the height of a bar and of a range, with the words above it

Point = tuple[float, float]


class Plot(msgspec.Struct, frozen=True):
    """A drawing, what its colours mean, and its table."""

    title: str
    svg: str
    legend: list[str]
    heads: list[str]
    rows: list[list[str]]
    note: str = ""
    dashed: bool = False  # the legend shows lines, not areas


class Range(msgspec.Struct, frozen=True):
    """A figure of several runs: the runs where they are known, and what was promised."""

    name: str
    least: float
    median: float
    most: float
    values: Sequence[float] = ()
    target: float | None = None


class Scale:
    """Values to places along one side of a plot, linear or logarithmic, with round numbers as its marks."""

    def __init__(self, values: Sequence[float], begin: float, end: float, *, log: bool = False, zero: bool = True) -> None:
        self.log = log and min(values) > 0 and max(values) > LOG_FROM * min(values)
        least, most = min(values), max(values)
        if self.log:
            self.marks = _log_marks(least, most)
        else:
            self.marks = _marks(min(0.0, least) if zero else least, most)
        low, high = min(self.marks[0], least), max(self.marks[-1], most)
        self._low, self._span = self._of(low), (self._of(high) - self._of(low)) or 1
        self._begin, self._end = begin, end

    def _of(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def __call__(self, value: float) -> float:
        return self._begin + (self._of(value) - self._low) / self._span * (self._end - self._begin)


def lines(title: str, unit: str, across: str, found: Mapping[str, Sequence[Point]], *, log: bool = False, marks: Sequence[tuple[float, str]] = ()) -> Plot:
    """Lines over something that goes across (seconds, a load); `marks` are places across and their names, where those are not round numbers.

    Both sides are logarithmic where `log` is set and their numbers span more than LOG_FROM.
    """
    points = [point for line in found.values() for point in line]
    up = Scale([y for _, y in points], HEIGHT - BOTTOM, TOP, log=log)
    along = Scale([x for x, _ in points] + [x for x, _ in marks], LEFT, WIDTH - RIGHT, log=log and not marks, zero=not marks)
    parts = [_grid(up, along, list(marks) or [(x, brief(x)) for x in along.marks], across, unit)]
    for number, (name, line) in enumerate(found.items()):
        thin = thinned(line)
        places = " ".join(f"{along(x):.1f},{up(y):.1f}" for x, y in thin)
        parts.append(f'<polyline class="line l{number}" points="{places}"><title>{escape(name)}</title></polyline>')
        if len(thin) <= 24:
            parts += [_dot(along(x), up(y), number, f"{name}: {shown(y)} {unit} at {_mark(x, marks)}") for x, y in thin]
    heads, rows = _line_table(across, unit, found, marks)
    return Plot(title, _svg(title, HEIGHT, parts), list(found) if len(found) > 1 else [], heads, rows, dashed=True)


def stacked(title: str, unit: str, bars: Mapping[str, Mapping[str, float]]) -> Plot:
    """Horizontal bars made of parts, each with its sum; a part has the same colour in all of them."""
    names = list(dict.fromkeys(part for bar in bars.values() for part in bar))
    height = TOP + BAR * len(bars) + BOTTOM
    along = Scale([0.0, *(sum(bar.values()) for bar in bars.values())], 8, WIDTH - 66)
    parts = [_upright(along, TOP, height - BOTTOM, unit)]
    for number, (label, bar) in enumerate(bars.items()):
        top, at = TOP + BAR * number, 0.0
        parts.append(f'<text x="8" y="{top + 14}">{escape(label)}</text>')
        for part in names:
            value = bar.get(part, 0.0)
            left, right = along(at), along(at + value)
            at += value
            said = f"{label}, {part}: {shown(value)} {unit}"
            cell = f'<rect class="part c{names.index(part) % COLOURS}" x="{left:.1f}" y="{top + 20}" width="{max(0.0, right - left):.1f}" height="20">'
            parts.append(f"{cell}<title>{escape(said)}</title></rect>")
            if right - left > 32:
                parts.append(f'<text class="inside" x="{(left + right) / 2:.1f}" y="{top + 35}" text-anchor="middle">{value:.3g}</text>')
        parts.append(f'<text class="sum" x="{along(at) + 6:.1f}" y="{top + 35}">{at:.3g}</text>')
    rows = [[label, *(shown(bar[part]) if part in bar else "" for part in names), shown(round(sum(bar.values()), 2))] for label, bar in bars.items()]
    return Plot(title, _svg(title, height, parts), names, ["", *(f"{part}, {unit}" for part in names), "sum"], rows)


def ranges(title: str, unit: str, found: Sequence[Range], *, log: bool = False, zero: bool = True, note: str = "") -> Plot:
    """A row for each figure: from the least to the most, a stroke at the median, a dot for each run, a flag at the target."""
    height = TOP + ROW * len(found) + BOTTOM
    every = [value for each in found for value in (each.least, each.most, *([] if each.target is None else [each.target]))]
    along = Scale(every, 12, WIDTH - 24, log=log, zero=zero)
    parts = [_upright(along, TOP, height - BOTTOM, unit)]
    for number, each in enumerate(found):
        y = TOP + ROW * number + 32
        said = f"{each.name}: {shown(each.least)} to {shown(each.most)}, median {shown(each.median)} {unit}"
        parts.append(f'<text x="8" y="{y - 16}">{escape(each.name)}</text>')
        parts.append(f'<path class="range" d="M{along(each.least):.1f} {y}H{along(each.most):.1f}"><title>{escape(said)}</title></path>')
        parts += [_dot(along(value), y, 0, f"{each.name}: {shown(value)} {unit}") for value in each.values]
        parts.append(f'<path class="median" d="M{along(each.median):.1f} {y - 8}V{y + 8}"><title>{escape(said)}</title></path>')
        if each.target is not None:
            place = along(each.target)
            flag = f"M{place:.1f} {y + 10}V{y - 10}L{place + 7:.1f} {y - 6}L{place:.1f} {y - 2}"
            parts.append(f'<path class="target" d="{flag}"><title>target: {shown(each.target)} {escape(unit)}</title></path>')
    goals = any(each.target is not None for each in found)
    rows = [[each.name, *map(shown, (each.least, each.median, each.most)), *(["" if each.target is None else shown(each.target)] * goals)] for each in found]
    return Plot(title, _svg(title, height, parts), [], ["", "least", "median", "most", *(["target"] * goals)], rows, note)


def thinned(line: Sequence[Point]) -> list[Point]:
    """A line of at most POINTS_MAX points that keeps every spike: of each slice the least and the most, in their order."""
    if len(line) <= POINTS_MAX:
        return list(line)
    size = math.ceil(len(line) / (POINTS_MAX // 2))
    slices = [line[at : at + size] for at in range(0, len(line), size)]
    return [point for part in slices for point in sorted({min(part, key=lambda at: at[1]), max(part, key=lambda at: at[1])})]


def brief(value: float) -> str:
    """A number as an axis shows it: 250k, 1.5M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _marks(least: float, most: float) -> list[float]:
    """Three to seven round numbers that hold a range."""
    span = (most - least) or abs(most) or 1
    most = max(most, least + span)
    step = 10 ** math.floor(math.log10(span / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 5)
    first = math.floor(least / step)
    return [round(number * step, 12) for number in range(first, math.ceil(most / step - 1e-9) + 1)]


def _log_marks(least: float, most: float) -> list[float]:
    """Powers of ten that hold a range; with 2 and 5 between them where it is short, else with so few that they do not touch."""
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
    if high - low <= 2:
        found = [factor * 10.0**power for power in range(low, high + 1) for factor in (1, 2, 5)]
        return [value for value in found if least / 2.5 < value < most * 2.5] or [least, most]
    return [10.0**power for power in range(low, high + 1, math.ceil((high - low) / 7))]


def _grid(up: Scale, along: Scale, across: Sequence[tuple[float, str]], below: str, unit: str) -> str:
    """The lines behind a plot, their numbers, and what they count."""
    parts = [
        f'<path class="grid" d="M{LEFT} {up(y):.1f}H{WIDTH - RIGHT}"/><text x="{LEFT - 6}" y="{up(y) + 4:.1f}" text-anchor="end">{brief(y)}</text>'
        for y in up.marks
    ]
    for x, name in across:
        parts.append(
            f'<path class="tick" d="M{along(x):.1f} {HEIGHT - BOTTOM}v4"/><text x="{along(x):.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{escape(name)}</text>'
        )
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end" class="soft">{escape(below)}{", logarithmic" if along.log else ""}</text>')
    parts.append(f'<text x="0" y="{HEIGHT - 6}" class="soft">{escape(unit)}{", logarithmic" if up.log else ""}</text>')
    return "".join(parts)


def _upright(along: Scale, top: int, bottom: int, unit: str) -> str:
    """The same for plots whose rows have names."""
    parts = [
        f'<path class="grid" d="M{along(x):.1f} {top}V{bottom}"/><text x="{along(x):.1f}" y="{bottom + 16}" text-anchor="middle">{brief(x)}</text>'
        for x in along.marks
    ]
    return (
        "".join(parts)
        + f'<text x="{WIDTH - RIGHT}" y="{bottom + 34}" text-anchor="end" class="soft">{escape(unit)}{", logarithmic" if along.log else ""}</text>'
    )


def _dot(x: float, y: float, number: int, said: str) -> str:
    return f'<circle class="dot c{number % COLOURS}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"><title>{escape(said)}</title></circle>'


def _mark(x: float, marks: Sequence[tuple[float, str]]) -> str:
    return next((name for place, name in marks if place == x), shown(x))


def _line_table(across: str, unit: str, found: Mapping[str, Sequence[Point]], marks: Sequence[tuple[float, str]]) -> tuple[list[str], list[list[str]]]:
    """A row for each place across; of many, evenly chosen ones (the JSON has all)."""
    by_line = [dict(line) for line in found.values()]
    places = sorted({x for line in by_line for x in line})
    step = math.ceil(len(places) / TABLE_ROWS_MAX)
    rows = [[_mark(x, marks), *(shown(line[x]) if x in line else "" for line in by_line)] for x in places[::step]]
    return [across, *(f"{name}, {unit}" if unit else name for name in found)], rows


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    """The drawing; what it shows stands in the table, so its parts are not read out one by one."""
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}; the table below has its figures">{"".join(parts)}</svg>'
