"""What stands in a result: its figures with their spread, their names and units, and where plots, checks and targets lie.

A result is one entry of a result file's "results". Suites differ; they agree on keys: "medians" or "figures" hold what was found, "runs" or
"rounds" the same of each run, "checks" pairs of what should be and what was, "ratios" and "targets" what is promised. Whatever else is in a
result is a figure too, if it is a number, and a remark, if it is text.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

import msgspec

Path = tuple[str, ...]

REPEATED = ("runs", "rounds")
HEADINGS = ("medians", "figures")  # say nothing about a figure that its name does not
SILENT = (*HEADINGS, *REPEATED, "percentiles")
APART = ("suite", "size", "series", "checks", "targets", "holds", *REPEATED)  # are no figures, or are shown in a place of their own
WHOLE = {"per_s": "rate", "ms": "time", "cpu_us": "CPU"}  # names that are hardly more than a unit
SPREAD = ("least", "median", "most")
ENDS = ("at_least", "at_most", "target", "met")
UNITS = (("per_s", "/s"), ("ms", "ms"), ("us", "µs"), ("s", "s"), ("bytes", "bytes"), ("kib", "KiB"), ("mib", "MiB"), ("gib", "GiB"))
MORE_IS_BETTER = {"/s": True, "times": True, "µs": False, "ms": False, "s": False, "bytes": False, "KiB": False, "MiB": False, "GiB": False}


class Figure(msgspec.Struct, frozen=True):
    """One figure: its path in the result, its spread, and the value of each run (none where a suite tells the spread alone)."""

    path: Path
    least: float
    median: float
    most: float
    runs: int
    values: list[float] = []

    @property
    def name(self) -> str:
        return words(self.path)

    @property
    def unit(self) -> str:
        return unit_of(self.path)


class Target(msgspec.Struct, frozen=True):
    """What is promised of a figure, and what was found."""

    name: str
    unit: str
    found: float
    wanted: float
    at_least: bool

    @property
    def met(self) -> bool:
        return self.found >= self.wanted if self.at_least else self.found <= self.wanted

    @property
    def missed_by(self) -> float:
        """How far the figure is from what is wanted, as a share of what is wanted; 0 where it is met."""
        return 0.0 if self.met or not self.wanted else abs(self.found / self.wanted - 1)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def children(value: Any) -> Iterator[tuple[str, Any]]:
    """What is in an object or a list; an entry of a list is called by its first member, which is what it was measured at, and a run by its number."""
    if isinstance(value, dict):
        for key, entry in value.items():
            repeated = key in REPEATED and isinstance(entry, list)
            yield str(key), {f"{key[:-1]} {number}": run for number, run in enumerate(entry, 1)} if repeated else entry
    elif isinstance(value, list):
        for number, entry in enumerate(value, 1):
            first = next(iter(entry.items()), None) if isinstance(entry, dict) else None
            if first is not None and (is_number(first[1]) or isinstance(first[1], str)):
                said = shown(first[1]) if is_number(first[1]) else first[1]
                yield f"{spoken(first[0])} {said}", {key: below for key, below in entry.items() if key != first[0]}
            else:
                yield str(number), entry


def numbers(value: Any, path: Path = ()) -> Iterator[tuple[Path, float]]:
    """Every number below a value, with its path."""
    if is_number(value):
        yield path, float(value)
    for key, entry in children(value):
        yield from numbers(entry, (*path, key))


def texts(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every text and every yes or no below a value, with its path."""
    if isinstance(value, str | bool):
        yield path, value if isinstance(value, str) else ("yes" if value else "no")
    for key, entry in children(value):
        yield from texts(entry, (*path, key))


