"""What the batches of the pools become in metrics."""

from __future__ import annotations

from typing import Any

from actions.settler import PoolBatch
from engine.metrics import LANES, Metrics


class PoolMeasures:
    """The metrics of one pool process, of all its channels."""

    def __init__(self) -> None:
        self._metrics = Metrics()

    def observe(self, batch: PoolBatch) -> None:
        """One settled batch."""
        action = self._metrics.action.labels(batch.channel, batch.provider)
        for ms in batch.action_ms:
            action.observe(ms / 1000)
        for lane, times in batch.dispatch_ms.items():
            dispatch = self._metrics.trigger_to_dispatch.labels(batch.channel, LANES.get(lane, lane))
            for ms in times:
                dispatch.observe(ms / 1000)
        if batch.limited_ms:
            self._metrics.rate_limit_wait.labels(batch.channel).observe(batch.limited_ms / 1000)
        self._metrics.breaker_open.labels(batch.channel).set(batch.breakers_open)

    def published(self) -> dict[str, Any]:
        """What stands in the heartbeat."""
        return {"metrics": self._metrics.exposition()}
