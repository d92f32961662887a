"""The memory twin of budgets."""

from __future__ import annotations

from engine.core import token_bucket
from engine.core.errors import WayfareError
from engine.storage.memory_partition import Clock


class MemoryBudget:
    """Grants of rate limits."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._arrivals: dict[str, float] = {}  # theoretical arrival time in ms, by limit
        self._days: dict[tuple[str, str], int] = {}

    async def grant(self, limit: str, rate: float, burst: float, want: int) -> tuple[int, int]:
        """(granted, retry after ms); `rate` per second."""
        if rate <= 0 or burst < 1:
            raise WayfareError(f"limit {limit}: a rate must be above 0 and a burst at least 1")
        granted, self._arrivals[limit], wait_ms = token_bucket.grant(self._arrivals.get(limit, 0.0), self._clock(), rate, burst, want)
        return granted, wait_ms

    async def grant_day(self, limit: str, most: int, want: int, day: str) -> int:
        """Granted out of a calendar day's allowance."""
        used = self._days.get((limit, day), 0)
        granted = max(0, min(want, most - used))
        self._days[limit, day] = used + granted
        return granted
