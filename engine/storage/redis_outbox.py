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
from engine.storage.shares import by_need, parted

_PAGE = 500  # effects looked at in one round trip of a listing


def claim_call(partition: int, channel: str, token: str, most: int, lease_ms: int, room: Mapping[str, int], closed: Sequence[str], config: Config) -> Call:
    """Claim in one partition."""
    args: list[Argument] = [channel, token, lease_ms, most, config.claim_quantum, config.sweep_max, config.claim_visits_max, config.dead_letters_max]
    args += [len(closed), *closed]
    for dest, free in room.items():
        args += [dest, free]

    def parse(reply: list[Any]) -> list[Claim]:
        fields = iter(reply)
        return [
            Claim(partition, token, attempt, decode_effect(blob), guard.decode(), first)
            for attempt, guard, first, blob in zip(fields, fields, fields, fields, strict=True)
        ]

    return script("claim", partition, *args, parse=parse)


def _numbers(reply: list[bytes | None]) -> list[int]:
    return [int(value or 0) for value in reply]


def _first_score(reply: list[bytes]) -> int:
    """The score of the first member, 0 where the set is empty."""
    return int(float(reply[1])) if reply else 0


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
        self._turns: defaultdict[str, int] = defaultdict(int)  # claims by channel: each goes round its partitions by itself

    async def claim(
        self, channel: str, partitions: Sequence[int], owner: str, most: int, lease_ms: int, room: Mapping[str, int], closed: Sequence[str]
    ) -> list[Claim]:
        """Take up to `most` effects, looking first where any wait, then fetching from few of the partitions."""
        turn = self._turns[channel] = self._turns[channel] + 1
        partitions = sorted(partitions)  # a caller that turns its list too would take every other one alone
        urgent, other = await self._waiting(channel, partitions)
        token = secrets.token_hex(16)
        free = dict(room)
        claims: list[Claim] = []
        while len(claims) < most and (any(urgent) or any(other)):
            shares = by_need(most - len(claims), urgent, other, turn)
            rooms = {dest: parted(places, shares) for dest, places in free.items()}
            asked = [index for index, share in enumerate(shares) if share]
            calls = [
                claim_call(partitions[index], channel, token, shares[index], lease_ms, {dest: rooms[dest][index] for dest in rooms}, closed, self._config)
                for index in asked
            ]
            found = [claim for taken in checked(await self._client.run(calls)) for claim in taken]
            for claim in found:
                if claim.effect.dest in free:
                    free[claim.effect.dest] -= 1
            claims += found
            for index in asked:  # what was stopped or closed there must not stand before the others
                urgent[index] = other[index] = 0
        return claims

    async def _waiting(self, channel: str, partitions: Sequence[int]) -> tuple[list[int], list[int]]:
        """Per partition: transactional effects that are queued; and bulk ones, with what a claim would return to the queues first.

        Plain reads: a claim where nothing waits costs the server 20 times as much.
        """
        calls = [command("TIME", parse=milliseconds)]
        for partition in partitions:
            calls.append(command("HMGET", partition_key(partition, "lanes"), f"{channel}:t", f"{channel}:b", parse=_numbers))
            calls += [command("ZRANGE", partition_key(partition, f"{name}:{channel}"), 0, 0, "WITHSCORES", parse=_first_score) for name in ("lease", "later")]
        now_ms, *found = checked(await self._client.run(calls))
        queued, leases, later = found[::3], found[1::3], found[2::3]
        sweep = self._config.sweep_max
        returning = [sweep * (0 < lease <= now_ms or 0 < due <= now_ms) for lease, due in zip(leases, later, strict=True)]
        return [lanes[0] for lanes in queued], [lanes[1] + more for lanes, more in zip(queued, returning, strict=True)]

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

    async def resolve(self, effect_ids: Sequence[str], state: str, into: str, partition: int | None = None) -> int:
        """Move listed effects; how many moved. An id does not tell its partition, so each is asked where it isn't given."""
        if into not in RESOLVES.get(state, ()):
            raise WayfareError(f"an effect that is {state} cannot become {into}")
        asked = self._partitions if partition is None else (partition,)
        calls = [script("resolve", number, state, into, *part) for part in _parts(effect_ids, _PAGE) for number in asked]
        return sum(checked(await self._client.run(calls)))

    async def stop(self, what: str, stopped: bool, reason: str = "") -> None:
        """The red button: written to every partition, in one round trip."""
        change = ("HSET", (what, reason)) if stopped else ("HDEL", (what,))
        checked(await self._client.run([beyond(change[0], partition_key(partition, "stop"), *change[1]) for partition in self._partitions]))

    async def stopped(self) -> dict[str, str]:
        """What is stopped now, in order, and why."""
        found = only(await self._client.run([command("HGETALL", partition_key(0, "stop"))]))
        return dict(sorted((what.decode(), reason.decode()) for what, reason in zip(found[::2], found[1::2], strict=True)))

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
