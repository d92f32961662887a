"""The canonical suite: the whole ring under the canonical workload, per durability.

Throughput, `RUNS` times on one deployment: the client sends in a closed loop, then the logs and the outbox are waited empty.
Accepted per second ends with the last 202, committed per second with the last commit. Latency: an open loop at half of the
median committed rate, with markers: single events of contacts of their own, each asked for over HTTP until its contact is
there, so the figure is what a user sees, `LOOK_MS` of looking included.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import msgspec
from rich.table import Table

from benchmarks import cpu, workload
from benchmarks.client import DRAIN_S_MAX, Client, all_right, canonical_checks, in_words, wait_until_none
from benchmarks.deployment import Api, Deployment, Ledgers, Metrics, Sinks, wait_until_settled
from engine.config import Config

DURABILITIES = ("fsync", "relaxed")
RUNS = 5
LOOK_MS = 2
MARKERS_PER_S = 10
LATENCY_SHARE = 0.5

Say = Callable[[str], None]


class Size(msgspec.Struct, frozen=True):
    """How much work a run is. `small` is what the tests run, so that the suite cannot rot."""

    events: int = 400_000
    contacts: int = workload.CONTACTS
    runs: int = RUNS
    latency_s: float = 10
    connections: int = 4
    durabilities: tuple[str, ...] = DURABILITIES


FULL = Size()
SMALL = Size(events=6_000, contacts=2_000, runs=2, latency_s=1, connections=2, durabilities=("fsync",))


def steps(size: Size) -> int:
    """How many lines `run` will say."""
    return (size.runs + 1) * len(size.durabilities)


def run(size: Size, folder: Path, say: Say) -> list[dict[str, Any]]:
    """One result per durability. Data goes under `folder`."""
    return [_measure(size, folder / durability, durability, say) for durability in size.durabilities]


def _measure(size: Size, data: Path, durability: str, say: Say) -> dict[str, Any]:
    """All runs of one durability on one deployment."""
    with Sinks() as sinks, Deployment(data, flags=("--durability", durability)) as deployment, closing(Ledgers(data, Config())) as ledgers:
        deployment.publish(workload.documents(sinks.smtp_port))
        for body in workload.contact_bodies(size.contacts):
            deployment.api.request("POST", "/v1/contacts", body)
        runs = []
        for number in range(1, size.runs + 1):
            runs.append(_throughput(size, deployment, ledgers, sinks, seed=number))
            say(f"{durability}: run {number} of {size.runs}: {runs[-1]['committed_per_s']:,.0f} events/s committed, {in_words(runs[-1]['checks'])}")
        committed = median(found["committed_per_s"] for found in runs)
        latency = _latency(size, deployment, committed * LATENCY_SHARE)
        say(f"{durability}: p50 {latency['p50_ms']} ms, p99 {latency['p99_ms']} ms from acceptance to commit, at {latency['events_per_s']:,.0f} events/s")
        resident = _resident(deployment.metrics())
    medians = {name: median(found[name] for found in runs) for name in ("accepted_per_s", "committed_per_s", "effects_per_s")}
    medians["cpu_us_per_event"] = {role: median(found["cpu_us_per_event"][role] for found in runs) for role in runs[0]["cpu_us_per_event"]}
    return {
        "suite": "canonical",
        "durability": durability,
        "size": msgspec.to_builtins(size),
        "medians": medians,
        "latency": latency,
        **resident,
        "holds": all(found["holds"] for found in runs),
        "runs": runs,
    }


def _throughput(size: Size, deployment: Deployment, ledgers: Ledgers, sinks: Sinks, seed: int) -> dict[str, Any]:
    """One closed-loop run: as fast as the gateway takes it, then until nothing is left to do."""
    expected = workload.make(seed, size.events, size.contacts).expected
    client = _client(deployment, size, seed, size.events)
    before, used, taken = wait_until_settled(deployment), cpu.seconds_by_role(deployment.pid), sinks.counts()["total"]
    sink_s = cpu.seconds_of(sinks.pid)
    client.go()
    seen = client.result()
    committed_s = wait_until_none(ledgers.lag, 0.02)
    settled_s = wait_until_none(lambda: ledgers.pending("email"), 0.1)
    spent = cpu.per_event_us(used, cpu.seconds_by_role(deployment.pid), seen.accepted)
    spent["client"] = round(seen.cpu_s / seen.accepted * 1e6, 2)
    spent["sinks"] = round((cpu.seconds_of(sinks.pid) - sink_s) / seen.accepted * 1e6, 2)
    checks = canonical_checks(expected, before, wait_until_settled(deployment), seen, sinks.counts()["total"] - taken)
    return {
        "accepted_per_s": round(seen.accepted / (seen.ended_s - seen.begun_s)),
        "committed_per_s": round(seen.accepted / (committed_s - seen.begun_s)),
        "effects_per_s": round(expected.emails / (settled_s - seen.begun_s)),
        "request_ms": _percentiles(seen.latencies_ms),
        "refused_for_the_moment": seen.retried,
        "cpu_us_per_event": spent,
        "checks": checks,
        "holds": all_right(checks),
    }


def _client(deployment: Deployment, size: Size, seed: int, events: int, rate: float = 0) -> Client:
    """A load process for this size; a small one sends its few events in four requests."""
    batch = min(workload.BATCH_EVENTS, max(1, events // 4))
    return Client(deployment, seed=seed, events=events, contacts=size.contacts, connections=size.connections, rate=rate, batch=batch)


def _latency(size: Size, deployment: Deployment, rate: float) -> dict[str, Any]:
    """An open loop in the background, and markers through it: from the 202 to the contact's being there."""
    client = _client(deployment, size, 10_000, max(100, int(rate * size.latency_s)), rate)
    api = Api(deployment.url, deployment.key)
    waits_ms: list[float] = []
    client.go()
    try:
        while client.running():
            started = time.monotonic()
            waits_ms.append(_marker(api, deployment, f"marker-{len(waits_ms)}"))
            time.sleep(max(0, 1 / MARKERS_PER_S - (time.monotonic() - started)))
    finally:
        api.close()
        client.kill()
    seen = client.result()
    wait_until_settled(deployment, DRAIN_S_MAX)
    return {"events_per_s": round(rate), "markers": len(waits_ms), **_percentiles(waits_ms), "request_ms": _percentiles(seen.latencies_ms)}


