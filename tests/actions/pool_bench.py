"""A pool over the memory twin, with a clock that the tests move and a provider that does as it is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from actions.limits import Limits
from actions.messages import Message, Request
from actions.pool import Pool, PoolBatch
from actions.providers.provider import DELIVERED, Dispatch, Provider, Report, Result
from engine.config import Config
from engine.core.effects import Effect, effect_id
from engine.core.partitioning import partition_of
from engine.ports import Commit
from engine.storage.memory import MemoryStore

START_MS = 1_767_603_600_000


class Told(Provider):
    """Answers as `answer` says, and remembers what it was handed."""

    name, channel = "told", "any"
    not_accepted = frozenset({"connect"})

    def __init__(self, answer: Callable[[Dispatch], Result | None], *, by_host: bool = False) -> None:
        self.answer = answer
        self.by_host = by_host  # type: ignore[misc]
        self.sent: list[Dispatch] = []
        self.batches: list[int] = []

    async def send(self, dispatches: Sequence[Dispatch], report: Report) -> None:
        self.batches.append(len(dispatches))
        for dispatch in dispatches:
            self.sent.append(dispatch)
            result = self.answer(dispatch)
            if result is not None:
                report(dispatch, result)

    def to(self, dest: str) -> int:
        return sum(dispatch.effect.dest == dest for dispatch in self.sent)


def fine(_: Dispatch) -> Result:
    return Result(state=DELIVERED)


def message_of(effect: Effect, workspace: Any) -> Message:
    if effect.params.get("broken"):
        raise ZeroDivisionError("a template with a bug")
    return Request(method="POST", url=f"https://{effect.dest}/", body=effect.id)


class Bench:
    """One store, one clock, as many pools as a test wants."""

    def __init__(self, **config: Any) -> None:
        self.now_ms = START_MS
        self.config = Config(**{"partitions": 4} | config)
        self.store = MemoryStore(self.config, lambda: self.now_ms)
        self.batches: list[PoolBatch] = []
        self._leases = [self.store.leases.acquire(number, "shard", 10**12) for number in range(self.config.partitions)]
        self._decided = 0

    def pool(
        self,
        channel: str,
        provider: Provider | None,
        limits: Limits | None = None,
        owner: str = "pool-1",
        render: Callable[[Effect, Any], Message] = message_of,
    ) -> Pool:
        async def workspace_of(number: int) -> Any:
            return {"number": number} if number == 1 else None

        return Pool(
            channel,
            self.store.outbox,
            self.store.budget,
            provider,
            workspace_of,
            self.config,
            lambda: self.now_ms,
            limits=limits or Limits(channel, once=channel != "webhook"),
            owner=owner,
            render=render,
            observe=self.batches.append,
        )

    def decide(
        self, channel: str, dest: str = "", count: int = 1, *, contact: str = "", lane: str = "b", consent: str = "", snapshot: int = 1, **params: Any
    ) -> list[str]:
        """Commit effects, each of a contact of its own unless one is named; their ids."""
        groups: dict[int, list[Effect]] = {}
        ids = []
        for _ in range(count):
            self._decided += 1
            who = contact or f"c{self._decided}"
            made = effect_id(who, 0, 1, self._decided, 1)
            effect = Effect(made, who, f"send_{channel}", channel, lane, dest, "m", 1, "e", 1, self._decided, 1, snapshot, self.now_ms, params, consent=consent)
            groups.setdefault(partition_of(who, self.config.partitions), []).append(effect)
            ids.append(made)
        for number, effects in groups.items():
            lease = self._leases[number]
            assert lease is not None
            state = self.store.commits.load(lease)
            commit = Commit(expected=state.commit, offset=state.offset, time_ms=self.now_ms, snapshot=1, effects=effects)
            assert self.store.commits.commit([(lease, commit)]) == [None]
        return ids

    async def work(self, *pools: Pool, turns: int = 50) -> None:
        """Turn each pool until it has nothing to do at this instant."""
        for _ in range(turns):
            busy = [await pool.turn() for pool in pools]
            for pool in pools:
                await pool.settled()
            if not any(busy):
                return

    async def counts(self, channel: str) -> dict[str, int]:
        """Effects of a channel by state, without those that are zero."""
        found: dict[str, int] = {}
        for name, value in (await self.store.directory.counters()).items():
            kind, _, rest = name.partition(":")
            if kind == "fx" and rest.startswith(f"{channel}:") and value:
                found[rest.partition(":")[2]] = value
        return found

    def outcomes(self) -> list[Any]:
        """Every outcome record in the logs."""
        read = self.store.log.read({lease.partition: self.store.commits.load(lease).offset for lease in self._leases if lease}, 10_000)
        return [record for batches in read.batches.values() for batch in batches for record in batch.records]
