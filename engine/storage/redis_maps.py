"""Published snapshots in Redis: one hash, whose field `newest` is the number in force and `announced` the last that every log was told of.

A publisher that dies between storing and announcing is finished by whoever connects next.
"""

from __future__ import annotations

import msgspec

from engine.codec import encode
from engine.config import Config
from engine.core.records import UseSnapshot
from engine.ports import Snapshot
from engine.storage.redis_call import Call, beyond, checked, command, only
from engine.storage.redis_client import AsyncRedisClient, RedisClient
from engine.storage.redis_log import append_call

KEY = "wf:snapshots"
_decode = msgspec.msgpack.Decoder(Snapshot).decode


def snapshot_call(number: int) -> Call:
    """One snapshot, or None."""
    return command("HGET", KEY, number, parse=lambda reply: None if reply is None else _decode(reply))


class RedisWorkspaces:
    """Published snapshots, for the gateway."""

    def __init__(self, client: AsyncRedisClient, config: Config) -> None:
        self._client = client
        self._config = config

    async def publish(self, snapshot: Snapshot, expected: int) -> bool:
        """Store under its number and append `UseSnapshot` to every log; False if `expected` is no longer the newest.

        Publishing the same again, after a lost reply, is no conflict.
        """
        stored = only(await self._client.run([Call("publish", (KEY,), (snapshot.number, expected, encode(snapshot)))]))
        if stored:
            await self._announce(snapshot.number)
        return bool(stored)

    async def newest(self) -> int:
        """The number of the newest snapshot, 0 for none."""
        return int(only(await self._client.run([command("HGET", KEY, "newest")])) or 0)

    async def get(self, number: int) -> Snapshot | None:
        """One snapshot."""
        found: Snapshot | None = only(await self._client.run([snapshot_call(number)]))
        return found

    async def finish(self) -> None:
        """Announce the newest snapshot where its publisher did not live to do it. Telling a log twice changes nothing."""
        newest, announced = only(await self._client.run([command("HMGET", KEY, "newest", "announced")]))
        if int(newest or 0) > int(announced or 0):
            await self._announce(int(newest))

    async def _announce(self, number: int) -> None:
        calls = [append_call(partition, [UseSnapshot(number)], self._config, reserve=True) for partition in range(self._config.partitions)]
        checked(await self._client.run(calls))
        checked(await self._client.run([beyond("HSET", KEY, "announced", number)]))


class RedisSnapshots:
    """Reading a snapshot from a synchronous shard."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def snapshot(self, number: int) -> Snapshot | None:
        """One snapshot."""
        found: Snapshot | None = only(self._client.run([snapshot_call(number)]))
        return found
