"""The report: result files as one HTML page that needs nothing else, no network and no script.

Every plot has a table behind it, and every figure of the files stands in a table. The page opens with what is right and wrong: counts, targets met
and missed. It follows the reader's light or dark setting, and fits a phone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import charts, figures
from benchmarks.figures import shown, words
from benchmarks.plots import COLOURS, Plot
from engine.core.errors import InvalidDocument, Problem

STYLE = Path(__file__).with_name("report.css")
FOUND_AT = Path("var/bench-report.html")
"""Where a person finds the newest report."""
OPEN_ROWS_MAX = 24  # a longer table of figures is folded
NUMBER = ' class="n"'
DIGITS = (*"-0123456789", "")
BAD = ("does not hold", "missed")


def read(file: Path) -> dict[str, Any]:
    """A result file; InvalidDocument where it is none."""
    try:
        found = msgspec.json.decode(file.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidDocument([Problem(message=f"cannot be read: {error}", file=str(file))]) from error
    if isinstance(found, dict) and isinstance(found.get("results"), list):
        return found
    raise InvalidDocument([Problem(message="is no result of `wayfare bench`", file=str(file))])


def newest(folder: Path) -> dict[str, dict[str, Any]]:
    """The newest result file of each suite in a folder, by its name; names begin with their time and end with their suite."""
    by_suite = {file.stem.partition("-")[2]: file for file in sorted(folder.glob("*-*.json"))}
    return {file.name: read(file) for file in by_suite.values()}


def write(file: Path, results: Mapping[str, dict[str, Any]]) -> Path:
    """Write the report of result files, by their names."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page(results), encoding="utf-8")
    return file


def page(results: Mapping[str, dict[str, Any]]) -> str:
    """The whole page."""
    title = ", ".join(dict.fromkeys(suite for result in results.values() for suite in _suites(result)))
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
    parts = [f'<!doctype html>\n<html lang="en"><head>{head}<title>Wayfare benchmarks: {escape(title)}</title><style>{STYLE.read_text()}</style></head><body>']
    parts.append(
        f'<a class="skip" href="#main">To the figures</a><header><h1>Wayfare benchmarks: {escape(title)}</h1>{_contents(results)}</header><main id="main">'
    )
    parts.append(_verdicts(results))
    parts += [_file(name, result) for name, result in results.items()]
    parts.append(_machines(results))
    parts.append("</main></body></html>\n")
    return "\n".join(parts)


