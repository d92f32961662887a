"""A shard that is killed in the middle of a stream of events, before or after its commit reached storage: its successor applies each once."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from typing import Any

import pytest

from tests.end_to_end.ring import Killed, Ring, running, until

MAP: dict[str, Any] = {
    "map": "count",
    "reentry": "parallel",
    "triggers": [{"event": "order"}],
    "path": [
        {"update_contact": {"increase": {"orders": 1}}},
        {"id": "mail", "send_email": {"template": "hello.html"}},
        "exit",
    ],
}
CONTACTS = 25


class Dying:
    """The commits of a shard that dies at its `last` one: before it was sent, or after it was written and before the shard knew."""

    def __init__(self, commits: Any, last: int, written: bool) -> None:
        self._commits, self._left, self._written = commits, last, written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._commits, name)

    def commit(self, commits: Any) -> Any:
        self._left -= 1
        if self._left:
            return self._commits.commit(commits)
        if self._written:
            assert self._commits.commit(commits) == [None] * len(commits)
        raise Killed


async def stream(ring: Ring, enough: asyncio.Event) -> Counter[str]:
    """Send events until it is enough; how many of each contact were accepted."""
    accepted: Counter[str] = Counter()
    for request in itertools.count():
        if enough.is_set():
            break
        events: list[dict[str, Any]] = [{"contact": f"c{number}", "name": "order"} for number in range(CONTACTS)]
        for number, event in enumerate(events[::2]):  # the others have no id by which a repetition could be told
            event["id"] = f"o-{request}-{number}"
        await ring.accepted("/v1/events", events)
        accepted.update(event["contact"] for event in events)
        await asyncio.sleep(0.01)
    return accepted


@pytest.mark.parametrize("written", [False, True])
async def test_every_accepted_event_is_applied_once_across_kills(written: bool) -> None:
    async with running() as ring:
        await ring.publish({"maps": [MAP], "templates": {"hello.html": "---\nsubject: Hi\n---\n<p>Hi</p>"}})
        contacts = [{"contact": f"c{number}", "fields": {"email": f"c{number}@example.com"}} for number in range(CONTACTS)]
        await ring.accepted("/v1/contacts", contacts)
        await ring.start_pools("email")
        enough = asyncio.Event()
        streaming = asyncio.create_task(stream(ring, enough))
        for last in (4, 7):
            shard = ring.start_shard(lambda commits, last=last: Dying(commits, last, written))
            await until(shard.dead.is_set)
            assert shard.shard.owned  # it died with its leases
            assert await ring.lag() or written
        ring.start_shard()
        await until(lambda: bool(ring.shards[-1].shard.owned))
        enough.set()
        accepted = await streaming
        await ring.carried("email")
        applied = {name: (await ring.contact(name))["fields"]["orders"] for name in accepted}
        assert applied == accepted
        assert Counter(to.partition("<")[2].partition("@")[0] for _, to, _ in ring.mail.mails) == accepted
        epochs = {epoch for _, epoch, _ in ring.shards[-1].store.leases.owners().values()}
        assert epochs == {3}
        await ring.conserved()
