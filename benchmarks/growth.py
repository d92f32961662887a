"""The growth suite: what an event costs, and what memory is needed, while contacts and maps grow that have nothing to do with it.

Two deployments stand side by side: the reference keeps the fewest contacts and one listening map; the other one grows. Both get the same canonical
events in turns, and a ratio is taken within its round, because a machine's speed drifts by more within minutes than what is looked for. In a
full run the first step of each axis is as small as the reference, so its ratio says how much is noise.

Maps: silent ones are published beside the canonical map. They have triggers, waits and goals on events that never come.
Contacts: imported over HTTP, as users do it, with an address, and a tag that enrolls each in a map where it waits for a year. So every contact has a record, a
position, an entry in the due index and one in the index by address, all made by the shard itself. Two workloads: `same`, events of the reference's contacts
while the others wait; `all`, events of all contacts by Zipf's law, of which the rare ones must be fetched. CPU is that of gateway, shard, pool and server.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from rich.table import Table

from benchmarks import cpu, memory, workload
from benchmarks.client import Checks, Client, all_right, canonical_checks, in_words, wait_until_none
from benchmarks.deployment import Deployment, Ledgers, Sinks, wait_until_settled
from engine.config import Config

GROWN_AT_MOST = 1.15
IMPORT_CONTACTS = 5_000  # a request
IMPORT_LAG_MAX = 100_000  # records: the import waits for the shard, or the log would take more memory than the contacts
LONGEST_IMPORT_S = 3_600
TAG = "known"
SETTLED: dict[str, Any] = {"map": "settled", "triggers": [{"tag_added": TAG}], "path": [{"id": "year", "wait": "365d"}, {"id": "exit", "exit": True}]}

Say = Callable[[str], None]


class Size(msgspec.Struct, frozen=True):
    """How far it goes, from the reference's contacts on. `events` is of one run; `rounds` of runs are made at each step."""

    reference: int = 10_000
    contacts: tuple[int, ...] = (10_000, 1_000_000, 10_000_000)
    maps: tuple[int, ...] = (1, 10, 500)
    events: int = 200_000
    rounds: int = 5
    connections: int = 4
    server_gib: int = 12
    memory_gib: int = 24


FULL = Size()
SMALL = Size(reference=1_000, contacts=(5_000,), maps=(20,), events=2_000, rounds=1, connections=2, server_gib=1)


class Side(msgspec.Struct):
    """A deployment under measurement."""

    deployment: Deployment
    ledgers: Ledgers
    sinks: Sinks
    contacts: int = 0


def steps(size: Size) -> int:
    """How many lines `run` will say."""
    return len(size.maps) + 2 * len(size.contacts)


def run(size: Size, folder: Path, say: Say) -> list[dict[str, Any]]:
    """One result per axis. Data goes under `folder`."""
    with ExitStack() as stack:
        sinks = stack.enter_context(Sinks())
        environ = {"WAYFARE_MEMORY_BYTES_MAX": str(size.server_gib * 2**30)}
        begun = [Deployment(folder / name, environ=environ) for name in ("reference", "grown")]
        for deployment in begun:
            deployment.begin()
            stack.callback(deployment.stop)
        sides = [Side(stack.enter_context(each), stack.enter_context(closing(Ledgers(each.data, Config()))), sinks) for each in begun]
        reference, grown = sides
        for side in sides:
            side.deployment.publish(documents(sinks, maps=1))
            fill(side, size.reference)
        return [_maps(size, reference, grown, say), _contacts(size, reference, grown, say)]


def documents(sinks: Sinks, maps: int) -> dict[str, Any]:
    """The canonical workspace, the map that everybody waits in, and `maps` - 1 silent ones."""
    canonical = workload.documents(sinks.smtp_port)
    return {**canonical, "maps": [*canonical["maps"], SETTLED, *(_silent(number) for number in range(1, maps))]}


def _silent(number: int) -> dict[str, Any]:
    """A map of ordinary size whose events never come."""
    return {
        "map": f"silent-{number}",
        "triggers": [{"event": f"never.{number}", "where": {"event.total": {"gte": number}}}],
        "path": [
            {"id": "choice", "if": {"fields.last_total": {"gte": number}}, "then": [{"id": "tag", "change_tags": {"add": [f"silent-{number}"]}}]},
            {"id": "mail", "send_email": {"template": "receipt"}},
            {"id": "answer", "wait": {"event": f"answer.{number}", "timeout": "7d"}},
            {"id": "back", "goal": {"event": f"back.{number}"}},
            {"id": "exit", "exit": True},
        ],
    }


