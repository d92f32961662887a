"""Which plots a suite's results make, found by the keys that suites agree on (benchmarks/README.md, "The report").

`series` become lines over time, `percentiles` curves, "cpu_us_per_…" stacked bars, `ratios` ranges beside their targets, `runs` and `rounds` the spread
of each figure. What was measured at several loads, batch sizes or concurrencies (a list of objects that begin with a number, or an object whose
keys are numbers) becomes lines over that: rates, and latencies by percentile.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from statistics import median
from typing import Any

from benchmarks.figures import APART, HEADINGS, REPEATED, Figure, Path, children, figures, is_number, keyed, label, runs_of, unit_of, words
from benchmarks.plots import LINES_MAX, Plot, Point, Range, lines, ranges, stacked

Results = list[dict[str, Any]]
Named = dict[str, list[Point]]

ALIKE = 20  # series of one unit share a plot unless one is so many times another
RUN = re.compile(r"\b(run|round) \d+(: |$)")  # what a path calls a run
RANGE_NOTE = "The line goes from the least run to the most, the stroke is the median."
SUMS = ("engine", "all", "sum", "total")  # of other parts; they would be counted twice
RANGES_MAX = 16  # figures whose runs are drawn; all are in the table of figures
PERCENTILES = ("50", "90", "95", "99", "99.9", "99.99")
MARKS = tuple((-math.log10(1 - float(name) / 100), f"p{name}") for name in ("50", "90", "99", "99.9", "99.99"))


def of_suite(results: Results) -> list[Plot]:
    """All plots of the results of one suite."""
    return [*_ratios(results), *_side_by_side(results), *_over_time(results), *_swept(results), *_curves(results), *_cpu(results), *_runs(results)]


def _name(result: dict[str, Any], path: Path) -> str:
    return ", ".join(part for part in (label(result), words(path)) if part)


def _found(results: Results, key: str) -> list[tuple[str, Path, Any]]:
    """What stands under a key, with the name of its place; the runs' own only where nothing stands outside of them."""
    every = [(result, path, value) for result in results for path, value in keyed(result, key)]
    outside = [each for each in every if not set(each[1]) & set(REPEATED)]
    return [(_name(result, path), path, value) for result, path, value in outside or every]


