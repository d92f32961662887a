"""Tallies in Redis: one hash for each name, whose fields are buckets of time, so that every pool and gateway counts in the same place."""

from __future__ import annotations

from collections.abc import Mapping

from engine.ports import TALLY_BUCKETS, TALLY_WINDOW_MS
from engine.storage.redis_call import Argument, Call, beyond, only
from engine.storage.redis_client import AsyncRedisClient


class RedisTallies:
    """Counts over sliding windows."""

    def __init__(self, client: AsyncRedisClient) -> None:
        self._client = client

    async def add(self, name: str, counts: Mapping[str, int], window_ms: int = 0) -> dict[str, int]:
        """Add, and say what the window holds."""
        args: list[Argument] = [window_ms, TALLY_WINDOW_MS, TALLY_BUCKETS]
        for what, count in counts.items():
            args += [what, count]
        reply = only(await self._client.run([Call("tally", (_key(name),), tuple(args))]))
        return {what.decode(): count for what, count in zip(reply[::2], reply[1::2], strict=True)}

    async def forget(self, name: str) -> None:
        """Begin anew."""
        only(await self._client.run([beyond("DEL", _key(name))]))


def _key(name: str) -> str:
    return f"wf:tally:{name}"
