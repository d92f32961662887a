"""The twins side by side: the same random moves on memory and on Redis, and every answer must be the same."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest

from engine.ports import Settle
from engine.storage.memory import MemoryStore
from tests.conformance.conftest import CONFIG, Storage
from tests.conformance.making import claim, commit, counts, effect, take

FAR_MS = 9_000_000_000_000
ROOMY = msgspec.structs.replace(CONFIG, dead_letters_max=1_000)  # what falls off a full listing within one millisecond may differ
STATES = ["delivered", "rejected", "deferred", "unknown", "dead", "suppressed", "withdrawn", "dropped"]


class Walk:
    """Random moves on one store. The same seed makes the same moves, as long as the store gives the same answers."""

    def __init__(self, storage: Any, seed: int) -> None:
        self.storage = storage
        self.random = Random(seed)
        self.lease = take(storage)
        self.claims: list[Any] = []
        self.made = 0

    async def move(self) -> Any:
        return await self.random.choice([self.decide, self.withdraw, self.claim, self.claim, self.mark, self.settle, self.settle, self.release, self.resolve])()

    async def decide(self) -> None:
        effects = []
        for _ in range(self.random.randrange(1, 9)):
            self.made += 1
            changed = {"map": self.random.choice("ab"), "dest": self.random.choice(["", "x.example"]), "lane": self.random.choice("bbbt")}
            effects.append(effect(self.made, not_before_ms=self.random.choice([0, 0, 0, FAR_MS]), **changed))
        commit(self.storage, self.lease, effects=effects)

    async def withdraw(self) -> None:
        commit(self.storage, self.lease, withdrawn=[effect(self.random.randrange(self.made + 1)).id for _ in range(3)])

    async def claim(self) -> list[tuple[str, int]]:
        room = {"x.example": self.random.randrange(4)} if self.random.random() < 0.5 else {}
        taken = await claim(self.storage, most=self.random.randrange(1, 7), room=room)
        self.claims += taken
        return [(one.effect.id, one.attempt) for one in taken]

    async def mark(self) -> list[str]:
        return await self.storage.outbox.mark(self.some(), 600_000, once=self.random.random() < 0.5)

    async def settle(self) -> list[bool]:
        settles = [Settle(claim=one, state=self.random.choice(STATES), due_ms=self.random.choice([1, FAR_MS])) for one in self.some()]
        return await self.storage.outbox.settle([*settles, *settles[:1]])

    async def release(self) -> None:
        await self.storage.outbox.release(self.some())

    async def resolve(self) -> int:
        state, into = self.random.choice([("dead", "pending"), ("dead", "dropped"), ("unknown", "pending"), ("unknown", "delivered")])
        return await self.storage.outbox.resolve([effect(self.random.randrange(self.made + 1)).id for _ in range(6)], state, into)

    def some(self) -> list[Any]:
        return self.random.sample(self.claims[-20:], min(3, len(self.claims)))


@pytest.mark.parametrize("server", ["valkey", "redis"], indirect=True)
@pytest.mark.parametrize("seed", range(6))
async def test_both_give_the_same_answers(server, storage, seed):
    twin = Storage("memory", ROOMY, [MemoryStore(ROOMY, lambda: 1_767_600_000_000)])
    storage.outbox._config = ROOMY
    walks = Walk(storage, seed), Walk(twin, seed)
    for step in range(150):
        answers = [await walk.move() for walk in walks]
        assert answers[0] == answers[1], step
        assert await counts(storage) == await counts(twin), step
        assert storage.commits.full([0]) == twin.commits.full([0]), step
    depths = [await walk.storage.outbox.depths() for walk in walks]
    for found in depths:
        for figures in found.values():
            figures.pop("oldest_ms:t")
            figures.pop("oldest_ms:b")
    assert depths[0] == depths[1]
