"""What a shard's batches become in metrics. Observed per batch; the gauges are read when they are published."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.shard import Shard
from engine.metrics import Metrics


class ShardMeasures:
    """The metrics of one shard. `measure` is what the shard calls, from its own thread."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._metrics = Metrics()
        self._shard: Shard | None = None
        self._observe: dict[str, Callable[[float], None]] = {
            "step_seconds": self._metrics.step.observe,
            "commit_seconds": self._metrics.commit.observe,
            "commit_batch_records": self._batch,
            "commits_fenced": self._metrics.commits_fenced.inc,
            "timer_lateness_seconds": self._metrics.timer_lateness.observe,
        }

    def watch(self, shard: Shard) -> None:
        """Whose contacts are counted."""
        self._shard = shard

    def measure(self, what: str, value: float) -> None:
        """One measured value, by the name that the shard gives it."""
        self._observe[what](value)

    def published(self) -> dict[str, Any]:
        """What stands in the heartbeat."""
        if self._shard is not None:
            partitions = [owned.partition.residency for owned in list(self._shard.owned.values())]
            self._metrics.contacts_resident.labels(self._name).set(sum(len(residency.encoded) for residency in partitions))
            self._metrics.contacts_resident_bytes.labels(self._name).set(sum(residency.size for residency in partitions))
        return {"metrics": self._metrics.exposition()}

    def _batch(self, records: float) -> None:
        self._metrics.commit_batch.observe(records)
        self._metrics.records_applied.labels(self._name).inc(records)