def keyed(value: Any, key: str, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value that stands under a key, however deep, with the path of what holds it."""
    for name, entry in children(value):
        if name == key:
            yield path, entry
        else:
            yield from keyed(entry, key, (*path, name))


def runs_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    """What each run found; empty where a suite has one run."""
    found: list[Any] = next((result[key] for key in REPEATED if isinstance(result.get(key), list)), [])
    return [run for run in found if isinstance(run, dict)]


def remarks(result: dict[str, Any]) -> list[tuple[Path, str]]:
    """What a result says in words; texts that it is called by (label) are not repeated."""
    return [found for key, value in children(result) if key not in APART and (key == "note" or not isinstance(value, str)) for found in texts(value, (key,))]


def figures(result: dict[str, Any]) -> dict[Path, Figure]:
    """Every figure of a result by its path: what the runs found, then what was measured once."""
    runs = [dict(numbers({key: value for key, value in run.items() if key not in APART})) for run in runs_of(result)]
    everywhere = [path for path in (runs[0] if runs else {}) if all(path in run for run in runs)]
    found = {path: of_values(path, [run[path] for run in runs]) for path in everywhere}
    for key, value in children(result):
        if key in APART:
            continue
        below: Path = () if key in HEADINGS else (key,)
        for path, figure in _once(value, below, max(1, len(runs))):
            found.setdefault(path, figure)
    return found


def of_values(path: Path, values: list[float]) -> Figure:
    return Figure(path, min(values), median(values), max(values), len(values), values)


def _once(value: Any, path: Path, runs: int) -> Iterator[tuple[Path, Figure]]:
    """The figures below a value. `median`, `least` and `most` side by side (or `committed_median` …) are one figure, whose runs are not known each."""
    for before in spreads(value):
        below = (*path, before.rstrip("_")) if before else path
        yield below, Figure(below, value[f"{before}least"], value[f"{before}median"], value[f"{before}most"], runs)
        value = {key: entry for key, entry in value.items() if key not in (*(f"{before}{which}" for which in SPREAD), *ENDS)}
    if is_number(value):
        yield path, of_values(path, [float(value)])
    for key, entry in children(value):
        yield from _once(entry, (*path, key), runs)


def spreads(value: Any) -> list[str]:
    """What stands before `least`, `median` and `most` in an object that holds all three; mostly nothing."""
    found = [key.removesuffix("median") for key in value if key.endswith("median")] if isinstance(value, dict) else []
    return [before for before in found if all(is_number(value.get(f"{before}{which}")) for which in SPREAD)]


def targets(result: dict[str, Any]) -> list[Target]:
    """Every object that holds `at_least`, `at_most` or `target` (a ratio that must be reached) beside what was found."""
    return list(_targets(result, ()))


def _targets(value: Any, path: Path) -> Iterator[Target]:
    if isinstance(value, dict):
        found = next((value[key] for key in ("found", "median", "value", "ratio") if is_number(value.get(key))), None)
        for key, at_least in (("at_least", True), ("target", True), ("at_most", False)):
            if found is not None and is_number(value.get(key)) and (value[key] or key != "target"):  # no ratio has to reach 0
                yield Target(words(path), value.get("unit") or unit_of(path), found, value[key], at_least)
    for key, entry in children(value):
        yield from _targets(entry, path if key in (*HEADINGS, "targets") else (*path, key))


def checks(result: dict[str, Any]) -> dict[str, list[tuple[Any, Any]]]:
    """What should be and what was, of each run, by what is counted."""
    found: dict[str, list[tuple[Any, Any]]] = {}
    for _, each in keyed(result, "checks"):
        for name, pair in children(each):
            if isinstance(pair, list | tuple) and len(pair) == 2:
                found.setdefault(name, []).append((pair[0], pair[1]))
            elif isinstance(pair, bool):
                found.setdefault(name, []).append((True, pair))
    return found


def label(result: dict[str, Any]) -> str:
    """What tells a result from the others of its suite: its texts (`fsync`); empty where there is none."""
    return ", ".join(value for key, value in result.items() if isinstance(value, str) and key not in ("suite", "command", "note"))


def words(path: Path) -> str:
    """A path as it is read, without headings that say nothing and without units, which stand beside it: `request: p50`."""
    parts = ["p" + part if before == "percentiles" else spoken(part) for before, part in zip(("", *path), path, strict=False) if part not in SILENT]
    return ": ".join(parts)


def spoken(part: str) -> str:
    """One part of a path: `accepted_per_s` is `accepted`, `cpu_us_per_event` is `CPU per event`, and `per_s` alone is a rate."""
    if part in WHOLE:
        return WHOLE[part]
    for end, _ in UNITS:
        if part.endswith(f"_{end}"):
            part = part.removesuffix(f"_{end}")
            break
        part = part.replace(f"_{end}_per_", "_per_")
    return part.replace("_", " ").replace("cpu", "CPU")


def unit_of(path: Path) -> str:
    """By the end of a name (`wait_ms`, `committed_per_s`), or by what it is in the middle of (`cpu_us_per_event`)."""
    for part in reversed(path):
        if part in ("ratios", "ratio") or part.startswith("ratios_"):
            return "times"
        if part == "percentiles":
            return "ms"
        for end, unit in UNITS:
            if part == end or part.endswith((f"_{end}", f" {end}")) or f"_{end}_per_" in part or part.startswith(f"{end}_per_"):
                return unit
    return ""


def shown(value: float) -> str:
    """A number as tables show it: whole from a thousand on, else four digits that count."""
    if abs(value) >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.4g}"
