"""Sending through the whole ring: consent that changes under way, the red button, fairness, and pools that die at the worst moment."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from actions.unsubscribe import make_token
from engine.ports import Settle
from tests.end_to_end.ring import Host, Ring, running, until

MAIL = {"hello.html": '---\nsubject: "{{ event.number }}"\n---\n<p>Hello</p>'}
OPENED = {"map": "opened", "triggers": ["unsubscribed"], "path": [{"change_tags": {"add": ["left"]}}, "exit"]}


def mailing(name: str, event: str, **more: Any) -> dict[str, Any]:
    """A map that sends one mail for each event."""
    mail = {"id": "mail", "send_email": {"template": "hello.html", **more}}
    return {"map": name, "reentry": "parallel", "triggers": [{"event": event}], "path": [mail, "exit"]}


async def enter(ring: Ring, event: str, count: int, start: int = 0) -> None:
    """Contacts with an address, one event each."""
    contacts = [{"contact": f"{event}-{number}", "fields": {"email": f"{event}-{number}@example.com"}} for number in range(start, start + count)]
    events = [{"contact": f"{event}-{number}", "name": event, "data": {"number": number}} for number in range(start, start + count)]
    for at in range(0, count, 500):
        await ring.accepted("/v1/contacts", contacts[at : at + 500])
        await ring.accepted("/v1/events", events[at : at + 500])


def addressed(ring: Ring) -> list[str]:
    """Who got the mails that the sink took, in order."""
    return [to.partition("<")[2].partition("@")[0] for _, to, _ in ring.mail.mails]


async def by_link(ring: Ring) -> None:
    async with ring.client.post(f"/u/{make_token('link-secret', 'go-1', 'email')}", data={"List-Unsubscribe": "One-Click"}) as answer:
        assert answer.status == 200


async def by_contacts(ring: Ring) -> None:
    await ring.accepted("/v1/contacts", {"contact": "go-1", "consent": {"email": "unsubscribed"}})


async def by_event(ring: Ring) -> None:
    await ring.accepted("/v1/events", {"contact": "go-1", "name": "unsubscribed", "data": {"channel": "email"}})


@pytest.mark.parametrize(("leave", "status"), [(by_link, "transactional_only"), (by_contacts, "unsubscribed"), (by_event, "unsubscribed")])
async def test_an_unsubscribe_that_is_still_unread_stops_what_was_decided_before(leave: Any, status: str) -> None:
    async with running() as ring:
        await ring.publish({"maps": [mailing("hello", "go"), OPENED], "templates": MAIL})
        ring.start_shard()
        await enter(ring, "go", 3)
        await ring.read_on()
        await ring.stop_shards()
        assert await ring.effects("email") == {"decided": 3, "pending": 3}
        await ring.accepted("/v1/events", {"contact": "go-1", "name": "older"})
        await leave(ring)
        await ring.start_pools("email")

        async def sent() -> bool:
            return not (await ring.effects("email")).get("pending", 0)

        await until(sent)
        assert sorted(addressed(ring)) == ["go-0", "go-2"]
        assert await ring.effects("email") == {"decided": 3, "delivered": 2, "suppressed": 1}
        assert await ring.lag() == 2  # nobody has read it

        ring.start_shard()
        await ring.read_on()
        shown = await ring.contact("go-1")
        assert (shown["consent"], shown["tags"]) == ({"email": status}, ["left"])
        await ring.conserved()


async def test_a_link_clicked_after_an_unread_stop_does_not_loosen_it() -> None:
    async with running() as ring:
        await ring.publish({"maps": [mailing("hello", "go", transactional=True)], "templates": MAIL})
        ring.start_shard()
        await enter(ring, "go", 2)
        await ring.read_on()
        await ring.stop_shards()
        await by_contacts(ring)
        await by_link(ring)
        await ring.start_pools("email")

        async def sent() -> bool:
            return await ring.effects("email") == {"decided": 2, "delivered": 1, "suppressed": 1}

        await until(sent)
        assert addressed(ring) == ["go-0"]
        ring.start_shard()
        await ring.read_on()
        assert (await ring.contact("go-1"))["consent"] == {"email": "unsubscribed"}


async def test_sending_stops_at_once_and_goes_on() -> None:
    async with running(claim_effects_max=64, in_flight_max=64) as ring:
        await ring.publish({"maps": [mailing("a", "go"), mailing("b", "run")], "templates": MAIL})
        ring.start_shard()
        await ring.call("POST", "/v1/stop-sending", {"map": "a"})
        await enter(ring, "go", 200)
        await enter(ring, "run", 50)
        await ring.start_pools("email")
        await until(lambda: len(ring.mail.mails) == 50)
        assert all(to.startswith("run") for to in addressed(ring))

        async def only_the_stopped_wait() -> bool:
            return await ring.effects("email") == {"decided": 250, "delivered": 50, "pending": 200}

        await until(only_the_stopped_wait)
        ring.mail.behave["dot"] = "slow"
        await ring.call("POST", "/v1/resume-sending", {"map": "a"})
        await until(lambda: len(ring.mail.mails) > 60)
        assert (await ring.call("POST", "/v1/stop-sending", {}))[1] == {"stopped": ["*"]}
        claimed = (await ring.store.outbox.depths())["email"]["claimed"]
        assert claimed <= 64

        async def none_in_hand() -> bool:
            return not (await ring.store.outbox.depths())["email"]["claimed"]

        await until(none_in_hand)
        sent = len(ring.mail.mails)
        assert sent < 250
        await asyncio.sleep(0.2)  # many turns of the pool
        assert len(ring.mail.mails) == sent
        ring.mail.behave.clear()
        await ring.call("POST", "/v1/resume-sending", {})
        await ring.carried("email")
        assert Counter(addressed(ring)) == Counter([*(f"go-{number}" for number in range(200)), *(f"run-{number}" for number in range(50))])
        await ring.conserved()


async def test_two_thousand_bulk_mails_do_not_stand_before_ten_others() -> None:
    in_flight = 64
    async with running(claim_effects_max=in_flight, in_flight_max=in_flight) as ring:
        await ring.publish({"maps": [mailing("bulk", "bulk"), mailing("small", "small"), mailing("sure", "sure", transactional=True)], "templates": MAIL})
        ring.start_shard()
        await enter(ring, "bulk", 2_000)
        await enter(ring, "small", 10)
        await enter(ring, "sure", 10)
        await ring.read_on()
        await ring.start_pools("email")
        await ring.carried("email")
        order = addressed(ring)
        assert len(set(order)) == len(order) == 2_020
        last = {name: max(at for at, to in enumerate(order) if to.startswith(name)) for name in ("sure", "small", "bulk")}
        assert last["sure"] < 2 * in_flight
        assert last["small"] < 6 * in_flight
        assert last["bulk"] == 2_019


class Deaf:
    """An outbox for a pool that will die: it claims and marks, and what the pool would settle is never heard."""

    def __init__(self, outbox: Any) -> None:
        self._outbox = outbox
        self.unheard: list[Settle] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._outbox, name)

    async def settle(self, settles: list[Settle]) -> list[bool]:
        self.unheard += settles
        return [True] * len(settles)


async def test_what_a_dying_pool_had_handed_over_at_most_once_is_unknown_and_never_sent_again() -> None:
    async with running(claim_lease_ms=700, send_timeout_ms=400) as ring:
        await ring.publish({"maps": [mailing("hello", "go")], "templates": MAIL})
        ring.start_shard()
        await enter(ring, "go", 5)
        await ring.read_on()
        deaf = Deaf(ring.store.outbox)
        await ring.start_pools("email", outbox=deaf)  # type: ignore[arg-type]
        await until(lambda: len(deaf.unheard) == 5)
        await ring.kill_pools()
        assert len(ring.mail.mails) == 5
        await ring.start_pools("email")
        await ring.carried("email")
        assert await ring.effects("email") == {"decided": 5, "unknown": 5}
        listed = (await ring.call("GET", "/v1/unknown?channel=email"))[1]["unknown"]
        assert {one["contact"] for one in listed} == {f"go-{number}" for number in range(5)}
        assert "lease" in listed[0]["reason"]
        # only an operator's word moves them
        assert await ring.call("POST", "/v1/unknown/resolve", {"ids": [listed[0]["effect"]], "into": "pending"})
        assert (await ring.call("POST", "/v1/unknown/resolve", {"into": "delivered"}))[1] == {"moved": 4}
        await ring.carried("email")
        assert Counter(addressed(ring)) == {f"go-{number}": 1 for number in range(5)} | {listed[0]["contact"]: 2}
        await ring.conserved()


async def test_what_a_dying_pool_had_handed_over_at_least_once_is_sent_again_with_the_same_id() -> None:
    async with running(claim_lease_ms=700, send_timeout_ms=400) as ring, Host() as host:
        await host.listen()
        hook = {"id": "tell", "send_webhook": {"url": f"{host.url}/", "body": "{{ event.number }}"}}
        await ring.publish({"maps": [{"map": "hook", "triggers": [{"event": "go"}], "path": [hook, "exit"]}]})
        ring.start_shard()
        await enter(ring, "go", 5)
        await ring.read_on()
        deaf = Deaf(ring.store.outbox)
        await ring.start_pools("webhook", outbox=deaf)  # type: ignore[arg-type]
        await until(lambda: len(deaf.unheard) == 5)
        await ring.kill_pools()
        assert len(host.taken) == 5
        await ring.start_pools("webhook")
        await ring.carried("webhook")
        assert await ring.effects("webhook") == {"decided": 5, "delivered": 5}
        assert Counter((one["id"], one["body"]) for one in host.taken) == dict.fromkeys({(one["id"], one["body"]) for one in host.taken}, 2)
        assert {one["body"] for one in host.taken} == {"0", "1", "2", "3", "4"}
        assert (await ring.call("GET", "/v1/unknown"))[1] == {"unknown": []}
        # what the dead pool might still say is not heard
        assert await ring.store.outbox.settle(deaf.unheard) == [False] * 5
        await ring.conserved()