def _objects(found: list[tuple[str, Path, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects that hold numbers, each with the name of its place; what stands under a key may be one, or several with names."""
    for place, path, value in found:
        if isinstance(value, dict):
            if any(map(is_number, value.values())):
                yield place, value
            below = [(", ".join(part for part in (place, words((name,))) if part), path, entry) for name, entry in value.items()]
            yield from _objects(below)


def _side_by_side(results: Results) -> Iterator[Plot]:
    """Rates that several results have, beside one another."""
    found = [figures(result) for result in results]
    for path in found[0] if len(found) > 1 else ():
        rows = [
            Range(label(result), each[path].least, each[path].median, each[path].most, each[path].values)
            for result, each in zip(results, found, strict=True)
            if path in each
        ]
        if unit_of(path) == "/s" and len(rows) == len(results) and len(path) == 1:
            yield ranges(words(path), "/s", rows, note=RANGE_NOTE)


def _over_time(results: Results) -> Iterator[Plot]:
    by_name: dict[str, Named] = {}
    for place, _, series in _found(results, "series"):
        for name, found in children(series):
            points = [(float(x), float(y)) for x, y in found if is_number(x) and is_number(y)]
            if points:
                by_name.setdefault(name, {})[place] = points
    for names in _alike(by_name):
        unit = unit_of((names[0],))
        found = {(words((name,)) if place == "" or len(names) > 1 else place): points for name in names for place, points in by_name[name].items()}
        title = words((names[0],)) if len(names) == 1 else ", ".join(words((name,)) for name in names[:3]) + (" …" if len(names) > 3 else "")
        for part in _parts(found):
            yield lines(f"{title} over time", unit, "seconds", part)


def _alike(by_name: dict[str, Named]) -> list[list[str]]:
    """Names of series that share a plot: of one place, unit and size. What was measured in several places has a plot of its own."""
    groups: list[list[str]] = []
    for name, found in by_name.items():
        most = max(y for points in found.values() for _, y in points)
        for group in groups:
            other = max(y for points in by_name[group[0]].values() for _, y in points)
            same = unit_of((name,)) != "" and unit_of((name,)) == unit_of((group[0],)) and list(found) == list(by_name[group[0]])
            if same and len(found) == 1 and max(most, other) <= ALIKE * min(most, other):
                group.append(name)
                break
        else:
            groups.append([name])
    return groups


def _swept(results: Results) -> Iterator[Plot]:
    """Rates, and latencies by percentile, over what was varied."""
    rates: dict[str, Named] = {}
    latencies: list[tuple[str, str, Named]] = []
    for result in results:
        for path, across, entries in _families(result, ()):
            place = _name(result, path)
            by_percentile: Named = {}
            for x, entry in entries:
                for name, ms in latencies_of(entry).items():
                    by_percentile.setdefault(name, []).append((x, ms))
                if is_number(entry.get("per_s")):
                    rates.setdefault(across, {}).setdefault(place or "rate", []).append((x, entry["per_s"]))
            latencies.append((place, across, by_percentile))
    for across, named in rates.items():
        for part in _parts({name: sorted(points) for name, points in named.items()}):
            yield lines(f"rate by {words((across,))}", "/s", _across(across), part, log=True)
    for place, across, named in latencies:
        for part in _parts({name: sorted(points) for name, points in named.items() if len(points) > 1}):
            yield lines(f"latency by {words((across,))}{f': {place}' if place else ''}", "ms", _across(across), part, log=True)


def _across(name: str) -> str:
    unit = unit_of((name,))
    return f"{words((name,))}, {unit}" if unit else words((name,))


def _families(value: Any, path: Path) -> Iterator[tuple[Path, str, list[tuple[float, dict[str, Any]]]]]:
    """Entries of the same kind that were measured at different numbers: their place, what the numbers are, and each with its number."""
    if isinstance(value, list) and len(value) > 1 and all(isinstance(entry, dict) and entry for entry in value):
        across = next((key for key in value[0] if key.endswith("per_s") and key != "per_s" and latencies_of(value[0])), next(iter(value[0])))
        groups: dict[str, list[tuple[float, dict[str, Any]]]] = {}
        for entry in value:
            before = list(entry)[: list(entry).index(across)] if is_number(entry.get(across)) else None
            if before is not None and (entry[across] or not across.endswith("per_s")):  # no load stands for a closed loop
                groups.setdefault(", ".join(f"{words((key,))} {entry[key]}" for key in before), []).append((float(entry[across]), entry))
        yield from (((*path, name) if name else path, across, entries) for name, entries in groups.items() if len(entries) > 1)
    elif isinstance(value, dict) and len(value) > 1 and all(_numeric(key) and isinstance(entry, dict) and entry for key, entry in value.items()):
        yield path, _varied(value, path), [(float(key), entry) for key, entry in value.items()]
    if isinstance(value, dict):
        for key, entry in value.items():
            if key not in (*APART, "percentiles"):
                yield from _families(entry, (*path, str(key)))


def _varied(found: dict[str, dict[str, Any]], path: Path) -> str:
    """What the keys of an object count: its entries say so first (`{"10": {"batch": 10, …}}`), or the object is called so."""
    key, entry = next(iter(found.items()))
    name, value = next(iter(entry.items()))
    if is_number(value) and value == float(key):
        return name
    return path[-1] if path and path[-1] not in HEADINGS else "what was varied"


def latencies_of(entry: dict[str, Any]) -> dict[str, float]:
    """Milliseconds by percentile, from `percentiles`, from `p99_ms` and the like, or from a `latency` that holds either."""
    found = {f"p{name}": float(ms) for name, ms in children(entry.get("percentiles")) if name in PERCENTILES and is_number(ms)}
    found |= {key[:-3]: float(ms) for key, ms in entry.items() if key.startswith("p") and key.endswith("_ms") and key[1:2].isdigit() and is_number(ms)}
    below = entry.get("latency")
    return found or (latencies_of(below) if isinstance(below, dict) else {})


def _curves(results: Results) -> Iterator[Plot]:
    curves: Named = {}
    for place, found in _objects(_found(results, "percentiles")):
        points = sorted(
            (-math.log10(1 - float(name) / 100), float(ms)) for name, ms in children(found) if _numeric(name) and float(name) < 100 and is_number(ms)
        )
        if len(points) > 1:
            curves[place or "latency"] = points
    for part in _parts(curves):
        most = max(x for points in part.values() for x, _ in points)
        yield lines("latency by percentile", "ms", "percentile", part, log=True, marks=[mark for mark in MARKS if mark[0] <= most + 1e-6])


def _cpu(results: Results) -> Iterator[Plot]:
    keys = dict.fromkeys(key for result in results for key in _keys(result) if key.startswith("cpu_us_per_") or key == "cpu_by_part")
    for key in keys:
        of_runs: dict[str, list[dict[str, Any]]] = {}  # the runs of one place share a bar: the medians of its parts
        for place, value in _objects([(RUN.sub("", place), path, value) for place, path, value in _found(results, key)]):
            of_runs.setdefault(place or words((key,)), []).append(value)
        bars = {
            place: {part: round(median(run.get(part, 0) for run in runs), 2) for part, us in runs[0].items() if is_number(us) and part not in SUMS}
            for place, runs in of_runs.items()
        }
        bars = {place: parts for place, parts in bars.items() if parts}
        if bars:
            what = key.removeprefix("cpu_us_").replace("_", " ") if key != "cpu_by_part" else "per event, by part"
            yield stacked(f"CPU {what}", "µs", bars)


def _keys(value: Any) -> Iterator[str]:
    """Every key of an object, however deep."""
    for key, entry in children(value):
        yield key
        yield from _keys(entry)


def _ratios(results: Results) -> Iterator[Plot]:
    rows = []
    for place, path, found in _found(results, "ratios"):
        for name, value in children(found):
            said = f"{place}, {name}" if place else name
            if is_number(value):
                rows.append(Range(said, value, value, value))
            elif isinstance(value, dict) and all(is_number(value.get(key)) for key in ("least", "median", "most")):
                runs = [run["ratios"][name] for run in runs_of(results[0]) if not path and is_number(run.get("ratios", {}).get(name))]
                rows.append(
                    Range(said, value["least"], value["median"], value["most"], runs, value.get("target") or value.get("at_least") or value.get("at_most"))
                )
    if rows:
        yield ranges("Ratios", "times", rows, log=True, note=f"{RANGE_NOTE[:-1]}, the flag what is promised.")


def _runs(results: Results) -> Iterator[Plot]:
    """The spread of each figure that was measured several times, as a share of its median, so that all fit one scale."""
    for result in results:
        found = [each for each in figures(result).values() if len(each.values) > 1 and each.median > 0 and each.least < each.most]
        rows = [_in_percent(each) for each in sorted(found, key=lambda each: each.unit != "/s")[:RANGES_MAX]]  # rates before all else
        if rows:
            title = f"Spread of {len(found[0].values)} runs{f': {label(result)}' if label(result) else ''}"
            more = f" {len(found) - len(rows)} more are in the table of figures." if len(found) > len(rows) else ""
            yield ranges(title, "% of the median", rows, zero=False, note=f"A dot is a run, the stroke the median (100 %).{more}")


def _in_percent(each: Figure) -> Range:
    values = [100 * value / each.median for value in each.values]
    return Range(each.name, min(values), 100, max(values), values)


def _parts(found: Named) -> Iterable[Named]:
    """No more lines in one plot than can be told apart."""
    names = list(found)
    return [{name: found[name] for name in names[at : at + LINES_MAX]} for at in range(0, len(names), LINES_MAX)]


def _numeric(text: Any) -> bool:
    try:
        float(text)
    except (TypeError, ValueError):
        return False
    return True
