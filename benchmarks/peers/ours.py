"""Ourselves, as one entry among the others: a deployment as `wayfare up` makes it, given the same work; and the same with single events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks import cpu, workload
from benchmarks.client import Client, canonical_checks, wait_until_none
from benchmarks.deployment import Deployment, Ledgers, wait_until_settled
from benchmarks.peers.by_hand import DURABLE
from benchmarks.peers.peer import WARM_SEED, Counts, Figures, Peer, Work
from engine.config import Config

LOOK_S = 0.01


class Ours(Peer):
    """`single`: one event a request, and the figure is what is accepted a second, while all the rest goes on behind it."""

    beside = ""
    events = 400_000
    unit = "connections"
    sweep: tuple[int, ...] = (4,)

    def __init__(self, durability: str, *, single: bool = False) -> None:
        self.name = f"single events, {durability}" if single else f"ours, {durability}"
        self.durability = DURABLE[durability]
        self._flags = ("--durability", durability)
        self._single = single
        if single:
            self.batch, self.sweep, self.events = 1, (16, 64, 256), 40_000

    def run(self, work: Work, concurrency: int, folder: Path) -> Figures:
        with deployed(work, concurrency, folder / "data", *self._flags) as deployment:
            return measured(deployment, work, concurrency, single=self._single)


@contextmanager
def deployed(work: Work, connections: int, data: Path, *flags: str) -> Iterator[Deployment]:
    """A deployment that knows the map and everybody's address, and has its warm-up behind it."""
    with Deployment(data, flags=flags) as deployment:
        deployment.publish(workload.documents(work.smtp_port))
        for body in workload.contact_bodies(work.contacts):
            deployment.api.request("POST", "/v1/contacts", body)
        if work.warm_events:
            warm = _client(deployment, work, WARM_SEED + work.seed, work.warm_events, connections)
            warm.go()
            warm.result()
        wait_until_settled(deployment)
        yield deployment


def measured(deployment: Deployment, work: Work, connections: int, *, single: bool) -> Figures:
    """The work, until nothing is left to do."""
    client = _client(deployment, work, work.seed, work.events, connections)
    with closing(Ledgers(deployment.data, Config())) as ledgers:
        before, used = wait_until_settled(deployment), cpu.seconds_by_role(deployment.pid)
        client.go()
        seen = client.result()
        committed_s = wait_until_none(ledgers.lag, LOOK_S)
        settled_s = wait_until_none(lambda: ledgers.pending("email"), LOOK_S)
        after = cpu.seconds_by_role(deployment.pid)
    expected = work.made().expected
    checks = canonical_checks(expected, before, wait_until_settled(deployment), seen, expected.emails)
    found = {name: got for name, (_, got) in checks.items()}
    return Figures(
        events=seen.accepted,
        wall_s=(seen.ended_s if single else settled_s) - seen.begun_s,
        cpu_s=sum(after.values()) - sum(used.values()),
        counts=Counts(found["accepted"], found["duplicates found"], found["enrolled"], found["emails delivered"]),
        committed_s=0 if single else committed_s - seen.begun_s,
        cpu_us_per_event=cpu.per_event_us(used, after, seen.accepted),
    )


def _client(deployment: Deployment, work: Work, seed: int, events: int, connections: int) -> Client:
    return Client(deployment, seed=seed, events=events, contacts=work.contacts, connections=connections, batch=work.batch)


PEERS = (Ours("relaxed"), Ours("fsync"), Ours("relaxed", single=True), Ours("fsync", single=True))