def _marker(api: Api, deployment: Deployment, contact: str) -> float:
    """Milliseconds from the 202 for a contact's first event until the contact can be read."""
    api.json("POST", "/v1/events", {"contact": contact, "name": "order.placed", "data": {"total": 20, "notify": False}})
    accepted = time.monotonic()
    while deployment.contact(contact) is None:
        time.sleep(LOOK_MS / 1000)
    return (time.monotonic() - accepted) * 1000


def _percentiles(values: list[float]) -> dict[str, float]:
    """p50 and p99 in milliseconds."""
    cuts = quantiles(values, n=100, method="inclusive") if len(values) > 1 else values * 99
    return {"p50_ms": round(cuts[49], 2), "p99_ms": round(cuts[98], 2)}


def _resident(metrics: Metrics) -> dict[str, float]:
    """Contacts in the shards' memory, and the bytes of each."""
    contacts, used = metrics.total("wayfare_contacts_resident"), metrics.total("wayfare_contacts_resident_bytes")
    return {"contacts_resident": int(contacts), "bytes_per_resident_contact": round(used / contacts, 1) if contacts else 0.0}


def table(found: list[dict[str, Any]]) -> Table:
    """The medians, one column per durability."""
    shown = Table("median", *(each["durability"] for each in found), title="canonical workload")
    rows: dict[str, list[str]] = {
        "events/s accepted": [f"{each['medians']['accepted_per_s']:,.0f}" for each in found],
        "events/s committed": [f"{each['medians']['committed_per_s']:,.0f}" for each in found],
        "effects/s delivered": [f"{each['medians']['effects_per_s']:,.0f}" for each in found],
        "p50, p99 from acceptance to commit": [f"{each['latency']['p50_ms']} ms, {each['latency']['p99_ms']} ms" for each in found],
        "  at events/s": [f"{each['latency']['events_per_s']:,.0f}" for each in found],
        "bytes per resident contact": [f"{each['bytes_per_resident_contact']}" for each in found],
        "all counts right": ["yes" if each["holds"] else "NO" for each in found],
    }
    for role in found[0]["medians"]["cpu_us_per_event"]:
        rows[f"CPU µs per event: {role}"] = [f"{each['medians']['cpu_us_per_event'][role]:.2f}" for each in found]
    for name, cells in rows.items():
        shown.add_row(name, *cells)
    return shown
