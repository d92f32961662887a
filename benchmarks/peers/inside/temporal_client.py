"""Sends events to Temporal, by signal-with-start on the contact's workflow, and asks workflows for their state. Runs in Temporal's environment.

`python -m benchmarks.peers.inside.temporal_client ADDRESS send FILE CONCURRENCY` sends the events of an NDJSON file, and prints when it began, in seconds of the
monotonic clock, and how many were accepted; `… count FILE CONCURRENCY` asks every contact of the file, and prints the sums.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from temporalio.client import Client

from benchmarks.peers.inside import journey
from benchmarks.peers.inside.temporal_map import QUEUE, Contact


async def send(client: Client, events: list[dict[str, Any]], concurrency: int) -> dict[str, float]:
    """So many at a time, until all are accepted. A contact's first event starts its workflow."""
    waiting, begun_s = iter(events), time.monotonic()
    accepted = sum(await asyncio.gather(*(_send_some(client, waiting) for _ in range(concurrency))))
    return {"begun_s": begun_s, "accepted": accepted}


async def _send_some(client: Client, events: Iterator[dict[str, Any]]) -> int:
    accepted = 0
    for event in events:
        contact = {**journey.fresh(f"{event['contact']}@example.com"), "entered": 0, "told": 0, "repeated": 0}
        await client.start_workflow(Contact.run, args=[contact, []], id=event["contact"], task_queue=QUEUE, start_signal="event", start_signal_args=[event])
        accepted += 1
    return accepted


async def count(client: Client, events: list[dict[str, Any]], concurrency: int) -> dict[str, int]:
    """The sums over all contacts that the events name."""
    waiting, sums = iter({event["contact"]: None for event in events}), Counter(entered=0, told=0, repeated=0)

    async def ask() -> None:
        for contact in waiting:
            state = await client.get_workflow_handle(contact).query(Contact.state)
            sums.update({name: state[name] for name in ("entered", "told", "repeated")})

    await asyncio.gather(*(ask() for _ in range(concurrency)))
    return dict(sums)


async def main() -> None:
    address, verb, file, concurrency = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    events = [json.loads(line) for line in file.read_bytes().splitlines()]  # noqa: ASYNC240 - nothing else is at work
    client = await Client.connect(address)
    print(json.dumps(await (send if verb == "send" else count)(client, events, concurrency)), flush=True)
    os._exit(0)  # the threads of temporalio's core sometimes crash an interpreter that ends in the ordinary way


if __name__ == "__main__":
    asyncio.run(main())