def _suites(result: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The results of a file by their suite."""
    found: dict[str, list[dict[str, Any]]] = {}
    for each in result["results"]:
        found.setdefault(str(each.get("suite", "results")), []).append(each)
    return found


def _id(name: str, suite: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in f"{name}-{suite}")


def _contents(results: Mapping[str, dict[str, Any]]) -> str:
    """Where to go from the top."""
    links = [(f"#{_id(name, suite)}", suite) for name, result in results.items() for suite in _suites(result)]
    places = "".join(f'<li><a href="{href}">{escape(text)}</a></li>' for href, text in [*links, ("#machine", "machine and versions")])
    return f'<nav aria-label="Contents"><ul>{places}</ul></nav>'


def _verdicts(results: Mapping[str, dict[str, Any]]) -> str:
    """Counts and targets of everything."""
    every = [each for result in results.values() for each in result["results"]]
    right = sum(bool(each.get("holds")) for each in every)
    aims = [(each, target) for each in every for target in figures.targets(each)]
    met = sum(target.met for _, target in aims)
    tiles = [_tile(f"{right} of {len(every)}", "results with all counts right", good=right == len(every))]
    if aims:
        tiles.append(_tile(f"{met} of {len(aims)}", "targets met", good=met == len(aims)))
    rows = []
    for each, target in aims:
        verdict = "met" if target.met else f"missed by {target.missed_by:,.0%}"
        place = ", ".join(part for part in (str(each.get("suite", "")), figures.label(each), target.name) if part)
        wanted = f"{'at least' if target.at_least else 'at most'} {shown(target.wanted)}"
        rows.append([place, verdict, f"{shown(target.found)} {target.unit}", f"{wanted} {target.unit}"])
    table = _table(["target", "verdict", "found", "promised"], rows) if rows else ""
    return f'<section aria-labelledby="verdict"><h2 id="verdict">What holds</h2><div class="tiles">{"".join(tiles)}</div>{table}</section>'


def _tile(figure: str, what: str, *, good: bool) -> str:
    return f'<p class="tile {"good" if good else "bad"}"><strong>{escape(figure)}</strong> {escape(what)}</p>'


def _file(name: str, result: dict[str, Any]) -> str:
    """One result file: each of its suites."""
    commit = str(result.get("commit", "unknown"))
    dirty = ' <strong class="bad">The tree was not clean: nobody can repeat this run.</strong>' if commit.endswith("+changes") else ""
    when = escape(str(result.get("at", "")))
    parts = []
    for suite, found in _suites(result).items():
        command = escape(str(result.get("command") or f"wayfare bench {suite}"))
        parts.append(f'<section aria-labelledby="{_id(name, suite)}"><h2 id="{_id(name, suite)}">{escape(suite)}</h2>')
        parts.append(f'<p><code>{command}</code> at commit <code>{escape(commit)}</code>, <time datetime="{when}">{when}</time>, in {escape(name)}.{dirty}</p>')
        parts.append(f'<div class="plots">{"".join(_figure(plot) for plot in charts.of_suite(found))}</div>')
        parts += [_result(each) for each in found]
        parts.append("</section>")
    return "\n".join(parts)


def _result(result: dict[str, Any]) -> str:
    """One result: its ledger, its figures, its remarks."""
    title = figures.label(result)
    parts = [f"<h3>{escape(title)}</h3>"] if title else []
    size = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in _settings(result.get("size", {})))
    parts.append(f'<p class="soft">{escape(size)}</p>' if size else "")
    parts.append(_ledger(result))
    parts.append(_figures(result))
    remarks = "".join(f"<li>{f'{escape(words(path))}: ' if path else ''}{escape(text)}</li>" for path, text in figures.remarks(result))
    parts.append(f"<details><summary>What the suite says beside its figures</summary><ul>{remarks}</ul></details>" if remarks else "")
    return "".join(parts)


def _ledger(result: dict[str, Any]) -> str:
    """What was sent beside what arrived, over all runs; a difference in any run counts."""
    rows = []
    for name, pairs in figures.checks(result).items():
        off = [(wanted, found) for wanted, found in pairs if wanted != found]
        sums = all(figures.is_number(value) for pair in pairs for value in pair)
        wanted, found = (shown(sum(pair[side] for pair in pairs)) if sums else ", ".join(dict.fromkeys(str(pair[side]) for pair in pairs)) for side in (0, 1))
        verdict = f"does not hold in {len(off)} of {len(pairs)}: " + ", ".join(f"{f} instead of {w}" for w, f in off) if off else "holds"
        rows.append([name, verdict, wanted, found, str(len(pairs))])
    verdict = "All counts are right." if result.get("holds") else "A count is wrong; the figures below are worth nothing."
    said = f'<p class="{"good" if result.get("holds") else "bad"}">{verdict}</p>'
    if not rows:
        return said
    return f"<h4>Ledger: what was sent, and what arrived</h4>{said}{_table(['counted', 'verdict', 'should be, in all', 'was, in all', 'runs'], rows)}"


def _figures(result: dict[str, Any]) -> str:
    """Every figure, with the spread of its runs."""
    rows = []
    for each in figures.figures(result).values():
        spread = [shown(each.least), shown(each.median), shown(each.most)] if each.runs > 1 else ["", shown(each.median), ""]
        rows.append([each.name, each.unit, *spread, str(each.runs)])
    table = _table(["figure", "unit", "least", "median", "most", "runs"], rows)
    return f"<h4>Figures</h4>{table}" if len(rows) <= OPEN_ROWS_MAX else f"<details><summary>All {len(rows)} figures</summary>{table}</details>"


def _machines(results: Mapping[str, dict[str, Any]]) -> str:
    """What the figures were measured on, and with; once for all files that have the same."""
    groups: list[tuple[list[Any], list[str]]] = []
    for name, result in results.items():
        on = [result.get("machine", {}), result.get("versions", {}), result.get("settings", {})]
        same = next((names for other, names in groups if other == on), None)
        if same is None:
            groups.append((on, [name]))
        else:
            same.append(name)
    parts = ['<section aria-labelledby="machine"><h2 id="machine">Machine and versions</h2>']
    for (machine, versions, settings), names in groups:
        parts.append(f'<p class="soft">{escape(", ".join(names))}</p>')
        parts.append(_table(["machine", ""], _settings(machine), numbers=False))
        parts.append(_table(["package", "version"], _settings(versions), numbers=False))
        if settings:
            table = _table(["setting", "value"], _settings(settings))
            parts.append(f"<details><summary>Settings in force, before a suite's own flags</summary>{table}</details>")
    return "".join([*parts, "</section>"])


def _settings(value: Any) -> list[list[str]]:
    """Names and values of an object."""
    return [[key, _said(entry)] for key, entry in figures.children(value)]


def _said(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(_said(entry) for entry in value)
    return shown(value) if figures.is_number(value) else str(value)


def _figure(plot: Plot) -> str:
    """A plot with its legend and its table."""
    keys = "".join(
        f'<li><svg class="key" viewBox="0 0 22 10" aria-hidden="true">{_key(plot, number)}</svg>{escape(name)}</li>' for number, name in enumerate(plot.legend)
    )
    legend = f'<ul class="legend">{keys}</ul>' if keys else ""
    note = f'<p class="soft">{escape(plot.note)}</p>' if plot.note else ""
    table = f"<details><summary>The figures of this plot</summary>{_table(plot.heads, plot.rows)}</details>"
    return f"<figure><figcaption>{escape(plot.title)}</figcaption>{plot.svg}{legend}{note}{table}</figure>"


def _key(plot: Plot, number: int) -> str:
    """A piece of the line, or of the bar, that the legend names."""
    number %= COLOURS
    return f'<path class="line l{number}" d="M0 5H22"/>' if plot.dashed else f'<rect class="part c{number}" width="22" height="10"/>'


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: bool = True) -> str:
    """A table whose columns of numbers stand to the right; a row with bad news looks so. Wide ones scroll by themselves."""
    right = [numbers and at > 0 and all(row[at][:1] in DIGITS for row in rows) for at in range(len(heads))]
    head = "".join(f'<th scope="col"{NUMBER * right[at]}>{escape(name)}</th>' for at, name in enumerate(heads))
    body = []
    for row in rows:
        cells = "".join(f"<td{NUMBER * right[at]}>{escape(cell)}</td>" for at, cell in enumerate(row) if at)
        bad = ' class="bad"' if any(cell.startswith(BAD) for cell in row) else ""
        body.append(f'<tr{bad}><th scope="row">{escape(row[0])}</th>{cells}</tr>')
    said = escape(", ".join(filter(None, heads)))
    return f'<div class="wide" tabindex="0" role="group" aria-label="Table: {said}"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'
