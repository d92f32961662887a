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
LABEL_CHARS_MAX = 24
NO_LABELS = ("suite", "command", "note", "verdict", "in_words")
ENDS = ("at_least", "at_most", "target", "met")
UNITS = (("per_s", "/s"), ("ms", "ms"), ("us", "µs"), ("s", "s"), ("bytes", "bytes"), ("kib", "KiB"), ("mib", "MiB"), ("gib", "GiB"))
MORE_IS_BETTER = {"/s": True, "µs": False, "ms": False, "s": False, "bytes": False, "KiB": False, "MiB": False, "GiB": False}


class Figure(msgspec.Struct, frozen=True):
    """One figure: its path in the result, its spread, and the value of each run (none where a suite tells the spread alone)."""

    path: Path
    least: float
    median: float
    most: float
    runs: int
    values: list[float] = []
    more_is_better: bool | None = None  # None where neither is plain

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
    """What is in an object or a list. An entry of a list is called by what it was measured at (its first members), a run by its number."""
    if isinstance(value, dict):
        for key, entry in value.items():
            repeated = key in REPEATED and isinstance(entry, list)
            yield str(key), {f"{key[:-1]} {number}": run for number, run in enumerate(entry, 1)} if repeated else entry
    elif isinstance(value, list):
        named = next((count for count in (1, 2, 3) if len({_called(entry, count) for entry in value} - {""}) == len(value)), 0)
        for number, entry in enumerate(value, 1):
            yield (_called(entry, named), dict(list(entry.items())[named:])) if named else (str(number), entry)


def _called(entry: Any, count: int) -> str:
    """An entry by its first members; empty where one of them is neither a number nor a text."""
    first = list(entry.items())[:count] if isinstance(entry, dict) else []
    if len(first) < count or not all(is_number(value) or isinstance(value, str) for _, value in first):
        return ""
    return ", ".join(f"{spoken(key)} {shown(value) if is_number(value) else value}" for key, value in first)


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
    """What a result says in words; what it is called by (label) is not repeated."""
    return [found for key, value in children(result) if key not in APART and not _is_label(key, value) for found in texts(value, (key,))]


def figures(result: dict[str, Any]) -> dict[Path, Figure]:
    """Every figure of a result by its path: of an object with runs first what the runs found, then what was measured once."""
    found: dict[Path, Figure] = {}
    for figure in _figures({key: value for key, value in result.items() if key not in ("suite", "size")}, (), 1):
        found.setdefault(figure.path, figure)
    return found


def of_values(path: Path, values: list[float], *, more_is_better: bool | None = None) -> Figure:
    """A figure whose runs are known."""
    better = MORE_IS_BETTER.get(unit_of(path)) if more_is_better is None else more_is_better
    return Figure(path, min(values), median(values), max(values), len(values), values, better)


def _figures(value: Any, path: Path, runs: int) -> Iterator[Figure]:
    """The figures below a value; of an object with runs, every other figure in it stands for that many."""
    if is_number(value):
        yield of_values(path, [float(value)])
    elif isinstance(value, list) and value and all(map(is_number, value)):
        yield of_values(path, list(map(float, value)))
    if isinstance(value, dict):
        own = [{found: number for found, number in numbers(run) if not set(found) & set(APART)} for run in runs_of(value)]
        runs = len(own) or runs
        yield from (of_values((*path, *below), [run[below] for run in own]) for below in (own[0] if own else ()) if all(below in run for run in own))
        for before in spreads(value):
            below = (*path, before.rstrip("_")) if before else path
            better = False if "at_most" in value else True if {"at_least", "target"} & value.keys() else MORE_IS_BETTER.get(unit_of(path))
            yield Figure(below, value[f"{before}least"], value[f"{before}median"], value[f"{before}most"], runs, more_is_better=better)
            value = {key: entry for key, entry in value.items() if key not in {f"{before}{which}" for which in SPREAD}}
        value = {key: entry for key, entry in value.items() if key not in ENDS}
    for key, entry in () if isinstance(value, list) and value and all(map(is_number, value)) else children(value):
        if key not in APART:
            yield from _figures(entry, path if key in HEADINGS else (*path, key), runs)


def spreads(value: Any) -> list[str]:
    """What stands before `least`, `median` and `most` in an object that holds all three; mostly nothing."""
    found = [key.removesuffix("median") for key in value if key.endswith("median")] if isinstance(value, dict) else []
    return [before for before in found if all(is_number(value.get(f"{before}{which}")) for which in SPREAD)]


def targets(result: dict[str, Any]) -> list[Target]:
    """Every object that holds `at_least`, `at_most` or `target` (a ratio that must be reached) beside what was found; of plain numbers under
    "targets" what was found is the figure of that name, and a rate must be reached, all else not exceeded."""
    named = result.get("targets")
    found = {path: figure.median for path, figure in figures(result).items()}
    plain = {name: wanted for name, wanted in named.items() if is_number(wanted) and (name,) in found} if isinstance(named, dict) else {}
    return [
        *_targets({key: value for key, value in result.items() if key not in REPEATED}, ()),
        *(Target(words((name,)), unit_of((name,)), found[name,], wanted, unit_of((name,)) == "/s") for name, wanted in plain.items()),
    ]


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
    """What tells a result from the others of its suite: its short texts (`fsync`); empty where there is none."""
    return ", ".join(value for key, value in result.items() if _is_label(key, value))


def _is_label(key: str, value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LABEL_CHARS_MAX and key not in NO_LABELS


def words(path: Path) -> str:
    """A path as it is read, without headings that say nothing and without units, which stand beside it: `request: p50`."""
    place = path.index("percentiles") if "percentiles" in path else len(path)
    parts = [f"p{part}" if at > place and part[:1].isdigit() else spoken(part) for at, part in enumerate(path) if part not in SILENT]
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
    """By the end of a name (`wait_ms`, `committed_per_s`), by what it is in the middle of (`cpu_us_per_event`), or by a word in it (`memory MiB: shard`)."""
    if "percentiles" in path:
        return "ms"
    for part in reversed(path):
        if part in ("ratios", "ratio") or part.startswith("ratios_") or "ratio" in part.split("_"):
            return "times"
        if part == "cpu_by_part":
            return "µs"
        if "/s" in part:
            return "/s"
        written = part.lower().replace(",", " ").replace(":", " ").split()
        for end, unit in UNITS:
            if end in written or part.endswith((f"_{end}", f" {end}")) or f"_{end}_per_" in part or part.startswith((f"{end}_per_", f"{end}_of_")):
                return unit
    return ""


def shown(value: float) -> str:
    """A number as tables show it: whole from a thousand on, else four digits that count."""
    if abs(value) >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.4g}"
