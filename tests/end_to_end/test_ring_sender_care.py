"""Sender care through the whole ring, on a real Valkey and real SMTP: whose fault a refusal is, a channel that pauses itself, a list published late."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from actions.providers.provider import House
from actors.awaited import epoch_ms
from actors.duty import POOL, Duty
from actors.pool_measures import PoolMeasures
from actors.work_pool import Channels
from tests.end_to_end.ring import Ring, running, until

MAPS: list[dict[str, Any]] = [
    {"map": "offer", "reentry": "parallel", "triggers": [{"event": "go"}], "path": [{"id": "mail", "send_email": {"template": "hello.html"}}, "exit"]},
    {"map": "code", "triggers": [{"event": "forgot"}], "path": [{"id": "mail", "send_email": {"template": "hello.html", "transactional": True}}, "exit"]},
    {"map": "seen", "reentry": "parallel", "triggers": ["email_bounced"], "path": [{"update_contact": {"set": {"bounce": "{{ event.class }}"}}}, "exit"]},
]
TEMPLATES = {"hello.html": "---\nsubject: Hello\n---\n<p>Hello</p>"}
HEALTH = {"email": {"bounces": "20%", "least": 20}}


@asynccontextmanager
async def pools(ring: Ring) -> AsyncIterator[None]:
    """All pools of a process, as its actor runs them."""
    duty = Duty(role=POOL, name="pool-1", run="run", url=ring.url, config=ring.config)
    stop = threading.Event()
    carrying = asyncio.create_task(Channels(duty, ring.store, House(config=ring.config, clock=epoch_ms, secret="link-secret"), PoolMeasures()).run(stop))
    try:
        yield
    finally:
        stop.set()
        await carrying


async def enter(ring: Ring, event: str, contacts: list[str]) -> None:
    await ring.accepted("/v1/contacts", [{"contact": contact, "fields": {"email": f"{contact}@example.com"}} for contact in contacts])
    await ring.accepted("/v1/events", [{"contact": contact, "name": event} for contact in contacts])


async def stopped(ring: Ring) -> dict[str, str]:
    because: dict[str, str] = (await ring.call("GET", "/v1/status"))[1]["stopped_because"]
    return because


async def test_bounces_are_judged_and_too_many_pause_promotional_mail() -> None:
    async with running() as ring:
        await ring.publish({"maps": MAPS, "templates": TEMPLATES, "limits": {"health": HEALTH}})
        ring.start_shard()
        async with pools(ring):
            ring.mail.behave = {"RCPT": "550 5.7.1 listed by spamhaus as spam"}
            await enter(ring, "go", ["ann"])
            await ring.carried("email")
            ring.mail.behave = {"RCPT": "550 5.1.1 no such user"}
            await enter(ring, "go", ["bob"])
            await ring.carried("email")
            ann, bob = await ring.contact("ann"), await ring.contact("bob")
            assert (ann["fields"]["bounce"], ann["consent"]) == ("block", {})
            assert (bob["fields"]["bounce"], bob["consent"]) == ("hard", {"email": "bounced"})

            await enter(ring, "go", [f"c{number}" for number in range(30)])
            await ring.carried("email")
            await until(lambda: _holds(ring, "promotional:email"), "promotional mail is paused")
            assert "messages bounced within 60 minutes" in (await stopped(ring))["promotional:email"]
            ring.mail.behave = {}
            await enter(ring, "go", ["dan", "eve"])
            await enter(ring, "forgot", ["fay"])
            await until(lambda: bool(ring.mail.mails), "transactional mail goes on")
            await ring.read_on()
            assert [to for _, to, _ in ring.mail.mails] == ["RCPT TO:<fay@example.com>"]
            await until(lambda: _waiting(ring, 2), "the others wait")

            limits = {"health": HEALTH, "suppression": {"email": ["eve@example.com"]}}
            await ring.publish({"maps": MAPS, "templates": TEMPLATES, "limits": limits})
            await asyncio.sleep(1)  # pools look twice a second
            assert (await ring.call("POST", "/v1/resume-sending", {"channel": "email"}))[1] == {"stopped": []}
            await ring.carried("email")
            assert sorted(to for _, to, _ in ring.mail.mails) == ["RCPT TO:<dan@example.com>", "RCPT TO:<fay@example.com>"]
            assert await ring.effects("email") == {"decided": 35, "rejected": 32, "delivered": 2, "suppressed": 1}
            await asyncio.sleep(1)
            assert await stopped(ring) == {}, "what was before is forgotten"
            acts = [entry["what"] for entry in await ring.store.directory.audited(50)]
            assert acts.count("stop sending") == 1
            await ring.conserved()


async def _holds(ring: Ring, what: str) -> bool:
    return what in await stopped(ring)


async def _waiting(ring: Ring, count: int) -> bool:
    return (await ring.effects("email"))["pending"] == count
