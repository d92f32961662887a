"""A Temporal worker: `python -m benchmarks.peers.inside.temporal_worker ADDRESS`. Runs in Temporal's environment until it is ended."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, Worker

from benchmarks.peers.inside.temporal_map import QUEUE, Contact, tell

CACHED_WORKFLOWS = 50_000  # all contacts that a run has, so that no history is read again


async def serve(address: str) -> None:
    client = await Client.connect(address)
    with ThreadPoolExecutor(32) as threads:
        worker = Worker(
            client,
            task_queue=QUEUE,
            workflows=[Contact],
            activities=[tell],
            activity_executor=threads,
            max_concurrent_activities=32,
            max_cached_workflows=CACHED_WORKFLOWS,
            workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
            activity_task_poller_behavior=PollerBehaviorAutoscaling(),
        )
        await worker.run()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