def fill(side: Side, contacts: int) -> float:
    """Import until a side has so many; the seconds that it took until all of them were committed."""
    begun_s, api = time.monotonic(), side.deployment.api
    for items in _imports(side.contacts, contacts):
        api.insist("POST", "/v1/contacts", items)
        wait_until_none(lambda: side.ledgers.lag() > IMPORT_LAG_MAX, 0.05)
    side.contacts = contacts
    return wait_until_none(side.ledgers.lag, 0.05, LONGEST_IMPORT_S) - begun_s


def _imports(first: int, after: int) -> Iterator[list[dict[str, Any]]]:
    """What `POST /v1/contacts` takes, made as it is needed: ten million would not fit beside what is measured."""
    for start in range(first, after, IMPORT_CONTACTS):
        numbers = range(start, min(after, start + IMPORT_CONTACTS))
        yield [{"contact": f"c{number}", "fields": {"email": f"c{number}@example.com"}, "tags": {"add": [TAG]}} for number in numbers]


def _maps(size: Size, reference: Side, grown: Side, say: Say) -> dict[str, Any]:
    """More and more silent maps, and then none again."""
    found = []
    for maps in size.maps:
        grown.deployment.publish(documents(grown.sinks, maps))
        wait_until_settled(grown.deployment)
        step = {"maps": maps, **_step(size, reference, grown, {"same": size.reference}, seed=maps), **_memory(grown)}
        found.append(step)
        say(f"{maps:,} maps: {_told(step)}")
    grown.deployment.publish(documents(grown.sinks, maps=1))
    return _result("maps", size, found, {})


def _contacts(size: Size, reference: Side, grown: Side, say: Say) -> dict[str, Any]:
    """More and more contacts."""
    found: list[dict[str, Any]] = []
    before = filled = _memory(grown)
    for contacts in size.contacts:
        imported = contacts - grown.contacts
        took_s = fill(grown, contacts)
        filled = _memory(grown)
        say(f"{contacts:,} contacts are there; {f'{imported / took_s:,.0f}/s imported' if imported else 'as many as the reference has'}")
        step = {"contacts": contacts, **_step(size, reference, grown, {"same": size.reference, "all": contacts}, seed=contacts), **_memory(grown)}
        step["checks"]["contacts that wait"] = (contacts, int(grown.deployment.metrics().total("wayfare_element_entries_total", map="settled", element="year")))
        step["holds"] = all_right(step["checks"])
        step["imported_per_s"] = round(imported / took_s) if imported else None
        found.append(step)
        say(f"{contacts:,} contacts: {_told(step)}")
    return _result("contacts", size, found, _forecast(size, before, filled, found[-1]))


def _step(size: Size, reference: Side, grown: Side, draws: dict[str, int], seed: int) -> dict[str, Any]:
    """Rounds of runs: the reference, and the grown one under each of its workloads, the first to go changing from round to round."""
    rounds = []
    checks: Checks = {}
    for number in range(size.rounds):
        turns = [("reference", reference, size.reference), *((draw, grown, contacts) for draw, contacts in draws.items())]
        first = number % len(turns)
        spent = {
            name: _run(size, side, contacts, seed * 1_000 + number * 10 + place) for place, (name, side, contacts) in enumerate(turns[first:] + turns[:first])
        }
        rounds.append({name: used for name, (used, _) in spent.items()})
        checks |= {f"{what}, {name}, round {number + 1}": pair for name, (_, counts) in spent.items() for what, pair in counts.items()}
    ratios = {draw: [round(used[draw]["engine"] / used["reference"]["engine"], 3) for used in rounds] for draw in draws}
    return {
        "cpu_us_per_event": {name: {role: median(used[name][role] for used in rounds) for role in rounds[0][name]} for name in rounds[0]},
        "ratios": {draw: {"median": median(each), "least": min(each), "most": max(each), "at_most": GROWN_AT_MOST} for draw, each in ratios.items()},
        "checks": checks,
        "holds": all_right(checks),
        "rounds": rounds,
    }


