"""Records, effects and commits for the storage tests, with all that a test does not care about filled in."""

from __future__ import annotations

from typing import Any

from engine.core.effects import BULK, Effect
from engine.core.records import Event
from engine.ports import Commit, Lease


def events(count: int, contact: str = "ann", name: str = "order.placed") -> list[Event]:
    return [Event(contact, name, {"n": number}) for number in range(count)]


def effect(number: int | str, **changed: Any) -> Effect:
    fields: dict[str, Any] = {
        "id": f"{number:0>32}",
        "contact": "ann",
        "kind": "send_email",
        "channel": "email",
        "lane": BULK,
        "dest": "",
        "map": "welcome",
        "version": 1,
        "element": "thanks",
        "enrollment": 1,
        "hop": 1,
        "ordinal": 0,
        "snapshot": 1,
        "decided_ms": 1_000,
        "params": {"to": "ann@example.com"},
    }
    return Effect(**{**fields, **changed})


def take(storage: Any, partition: int = 0, owner: str = "shard-1", ttl_ms: int = 60_000) -> Lease:
    lease = storage.leases.acquire(partition, owner, ttl_ms)
    assert lease is not None
    return lease


def commit(storage: Any, lease: Lease, **changed: Any) -> Commit:
    """Commit on top of what stands there, which must succeed; offset and time as before unless given."""
    state = storage.commits.load(lease)
    made = Commit(**{"expected": state.commit, "offset": state.offset, "time_ms": state.time_ms, "snapshot": state.snapshot, **changed})
    assert storage.commits.commit([(lease, made)]) == [None]
    return made


async def claim(storage: Any, channel: str = "email", most: int = 100, lease_ms: int = 30_000, **changed: Any) -> list[Any]:
    """Claim in partition 0 alone, so that shares do not matter."""
    asked = {"room": {}, "closed": [], "partitions": [0], **changed}
    return await storage.outbox.claim(channel, asked["partitions"], "pool-1", most, lease_ms, asked["room"], asked["closed"])


async def counts(storage: Any, channel: str = "email") -> dict[str, int]:
    """The counters of a channel that are not zero, checked for conservation."""
    found = {name.removeprefix(f"fx:{channel}:"): count for name, count in (await storage.directory.counters()).items() if name.startswith(f"fx:{channel}:")}
    decided = found.pop("decided", 0)
    assert decided == sum(found.values()), found
    assert all(count >= 0 for count in found.values()), found
    return {name: count for name, count in found.items() if count}
