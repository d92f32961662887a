"""The outbox in Redis: every move of an effect is a script that checks the state, the token, and keeps the counters.

Effects of many partitions are claimed, marked and settled in one pipelined round trip.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.codec import decode_effect, encode
from engine.config import Config
from engine.core.errors import WayfareError
from engine.ports import DEFAULT_CONSENT, Claim, Settle
from engine.storage.effect_values import RESOLVES, effect_of, state_of
from engine.storage.listing import add_depths, entry_of, outcome_of, wanted
from engine.storage.redis_call import Argument, Call, beyond, checked, command, only, partition_key, script
from engine.storage.redis_client import AsyncRedisClient
from engine.storage.redis_log import milliseconds
from engine.storage.shares import by_backlog, parted

_PAGE = 500  # effects looked at in one round trip of a listing


def claim_call(partition: int, channel: str, token: str, most: int, lease_ms: int, room: Mapping[str, int], closed: Sequence[str], config: Config) -> Call:
    """Claim in one partition; the answer is (effects still queued, claims)."""
    args: list[Argument] = [channel, token, lease_ms, most, config.claim_quantum, config.sweep_max, config.claim_visits_max, config.dead_letters_max]
    args += [len(closed), *closed]
    for dest, free in room.items():
        args += [dest, free]

    def parse(reply: list[Any]) -> tuple[int, list[Claim]]:
        fields = iter(reply[1:])
        return reply[0], [
            Claim(partition, token, attempt, decode_effect(blob), guard.decode(), first)
            for attempt, guard, first, blob in zip(fields, fields, fields, fields, strict=True)
        ]

    return script("claim", partition, *args, parse=parse)


def mark_call(partition: int, claims: Sequence[Claim], lease_ms: int, once: bool, defaults: Mapping[str, str]) -> Call:
    """Mark claims of one partition; the answer is a text for each."""
    args: list[Argument] = [lease_ms, "m" if once else "r"]
    for claim in claims:
        effect = claim.effect
        args += [effect.id, claim.token, effect.consent, defaults.get(effect.consent, ""), effect.lane]
    return script("mark", partition, *args, parse=lambda reply: [text.decode() for text in reply])


def settle_call(partition: int, settles: Sequence[Settle], config: Config) -> Call:
    """Settle effects of one partition and append the outcomes asked for; the answer is a bool for each."""
    args: list[Argument] = [config.log_records_max + config.log_reserve_records, config.dead_letters_max]
    for settle in settles:
        outcome = encode(outcome_of(settle)) if settle.report else b""
        args += [settle.claim.effect.id, settle.claim.token, settle.state, settle.due_ms, int(settle.attempted), settle.reason, outcome]
    return script("settle", partition, *args, parse=lambda reply: [bool(done) for done in reply])


class RedisOutbox:
    """Effects after their commit, for pools."""

    def __init__(self, client: AsyncRedisClient, config: Config) -> None:
        self._client = client
        self._config = config
        self._partitions = range(config.partitions)
        self._backlog: defaultdict[tuple[str, int], int] = defaultdict(int)  # queued effects by channel and partition, when last seen
        self._turn = 0

    async def claim(
        self, channel: str, partitions: Sequence[int], owner: str, most: int, lease_ms: int, room: Mapping[str, int], closed: Sequence[str]
    ) -> list[Claim]:
        """Take up to `most` effects, in one round trip over the partitions; what is known to wait is fetched from few of them."""
        if not partitions:
            return []
        self._turn += 1
        token = secrets.token_hex(16)
        shares = by_backlog(most, [self._backlog[channel, partition] for partition in partitions], self._turn)
        rooms = {dest: parted(free, shares) for dest, free in room.items()}
        asked = [index for index, share in enumerate(shares) if share]
        calls = [
            claim_call(partitions[index], channel, token, shares[index], lease_ms, {dest: parts[index] for dest, parts in rooms.items()}, closed, self._config)
            for index in asked
        ]
        claims: list[Claim] = []
        for index, (queued, taken) in zip(asked, checked(await self._client.run(calls)), strict=True):
            partition = partitions[index]
            self._backlog[channel, partition] = queued
            claims += taken
        return claims

    async def mark(self, claims: Sequence[Claim], lease_ms: int, *, once: bool, defaults: Mapping[str, str] | None = None) -> list[str]:
        """The point of no return; per claim "" (go), or why not."""
        consent = DEFAULT_CONSENT if defaults is None else defaults
        groups = _by_partition([claim.partition for claim in claims])
        calls = [mark_call(partition, [claims[index] for index in indexes], lease_ms, once, consent) for partition, indexes in groups.items()]
        return _in_order(groups, checked(await self._client.run(calls)), len(claims))

    async def settle(self, settles: Sequence[Settle]) -> list[bool]:
        """Settle; False where the token no longer holds or the move is illegal. Full is raised where an outcome finds no room."""
        groups = _by_partition([settle.claim.partition for settle in settles])
        parts = [(partition, part) for partition, indexes in groups.items() for part in _parts(indexes, self._config.entry_records_max)]
        calls = [settle_call(partition, [settles[index] for index in part], self._config) for partition, part in parts]
        answers = checked(await self._client.run(calls))
        return _in_order(dict(enumerate(part for _, part in parts)), answers, len(settles))

    async def release(self, claims: Sequence[Claim]) -> None:
        """Give unmarked claims back, to the front of their queues."""
        groups = _by_partition([claim.partition for claim in claims])
        calls = [
            script("giveback", partition, *(part for index in indexes for part in (claims[index].effect.id, claims[index].token)))
            for partition, indexes in groups.items()
        ]
        checked(await self._client.run(calls))

    async def depths(self) -> dict[str, dict[str, int]]:
        """Per channel, how full the outbox is; see the port."""
        time_call = command("TIME", parse=milliseconds)
        fields = [command("HKEYS", partition_key(partition, "fxn")) for partition in self._partitions]
        now_ms, *names = checked(await self._client.run([time_call, *fields]))
        channels = [sorted({name.decode().rpartition(":")[0] for name in found}) for found in names]
        found = checked(await self._client.run([script("depths", partition, *channels[partition], writes=False) for partition in self._partitions]))
        depths: dict[str, dict[str, int]] = {}
        for partition in self._partitions:
            for channel, figures in zip(channels[partition], found[partition], strict=True):
                add_depths(depths.setdefault(channel, {}), figures, now_ms)
        return depths

    async def listing(self, state: str, most: int, *, channel: str = "", map_id: str = "", reason: str = "", since_ms: int = 0) -> list[dict[str, Any]]:
        """Dead letters (`dead`) or `unknown` effects that pass the filters, newest first."""
        found = [
            entry
            for partition in self._partitions
            for entry in await self._listed(partition, state, most, lambda line: wanted(line, channel, map_id, reason, since_ms))
        ]
        return sorted(found, key=lambda entry: -int(entry["at_ms"]))[:most]

    async def resolve(self, effect_ids: Sequence[str], state: str, into: str) -> int:
        """Move listed effects; how many moved. An id does not tell its partition, so each is asked."""
        if into not in RESOLVES.get(state, ()):
            raise WayfareError(f"an effect that is {state} cannot become {into}")
        calls = [script("resolve", partition, state, into, *part) for part in _parts(effect_ids, _PAGE) for partition in self._partitions]
        return sum(checked(await self._client.run(calls)))

    async def stop(self, what: str, stopped: bool) -> None:
        """The red button: written to every partition, in one round trip."""
        change = ("HSET", (what, 1)) if stopped else ("HDEL", (what,))
        checked(await self._client.run([beyond(change[0], partition_key(partition, "stop"), *change[1]) for partition in self._partitions]))

    async def stopped(self) -> list[str]:
        """What is stopped now."""
        return sorted(what.decode() for what in only(await self._client.run([command("HKEYS", partition_key(0, "stop"))])))

    async def _listed(self, partition: int, state: str, most: int, passes: Any) -> list[dict[str, Any]]:
        """Up to `most` lines of one partition, newest first, a page at a time."""
        lines: list[dict[str, Any]] = []
        for start in range(0, self._config.dead_letters_max + 1, _PAGE):
            ids = only(await self._client.run([command("ZREVRANGE", partition_key(partition, state), start, start + _PAGE - 1)]))
            if not ids:
                break
            calls = [command("HMGET", partition_key(partition, table), *ids) for table in ("fx", "fxs")]
            for value, text in zip(*checked(await self._client.run(calls)), strict=True):
                if value is None:
                    continue  # settled since the page was read
                held = state_of(text)
                line = entry_of(effect_of(value), held.reason, held.attempts, held.at_ms)
                if passes(line):
                    lines.append(line)
            if len(lines) >= most:
                break
        return lines[:most]


def _by_partition(partitions: Sequence[int]) -> dict[int, list[int]]:
    """Indexes by partition, in order."""
    groups: dict[int, list[int]] = {}
    for index, partition in enumerate(partitions):
        groups.setdefault(partition, []).append(index)
    return groups


def _parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]


def _in_order(groups: Mapping[int, Sequence[int]], answers: Sequence[Sequence[Any]], count: int) -> list[Any]:
    """Answers of groups, each put where its index says."""
    ordered: list[Any] = [None] * count
    for indexes, group in zip(groups.values(), answers, strict=True):
        for index, value in zip(indexes, group, strict=True):
            ordered[index] = value
    return ordered