def _run(size: Size, side: Side, contacts: int, seed: int) -> tuple[dict[str, float], Checks]:
    """CPU µs per event by role, and what must be equal, of one run in a closed loop until nothing is left to do."""
    batch = min(workload.BATCH_EVENTS, size.events // 4)
    expected = workload.make(seed, size.events, contacts=1).expected  # how many of what kind does not depend on the contacts
    client = Client(side.deployment, seed=seed, events=size.events, contacts=contacts, connections=size.connections, batch=batch)
    before, taken, used = wait_until_settled(side.deployment), side.sinks.counts()["total"], cpu.seconds_by_role(side.deployment.pid)
    client.go()
    seen = client.result()
    wait_until_none(side.ledgers.lag, 0.02)
    wait_until_none(lambda: side.ledgers.pending("email"), 0.05)
    spent = cpu.per_event_us(used, cpu.seconds_by_role(side.deployment.pid), seen.accepted)
    after = wait_until_settled(side.deployment)
    spent["engine"] = round(sum(spent[role] for role in cpu.ROLES), 2)
    return spent, canonical_checks(expected, before, after, seen, side.sinks.counts()["total"] - taken)


def _memory(side: Side) -> dict[str, Any]:
    """What is resident by role, what the server's data take, and the contacts that the shard holds."""
    metrics = side.deployment.metrics()
    held, used = metrics.total("wayfare_contacts_resident"), metrics.total("wayfare_contacts_resident_bytes")
    resident = memory.resident_by_role(side.deployment.pid)
    return {
        "memory_mib": {**{role: round(found / 2**20, 1) for role, found in resident.items()}, "all": round(sum(resident.values()) / 2**20, 1)},
        "server_bytes": side.ledgers.used_bytes(),
        "contacts_resident": int(held),
        "bytes_per_resident_contact": round(used / held, 1) if held else 0.0,
    }


def _forecast(size: Size, before: dict[str, Any], filled: dict[str, Any], last: dict[str, Any]) -> dict[str, Any]:
    """Bytes of a contact, from before the first import until after the last one; and what ten million need: measured where they are there, else at that rate.

    The shard holds contacts up to `resident_bytes_max` by its own count. Its memory grows by more than that count says, what an import leaves
    behind included; the forecast takes that growth for each contact that it would hold, so it errs on the safe side.
    """
    more, goal = last["contacts"] - size.reference, FULL.contacts[-1]
    server = (filled["server_bytes"] - before["server_bytes"]) / more
    shard = (filled["memory_mib"]["shard"] - before["memory_mib"]["shard"]) * 2**20 / more
    held = min(goal, Config().resident_bytes_max / filled["bytes_per_resident_contact"])
    measured = last["contacts"] == goal
    found = last["memory_mib"]["all"] / 1024 if measured else before["memory_mib"]["all"] / 1024 + (goal * server + held * shard) / 2**30
    return {
        "server_bytes_per_contact": round(server),
        "shard_bytes_per_contact": round(shard),
        "gib_of_ten_million": {"found": round(found, 2), "at_most": size.memory_gib},
        "measured": measured,
    }


def _result(axis: str, size: Size, found: list[dict[str, Any]], more: dict[str, Any]) -> dict[str, Any]:
    """One axis; every step's ratios under its own name, as the report shows them."""
    return {
        "suite": "growth",
        "axis": axis,
        "size": msgspec.to_builtins(size),
        "ratios": {f"{step[axis]:,} {axis}, {draw}": ratio for step in found for draw, ratio in step["ratios"].items()},
        "figures": more,
        "holds": all(step["holds"] for step in found),
        "steps": [{key: value for key, value in step.items() if key != "ratios"} for step in found],
    }


def _told(step: dict[str, Any]) -> str:
    ratios = ", ".join(f"{draw} {ratio['median']:.2f}" for draw, ratio in step["ratios"].items())
    return f"CPU an event, by the reference's: {ratios}; {step['memory_mib']['all']:,.0f} MiB; {in_words(step['checks'])}"


def table(found: list[dict[str, Any]]) -> Table:
    """A line per step: cost, ratio to the reference, memory."""
    shown = Table("step", "CPU µs an event", "ratio (least to most)", "at most", "shard MiB", "server MiB", "all MiB", title="growth")
    for result in found:
        for step in result["steps"]:
            for draw, used in step["cpu_us_per_event"].items():
                ratio = result["ratios"].get(f"{step[result['axis']]:,} {result['axis']}, {draw}")
                cells = [f"{ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['most']:.2f})", f"{ratio['at_most']:.2f}"] if ratio else ["", ""]
                used_mib = [f"{step['memory_mib'][role]:,.0f}" for role in ("shard", "valkey", "all")] if ratio else ["", "", ""]
                shown.add_row(f"{step[result['axis']]:,} {result['axis']}, {draw}", f"{used['engine']:.1f}", *cells, *used_mib)
        if "gib_of_ten_million" in result["figures"]:
            needs = result["figures"]["gib_of_ten_million"]
            shown.caption = f"{result['figures']['server_bytes_per_contact']} bytes a contact in the server; ten million {'need' if result['figures']['measured'] else 'would need'} {needs['found']} of {needs['at_most']} GiB"
    return shown
