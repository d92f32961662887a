"""The suite `peers`: the canonical workload on every peer that is installed, on us, and on the limits, in turns, as ratios (ours ÷ theirs).

First each peer is tried once at every concurrency of its sweep; then come rounds in which everybody runs once, at its best concurrency. A ratio is taken
within its round, and the median of the rounds is what counts. Peers are given as many events as they do in some seconds: a rate is what is compared. A run
whose counts are wrong, by the peer's own count or by the sink's, has no rate.
"""

from __future__ import annotations

import os
import pkgutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from rich.table import Table

from benchmarks import peers
from benchmarks.client import Checks, all_right, in_words
from benchmarks.deployment import Sinks
from benchmarks.peers.peer import Counts, Figures, Peer, Work
from benchmarks.workload import CONTACTS

Say = Callable[[str], None]

CHOSEN = "WAYFARE_BENCH_PEERS"
"""A variable with names or parts of names, separated by semicolons; empty for everybody."""


class Size(msgspec.Struct, frozen=True):
    """How much a run is at most (a peer may have less), how many rounds there are, and who takes part (parts of names; none for everybody)."""

    events: int = 400_000
    contacts: int = CONTACTS
    rounds: int = 5
    sweep: bool = True
    only: tuple[str, ...] = ()


FULL = Size()
SMALL = Size(events=4_000, contacts=1_000, rounds=1, sweep=False, only=("ours, relaxed", "by hand, relaxed"))


def every_peer() -> list[Peer]:
    """What the modules of this package list under PEERS: each of ours, then those that stand beside it, so that pairs run close together."""
    modules = [import_module(f"{peers.__name__}.{found.name}") for found in pkgutil.iter_modules(peers.__path__) if not found.name.startswith("__")]
    found = [peer for module in modules for peer in getattr(module, "PEERS", ())]
    return sorted(found, key=lambda peer: (peer.beside or peer.name, peer.beside != "", peer.name))


def chosen(size: Size) -> list[Peer]:
    """Those that take part, with those that they stand beside."""
    only = tuple(name.strip() for name in os.environ.get(CHOSEN, "").split(";") if name.strip()) or size.only
    found = every_peer()
    wanted = [peer for peer in found if not only or any(part in peer.name for part in only)]
    beside = {peer.beside for peer in wanted}
    return [peer for peer in found if peer in wanted or peer.name in beside]


def steps(size: Size) -> int:
    """How many lines `run` will say."""
    here = [peer for peer in chosen(size) if not peer.missing()]
    tried = sum(len(peer.sweep) for peer in here if size.sweep and len(peer.sweep) > 1)
    return tried + size.rounds * len(here)


def run(size: Size, folder: Path, say: Say) -> list[dict[str, Any]]:
    """One result: everybody's sweep, rates by round, and ratios."""
    taking_part = chosen(size)
    here = [peer for peer in taking_part if not peer.missing()]
    with Sinks() as sinks:
        swept = {peer.name: _sweep(peer, size, sinks, folder, say) for peer in here}
        best = {name: max(found, key=lambda one: one["per_s"])["concurrency"] for name, found in swept.items()}
        rounds = []
        for number in range(1, size.rounds + 1):
            rates = {}
            for peer in here if number % 2 else reversed(here):  # in turns, so that a drift of the machine favours nobody
                rates[peer.name] = _once(peer, size, best[peer.name], number, sinks, folder)
                say(f"round {number} of {size.rounds}: {_said(rates[peer.name])}")
            rounds.append(rates)
    return [_result(size, taking_part, here, swept, best, rounds)]


def _result(
    size: Size, taking_part: list[Peer], here: list[Peer], swept: dict[str, Any], best: dict[str, int], rounds: list[dict[str, dict[str, Any]]]
) -> dict[str, Any]:
    names = [peer.name for peer in here]
    return {
        "suite": "peers",
        "size": msgspec.to_builtins(size),
        "left_out": [why for peer in taking_part if (why := peer.missing())],
        "peers": {
            peer.name: {
                "durability": peer.durability,
                "leaves_out": peer.leaves_out,
                "concurrency": best[peer.name],
                "unit": peer.unit,
                "sweep": [{"concurrency": one["concurrency"], "per_s": one["per_s"]} for one in swept[peer.name]],
            }
            for peer in here
        },
        "medians": {name: {key: median(rates[name][key] for rates in rounds) for key in ("per_s", "committed_per_s", "cpu_us_per_event")} for name in names},
        "ratios": {peer.name: _ratios(peer, rounds) for peer in here if peer.beside in names},
        "holds": all(one["holds"] for rates in rounds for one in rates.values()) and all(one["holds"] for found in swept.values() for one in found),
        "rounds": rounds,
    }


