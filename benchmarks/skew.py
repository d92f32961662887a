"""The skew suite: the canonical workload with its contacts drawn in three ways, in turns on one deployment: uniformly, by Zipf's law with exponent
1.2, and with one contact that has a tenth of all events.

A contact has one writer, so a hot one cannot be spread; what it costs is the ratio of committed events/s to the uniform draw of the same round.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from rich.table import Table

from benchmarks import workload
from benchmarks.client import Client, all_right, canonical_checks, in_words, wait_until_none
from benchmarks.deployment import Deployment, Ledgers, Sinks, wait_until_settled
from engine.config import Config

Say = Callable[[str], None]

UNIFORM = "uniform"
DRAWS = {UNIFORM: "uniform", "zipf-1.2": "Zipf 1.2", "hot": "one contact with a tenth"}


class Size(msgspec.Struct, frozen=True):
    """How many events a run sends, of how many contacts, and how often each draw has its turn."""

    events: int = 300_000
    contacts: int = workload.CONTACTS
    rounds: int = 5
    connections: int = 4
    batch: int = workload.BATCH_EVENTS
    durability: str = "fsync"


FULL = Size()
SMALL = Size(events=2_000, contacts=1_000, rounds=1, connections=2, batch=500)


def steps(size: Size) -> int:
    """How many lines `run` will say."""
    return size.rounds * len(DRAWS)


def run(size: Size, folder: Path, say: Say) -> list[dict[str, Any]]:
    """One result per draw, each with its ratios to the uniform draw of the same round."""
    data = folder / "skew"
    rounds: list[dict[str, dict[str, Any]]] = []
    with Sinks() as sinks, Deployment(data, flags=("--durability", size.durability)) as deployment, closing(Ledgers(data, Config())) as ledgers:
        deployment.publish(workload.documents(sinks.smtp_port))
        for body in workload.contact_bodies(size.contacts):
            deployment.api.request("POST", "/v1/contacts", body)
        for number in range(size.rounds):
            rounds.append({})
            for draw in _turns(number):
                found = rounds[-1][draw] = _measure(size, deployment, ledgers, sinks, seed=len(DRAWS) * number + len(rounds[-1]) + 1, draw=draw)
                say(f"round {number + 1}: {DRAWS[draw]}: {found['committed_per_s']:,.0f} events/s committed, {in_words(found['checks'])}")
    return [_result(size, draw, rounds) for draw in DRAWS]


def _turns(number: int) -> list[str]:
    """The draws of a round; every round another one begins, so that none gains by its place."""
    draws = list(DRAWS)
    first = number % len(draws)
    return draws[first:] + draws[:first]


def _measure(size: Size, deployment: Deployment, ledgers: Ledgers, sinks: Sinks, seed: int, draw: str) -> dict[str, Any]:
    """One closed-loop run: from the first byte sent to the last commit."""
    expected = workload.make(seed, size.events, size.contacts, size.batch, draw).expected
    client = Client(deployment, seed=seed, events=size.events, contacts=size.contacts, connections=size.connections, batch=size.batch, draw=draw)
    before, taken = wait_until_settled(deployment), sinks.counts()["total"]
    client.go()
    seen = client.result()
    committed_s = wait_until_none(ledgers.lag, 0.02)
    after = wait_until_settled(deployment)
    checks = canonical_checks(expected, before, after, seen, sinks.counts()["total"] - taken)
    return {"committed_per_s": round(seen.accepted / (committed_s - seen.begun_s)), "checks": checks, "holds": all_right(checks)}


def _result(size: Size, draw: str, rounds: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    runs = [found[draw] for found in rounds]
    ratios = [round(found[draw]["committed_per_s"] / found[UNIFORM]["committed_per_s"], 3) for found in rounds]
    return {
        "suite": "skew",
        "draw": draw,
        "size": msgspec.to_builtins(size),
        "medians": {"committed_per_s": median(found["committed_per_s"] for found in runs), "ratio_to_uniform": median(ratios)},
        "ratios_to_uniform": ratios,
        "holds": all(found["holds"] for found in runs),
        "runs": runs,
    }


def table(found: list[dict[str, Any]]) -> Table:
    """A row per draw."""
    shown = Table("contacts drawn", "events/s committed", "ratio to uniform (least to most)", "all counts right", title="skew, medians")
    for each in found:
        ratios = each["ratios_to_uniform"]
        ratio = f"{each['medians']['ratio_to_uniform']:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        shown.add_row(DRAWS[each["draw"]], f"{each['medians']['committed_per_s']:,.0f}", ratio, "yes" if each["holds"] else "NO")
    return shown
