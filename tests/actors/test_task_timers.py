"""Reminders of tasks are timers in storage: whoever owns the partition when one is due sends it, once."""

from __future__ import annotations

from typing import Any

from engine.core.records import Command, Event
from tests.actors.test_shard import Ring, settle

HOUR_MS = 3_600_000
WORKSPACE: dict[str, Any] = {
    "team": {"eve": {"email": "eve@example.com"}},
    "providers": {"email": {"provider": "smtp", "host": "h"}},
    "maps": [
        {
            "map": "m",
            "triggers": [{"event": "go"}],
            "path": [{"id": "call", "assign_task": {"subject": "Call", "to": "user:eve", "due": "3h", "remind": ["2h", "1h"], "notify": ["email"]}}, "exit"],
        }
    ],
}


async def decided(ring: Ring) -> int:
    return (await ring.counters()).get("fx:email:decided", 0)


async def test_reminders_outlive_their_shard_and_end_with_the_task() -> None:
    ring = Ring()
    await ring.publish(WORKSPACE)
    shard = ring.shard()
    await ring.append(Event("ann", "go"), Event("bob", "go"))
    settle(shard)
    assert await decided(ring) == 2
    ring.now_ms += HOUR_MS
    shard = ring.shard("shard-2")  # the first one is gone
    settle(shard)
    assert await decided(ring) == 4
    settle(shard)
    assert await decided(ring) == 4
    await ring.append(Command("ann", "complete_task", (await ring.contact("ann")).tasks[0].id))
    settle(shard)
    ring.now_ms += 5 * HOUR_MS
    settle(ring.shard("shard-3"))  # an outage: bob's second reminder and the word that it is overdue come together
    assert await decided(ring) == 6
    assert await ring.store.directory.timers() == 0
    assert set(await ring.store.directory.rows("tasks")) == {(await ring.contact("bob")).tasks[0].id}
