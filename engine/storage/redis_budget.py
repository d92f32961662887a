"""Budgets in Redis: GCRA by the server's clock, one key for each limit, so that every pool draws from the same place."""

from __future__ import annotations

from engine.core.errors import WayfareError
from engine.storage.redis_call import Call, only
from engine.storage.redis_client import AsyncRedisClient


class RedisBudget:
    """Grants of rate limits."""

    def __init__(self, client: AsyncRedisClient) -> None:
        self._client = client

    async def grant(self, limit: str, rate: float, burst: float, want: int) -> tuple[int, int]:
        """(granted, retry after ms); `rate` per second."""
        if rate <= 0 or burst < 1:
            raise WayfareError(f"limit {limit}: a rate must be above 0 and a burst at least 1")
        granted, retry_ms = only(await self._client.run([Call("grant", (f"wf:budget:{limit}",), (1_000_000 / rate, burst, want))]))
        return granted, retry_ms

    async def grant_day(self, limit: str, most: int, want: int, day: str) -> int:
        """Granted out of a calendar day's allowance."""
        granted: int = only(await self._client.run([Call("grant_day", (f"wf:budget:{limit}:{day}",), (most, want))]))
        return granted
