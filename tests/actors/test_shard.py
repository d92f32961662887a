"""The shard over the memory twin: from the log to commits, timers, posts and the outbox, without Redis and without Ray."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from actions.registry import load_registry
from actors.shard import Shard
from engine.codec import decode_contact
from engine.config import Config
from engine.core.contact import Contact
from engine.core.errors import Fenced, ResultUnknown, Unavailable
from engine.core.partitioning import partition_of
from engine.core.records import Command, Erase, Event, Record, Update
from engine.core.workspace import Workspace, compile_workspace
from engine.ports import Lease, PartitionState, Settle, Snapshot
from engine.storage.memory import MemoryStore

REGISTRY = load_registry()
START_MS = 1_767_600_000_000
SHOP: dict[str, Any] = {
    "team": {"eve": {"name": "Eve", "email": "eve@example.com"}, "fay": {"name": "Fay", "email": "fay@example.com"}},
    "routers": {"inbound": {"kind": "round_robin", "members": ["eve", "fay"]}},
    "providers": {"webhook": {"allow_private": True}},
    "maps": [
        {
            "map": "shop",
            "reentry": "parallel",
            "triggers": [{"event": "order"}],
            "path": [{"update_contact": {"increase": {"orders": 1}}}, {"id": "w", "wait": "1d"}, {"change_tags": {"add": ["waited"]}}, "exit"],
        },
        {
            "map": "hook",
            "reentry": "parallel",
            "triggers": [{"event": "ping"}],
            "path": [{"id": "call", "send_webhook": {"url": "http://127.0.0.1:1/x", "method": "POST"}}, "exit"],
        },
        {
            "map": "lead",
            "triggers": [{"event": "lead"}],
            "path": [{"id": "route", "add_to_lead_router": {"router": "inbound"}}, {"change_tags": {"add": ["routed"]}}, "exit"],
        },
    ],
}


class Ring:
    """A memory store with a clock of its own, and shards over it."""

    def __init__(self, **settings: Any) -> None:
        self.config = Config(**{"partitions": 4, "lease_ms": 1_000, **settings})
        self.now_ms = START_MS
        self.store = MemoryStore(self.config, lambda: self.now_ms)

    def shard(self, name: str = "shard-1") -> Shard:
        shard = Shard(name, self.store, self.config, self.compiled)
        shard.assign(frozenset(range(self.config.partitions)))
        return shard

    def compiled(self, number: int) -> Workspace:
        snapshot = self.store.snapshots.snapshot(number) if number else None
        return compile_workspace(snapshot.documents if snapshot else {}, REGISTRY, self.config, number=number)

    async def publish(self, documents: dict[str, Any]) -> None:
        number = await self.store.workspaces.newest() + 1
        assert await self.store.workspaces.publish(Snapshot(number, documents), number - 1)

    async def append(self, *records: Record) -> None:
        for record in records:
            answers = await self.store.intake.append({partition_of(record.contact, self.config.partitions): [record]})
            assert all(isinstance(answer, int) for answer in answers.values())

    async def contact(self, contact: str) -> Contact:
        value = await self.store.directory.contact(contact)
        assert value is not None
        return decode_contact(value)

    async def counters(self) -> dict[str, int]:
        return await self.store.directory.counters()


def settle(shard: Shard) -> None:
    """Run cycles until there is nothing left to do."""
    for _ in range(100):
        if not shard.cycle():
            return
    raise AssertionError("the shard never came to rest")


@pytest.fixture
async def ring() -> Ring:
    ring = Ring()
    await ring.publish(SHOP)
    return ring


async def test_events_are_applied_once_and_in_order(ring: Ring) -> None:
    shard = ring.shard()
    await ring.append(*(Event("ann", "order", {}, f"o-{number % 5}") for number in range(10)), Update("ann", {"n": 1}), Update("ann", {"n": 2}))
    settle(shard)
    ann = await ring.contact("ann")
    assert ann.fields == {"orders": 5, "n": 2}
    assert (await ring.counters())["duplicates"] == 5


async def test_a_duplicate_takes_nothing_away_for_good(ring: Ring) -> None:
    """The guard forbids when a record is appended, before anybody knows that it is a duplicate."""
    shard = ring.shard()
    stop, again = Event("ann", "unsubscribed", {"channel": "email"}, "u-1"), Update("ann", consent={"email": "subscribed"})
    await ring.append(stop, again)
    settle(shard)
    await ring.append(stop)
    guard = ring.store.intake._partitions[partition_of("ann", ring.config.partitions)].guard
    assert guard == {"ann": "email=unsubscribed"}
    settle(shard)
    assert guard == {"ann": "email=subscribed"}
    assert (await ring.contact("ann")).consent == {"email": "subscribed"}


async def test_a_link_clicked_after_a_stop_loosens_nothing(ring: Ring) -> None:
    shard = ring.shard()
    await ring.append(Update("ann", consent={"email": "unsubscribed"}))
    await ring.store.intake.unsubscribe("ann", "email", "transactional_only")
    await ring.store.intake.unsubscribe("bob", "email", "transactional_only")
    settle(shard)
    assert (await ring.contact("ann")).consent == {"email": "unsubscribed"}
    assert (await ring.contact("bob")).consent == {"email": "transactional_only"}


async def test_a_successor_goes_on_where_the_owner_ended(ring: Ring) -> None:
    first = ring.shard()
    await ring.append(Event("ann", "order", {}, "o-1"))
    settle(first)
    ring.now_ms += 1_001
    second = ring.shard("shard-2")
    await ring.append(Event("ann", "order", {}, "o-1"), Event("ann", "order", {}, "o-2"))
    settle(second)
    assert (await ring.contact("ann")).fields == {"orders": 2}
    await ring.append(Event("ann", "order", {}, "o-3"))
    first.cycle()
    assert partition_of("ann", ring.config.partitions) not in first.owned
    settle(second)
    assert (await ring.contact("ann")).fields == {"orders": 3}


async def test_timers_fire_when_they_are_due_and_not_before(ring: Ring) -> None:
    shard = ring.shard()
    await ring.append(*(Event(f"c-{number}", "order") for number in range(50)))
    settle(shard)
    ring.now_ms += 86_399_000
    settle(shard)
    assert not (await ring.contact("c-7")).tags
    ring.now_ms += 1_000
    settle(shard)
    assert [(await ring.contact(f"c-{number}")).tags for number in range(50)] == [["waited"]] * 50
    counters = await ring.counters()
    assert (counters["map:shop:entered"], counters["map:shop:exited"], counters["map:shop:active"]) == (50, 50, 0)


async def test_round_robin_is_exact_across_partitions(ring: Ring) -> None:
    shard = ring.shard()
    await ring.append(*(Event(f"c-{number}", "lead") for number in range(40)))
    settle(shard)
    owners = [(await ring.contact(f"c-{number}")).fields["owner"] for number in range(40)]
    assert (owners.count("eve"), owners.count("fay")) == (20, 20)
    assert [(await ring.contact(f"c-{number}")).tags for number in range(40)] == [["routed"]] * 40


async def test_a_full_channel_parks_its_contacts_and_releases_them_in_order() -> None:
    ring = Ring(outbox_effects_max=5, partitions=1, batch_records_max=1, entry_records_max=1)
    await ring.publish(SHOP)
    shard = ring.shard()
    await ring.append(*(Event(f"c-{number:02}", "ping") for number in range(12)), Event("dan", "order"))
    for _ in range(30):
        shard._planner._full_asked = 0.0
        shard.cycle()
    assert (await ring.contact("dan")).fields == {"orders": 1}
    sent = []
    for _ in range(6):
        claims = await ring.store.outbox.claim("webhook", [0], "pool", 3, 1_000, {}, [])
        sent += [claim.effect.contact for claim in claims]
        await ring.store.outbox.mark(claims, 1_000, once=False)
        await ring.store.outbox.settle([Settle(claim=claim, state="delivered") for claim in claims])
        for _ in range(4):
            shard._planner._full_asked = 0.0
            shard.cycle()
    assert sent == [f"c-{number:02}" for number in range(12)]


async def test_poison_is_set_aside_and_the_rest_goes_on(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    import actors.partition as module

    real = module.step

    def poisoned(contact: Contact, record: Record | None, *rest: Any) -> None:
        real(contact, record, *rest)
        if isinstance(record, Event) and record.data.get("poison"):
            raise ZeroDivisionError("poison")

    monkeypatch.setattr(module, "step", poisoned)
    shard = ring.shard()
    await ring.append(Event("ann", "order", {}, "o-1"), Event("ann", "order", {"poison": 1}, "o-2"), Event("ann", "order", {}, "o-3"))
    settle(shard)
    assert (await ring.contact("ann")).fields == {"orders": 2}
    aside = await ring.store.directory.set_aside(10)
    assert [entry["reason"] for entry in aside] == ["ZeroDivisionError: poison"]


async def test_a_contact_that_grows_too_large_gives_the_record_back() -> None:
    ring = Ring(contact_bytes_max=20_000, effect_bytes_max=10_000)
    shard = ring.shard()
    await ring.append(Update("ann", {"a": "x" * 15_000}), Update("ann", {"b": "x" * 15_000}), Update("ann", {"c": 1}))
    settle(shard)
    assert set((await ring.contact("ann")).fields) == {"a", "c"}
    assert "contact_bytes_max" in (await ring.store.directory.set_aside(10))[0]["reason"]


async def test_erased_contacts_leave_nothing(ring: Ring) -> None:
    shard = ring.shard()
    await ring.append(Event("ann", "order"), Erase("ann"), Erase("nobody"))
    settle(shard)
    assert await ring.store.directory.contact("ann") is None
    counters = await ring.counters()
    assert (counters["contacts"], counters["map:shop:erased"]) == (0, 1)
    ring.now_ms += 10 * 86_400_000
    settle(shard)
    await ring.append(Command("ann", "add_to", "shop"))
    settle(shard)
    assert (await ring.contact("ann")).born > 0


class Faulty:
    """The real commits, with a fate for each call: lost before, lost after, or none."""

    def __init__(self, commits: Any, fates: list[str]) -> None:
        self._commits, self._fates = commits, fates

    def __getattr__(self, name: str) -> Any:
        return getattr(self._commits, name)

    def commit(self, commits: Any) -> list[Exception | None]:
        fate = self._fates.pop(0) if self._fates else ""
        if fate == "before":
            return [ResultUnknown("lost") for _ in commits]
        results: list[Exception | None] = self._commits.commit(commits)
        return [ResultUnknown("lost") for _ in commits] if fate == "after" else results

    def look(self, lease: Any) -> int:
        if self._fates and self._fates[0] == "away":
            self._fates.pop(0)
            raise Unavailable("away")
        number: int = self._commits.look(lease)
        return number


@pytest.mark.parametrize("fates", [["before"], ["after"], ["before", "away", "before"], ["after", "away"], ["", "after", "before"]])
async def test_lost_replies_change_nothing(ring: Ring, fates: list[str]) -> None:
    ring.store.commits = Faulty(ring.store.commits, fates)  # type: ignore[assignment]
    shard = ring.shard()
    for number in range(6):
        await ring.append(Event("ann", "order", {}, f"o-{number}"), Event("bob", "order", {}, f"o-{number}"))
        settle(shard)
    assert (await ring.contact("ann")).fields == {"orders": 6}
    assert (await ring.contact("bob")).fields == {"orders": 6}
    assert (await ring.counters())["map:shop:entered"] == 12


async def test_storage_that_goes_away_between_step_and_commit_loses_nothing(ring: Ring) -> None:
    shard = ring.shard()
    await ring.append(Event("ann", "order", {}, "o-1"))
    real = ring.store.commits.commit

    def away(commits: Any) -> list[Exception | None]:
        ring.store.commits.commit = real  # type: ignore[method-assign]
        raise Unavailable("away")

    ring.store.commits.commit = away  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        settle(shard)
    settle(shard)
    assert (await ring.contact("ann")).fields == {"orders": 1}


async def test_a_fenced_commit_drops_the_partition(ring: Ring) -> None:
    shard = ring.shard()
    settle(shard)
    await ring.append(Event("ann", "order", {}, "o-1"))
    ring.now_ms += 1_001
    number = partition_of("ann", ring.config.partitions)
    assert ring.store.leases.acquire(number, "other", 1_000) is not None
    shard.cycle()
    assert number not in shard.owned
    with pytest.raises(Fenced):
        ring.store.commits.look(Lease(number, "shard-1", "an old token", 1))


async def test_a_record_that_kills_its_owners_is_set_aside(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    """Owners die without a word in the middle of a batch; what killed them is found by stepping one by one, and nothing else is lost."""
    import actors.partition as module

    real = module.step

    class Death(BaseException):
        """A killed process runs no handler."""

    def deadly(contact: Contact, record: Record | None, *rest: Any) -> None:
        if isinstance(record, Event) and record.data.get("deadly"):
            raise Death
        real(contact, record, *rest)

    settle(ring.shard())
    ring.now_ms += 1_001
    await ring.append(*(Event("ann", "order", {"deadly": 1} if number == 3 else {}, f"o-{number}") for number in range(6)))
    monkeypatch.setattr(module, "step", deadly)
    deaths = 0
    for number in range(6):
        shard = ring.shard(f"shard-{number + 2}")
        try:
            settle(shard)
            break
        except Death:
            deaths += 1
            ring.now_ms += 1_001
    assert (await ring.contact("ann")).fields == {"orders": 5}
    assert [entry["reason"] for entry in await ring.store.directory.set_aside(9)] == ["its owner died while stepping it alone"]
    assert deaths <= 6


BIRTHDAYS: dict[str, Any] = {
    **SHOP,
    "maps": [
        *SHOP["maps"],
        {
            "map": "birthday",
            "triggers": [{"date": {"field": "birthday", "time": "09:00", "yearly": True}}],
            "path": [{"update_contact": {"increase": {"birthdays": 1}}}, "exit"],
        },
    ],
}


async def test_dates_are_armed_for_contacts_that_were_there_before_the_map() -> None:
    ring = Ring(timers_per_batch_max=7)
    await ring.publish(SHOP)
    shard = ring.shard()
    await ring.append(*(Update(f"c-{number}", {"birthday": "1990-01-09"}) for number in range(40)), Event("c-1", "lead"))
    settle(shard)
    await ring.publish(BIRTHDAYS)
    settle(shard)
    assert all(state.scan == 0 for state in (await ring.store.directory.states()).values())
    ring.now_ms += 10 * 86_400_000
    settle(shard)
    assert [(await ring.contact(f"c-{number}")).fields.get("birthdays") for number in range(40)] == [1] * 40


async def test_a_scan_that_its_owner_did_not_finish_is_begun_again() -> None:
    ring = Ring(timers_per_batch_max=3, partitions=1)
    await ring.publish(SHOP)
    first = ring.shard()
    await ring.append(*(Update(f"c-{number}", {"birthday": "1990-01-09"}) for number in range(20)))
    settle(first)
    await ring.publish(BIRTHDAYS)
    for _ in range(3):
        first.cycle()
    assert (await ring.store.directory.states())[0].scan == 2
    ring.now_ms += 1_001
    second = ring.shard("shard-2")
    settle(second)
    ring.now_ms += 10 * 86_400_000
    settle(second)
    assert [(await ring.contact(f"c-{number}")).fields.get("birthdays") for number in range(20)] == [1] * 20


async def test_an_id_that_was_erased_can_come_back(ring: Ring) -> None:
    shard = ring.shard()
    await ring.append(Event("ann", "order"), Erase("ann"))
    settle(shard)
    await ring.append(Event("ann", "ping"))
    settle(shard)
    number = partition_of("ann", ring.config.partitions)
    claims = await ring.store.outbox.claim("webhook", [number], "pool", 5, 1_000, {}, [])
    assert await ring.store.outbox.mark(claims, 1_000, once=False) == [""]


async def test_a_lease_that_is_lost_before_its_partition_is_loaded_ends_nothing(ring: Ring) -> None:
    real = ring.store.commits.load

    def late(lease: Lease) -> PartitionState:
        ring.store.commits.load = real  # type: ignore[method-assign]
        raise Fenced("another owner holds this partition")

    ring.store.commits.load = late  # type: ignore[method-assign]
    shard = ring.shard()
    settle(shard)
    assert len(shard.owned) == ring.config.partitions - 1
    ring.now_ms += 1_001
    await ring.append(Event("ann", "order"))
    settle(shard)
    assert len(shard.owned) == ring.config.partitions


async def test_a_careful_step_that_lost_its_lease_is_fenced_by_its_commit(ring: Ring) -> None:
    shard = ring.shard()
    settle(shard)
    number = partition_of("ann", ring.config.partitions)
    shard.owned[number].partition._careful_until = 1_000
    await ring.append(Event("ann", "order"))
    ring.now_ms += 1_001
    assert ring.store.leases.acquire(number, "other", 1_000) is not None
    shard.cycle()
    assert number not in shard.owned


async def woken(ring: Ring) -> list[int]:
    """The numbers of the contacts whose wait is over."""
    return [number for number in range(60) if (await ring.contact(f"c-{number}")).tags]


async def test_a_storm_of_timers_goes_in_slices_with_fresh_records_in_between() -> None:
    ring = Ring(timers_per_cycle_max=5)
    late_s: list[float] = []
    await ring.publish(SHOP)
    shard = ring.shard()
    shard._measure = lambda name, value: late_s.append(value) if name == "timer_lateness_seconds" else None
    await ring.append(*(Event(f"c-{number}", "order") for number in range(60)))
    settle(shard)
    ring.now_ms += 86_400_000 + 1_500
    for cycle in range(1, 20):
        await ring.append(Event(f"fresh-{cycle}", "order"))
        shard.cycle()
        assert (await ring.contact(f"fresh-{cycle}")).fields == {"orders": 1}
        assert min(40, 5 * cycle) <= len(await woken(ring)) <= 5 * cycle
    assert len(await woken(ring)) == 60
    assert late_s[0] == 1.5
    assert not any(owned.crowded for owned in shard.owned.values())


async def test_crowded_partitions_take_turns() -> None:
    ring = Ring(timers_per_cycle_max=2)
    await ring.publish(SHOP)
    shard = ring.shard()
    await ring.append(*(Event(f"c-{number}", "order") for number in range(60)))
    settle(shard)
    ring.now_ms += 86_400_001
    for _ in range(5):
        shard.cycle()
    found = await woken(ring)
    assert len(found) == 10
    assert {partition_of(f"c-{number}", 4) for number in found} == {0, 1, 2, 3}


async def test_a_trickle_is_worked_off_in_handfuls() -> None:
    """After a cycle that found little the shard waits a moment for more; after a full one it goes on at once."""
    ring = Ring(cycle_records_min=3, cycle_wait_ms=4, batch_records_max=3, entry_records_max=3)
    await ring.publish(SHOP)
    shard = ring.shard()
    settle(shard)
    await ring.append(*(Event("ann", "order.placed", {"total": 1}) for _ in range(4)))

    class Stop(threading.Event):
        waits: list[float | None] = []

        def wait(self, timeout: float | None = None) -> bool:
            self.waits.append(timeout)
            if len(self.waits) == 2:
                self.set()
            return self.is_set()

    stop = Stop()
    shard.run(stop)
    assert stop.waits == [0.004, 0.002], "three records, then one, then none"