def _ratios(peer: Peer, rounds: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Ours ÷ theirs: until all is done, and until the last commit."""
    found: dict[str, Any] = {"beside": peer.beside} | ({"target": peer.target} if peer.target else {})
    for name, key in (("", "per_s"), ("committed_", "committed_per_s")):
        ratios = [rates[peer.beside][key] / rates[peer.name][key] for rates in rounds if rates[peer.name][key]]
        if ratios:
            found |= {f"{name}{what}": round(of(ratios), 3) for what, of in (("median", median), ("least", min), ("most", max))}
    return found


def _sweep(peer: Peer, size: Size, sinks: Sinks, folder: Path, say: Say) -> list[dict[str, Any]]:
    """One run at each concurrency; none is made where there is nothing to choose."""
    if not size.sweep or len(peer.sweep) == 1:
        return [{"concurrency": peer.sweep[0], "per_s": 0, "holds": True}]
    found = []
    for concurrency in peer.sweep:
        found.append(_once(peer, size, concurrency, 100 + concurrency, sinks, folder))
        say(f"sweep: {_said(found[-1])}")
    return found


def _once(peer: Peer, size: Size, concurrency: int, seed: int, sinks: Sinks, folder: Path) -> dict[str, Any]:
    """One run of one peer in a folder of its own, and whether its counts are right. Whoever fails has no rate, and the others go on."""
    work = work_for(peer, size, seed, sinks.smtp_port)
    with tempfile.TemporaryDirectory(dir=folder) as own:
        before = sinks.counts()["total"]
        try:
            figures = peer.run(work, concurrency, Path(own))
        except (RuntimeError, OSError, ValueError, subprocess.SubprocessError) as error:
            figures = Figures(0, 1, 0, note=f"failed: {error}")
        arrived = sinks.counts()["total"] - before
    checks = checked(peer, work, figures, arrived)
    holds = all_right(checks)
    return {
        "name": peer.name,
        "concurrency": concurrency,
        "unit": peer.unit,
        "per_s": round(figures.events / figures.wall_s, 1) if holds else 0,
        "committed_per_s": round(figures.events / (figures.committed_s or figures.wall_s), 1) if holds else 0,
        "cpu_us_per_event": round(figures.cpu_s / max(1, figures.events) * 1e6, 1),
        "cpu_by_part": figures.cpu_us_per_event,
        "events": figures.events,
        "note": figures.note,
        "checks": checks,
        "holds": holds,
    }


def work_for(peer: Peer, size: Size, seed: int, smtp_port: int) -> Work:
    """What one run of a peer is given: a tenth as many events go before, unmeasured."""
    events = min(size.events, peer.events)
    return Work(seed, events, size.contacts, smtp_port, batch=min(peer.batch, max(1, events // 4)), warm_events=events // 10)


def checked(peer: Peer, work: Work, figures: Figures, arrived: int) -> Checks:
    """What must be equal, as (wanted, found)."""
    expected = work.made().expected
    if figures.counts is None:
        return {"events": (expected.sent, figures.events)}
    wanted = Counts(expected.sent, expected.sent - expected.distinct, expected.enrolled, expected.emails)
    names = Counts.__struct_fields__
    checks: Checks = {name: (getattr(wanted, name), getattr(figures.counts, name)) for name in names}
    if peer.emails:
        checks["emails that the sink counted"] = (expected.emails + work.warm().expected.emails, arrived)
    return checks


def _said(one: dict[str, Any]) -> str:
    return (
        f"{one['name']} with {one['concurrency']} {one['unit']}: {one['per_s']:,.0f} events/s, {in_words(one['checks'])}{', ' * bool(one['note'])}{one['note']}"
    )


def table(found: list[dict[str, Any]]) -> Table:
    """Everybody's rate, and the ratios."""
    result = found[0]
    shown = Table("", "events/s", "committed/s", "CPU µs each", "ours ÷ this (least to most)", "until committed", "target", "at", title="beside the peers")
    for name, rate in result["medians"].items():
        peer, ratio = result["peers"][name], result["ratios"].get(name, {})
        cells = [f"{ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['most']:.2f})", f"{ratio['committed_median']:.2f}"] if "median" in ratio else ["", ""]
        target = f"{ratio['target']:g}" if ratio.get("target") else ""
        at = f"{peer['concurrency']} {peer['unit']}"
        shown.add_row(name, f"{rate['per_s']:,.0f}", f"{rate['committed_per_s']:,.0f}", f"{rate['cpu_us_per_event']:,.1f}", *cells, target, at)
    shown.caption = "\n".join(_below(result)) or None
    return shown


def _below(result: dict[str, Any]) -> Iterable[str]:
    """What stands below the table: durabilities, and who is missing."""
    for name, peer in result["peers"].items():
        yield f"{name}: {peer['durability']}" + (f" Without: {peer['leaves_out']}" if peer["leaves_out"] else "")
    yield from result["left_out"]
