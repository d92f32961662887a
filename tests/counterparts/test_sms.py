"""SMS through the whole ring: over SMPP at an SMSC of npm's `smpp`, and to Twilio as Prism reads its OpenAPI document."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.counterparts import prism, smsc
from tests.counterparts.needs import needs, path_of
from tests.counterparts.proofs import proves
from tests.end_to_end.ring import Ring, running, until

ANN, BOB = "+12025550190", "+12025550123"
TEXT = "Hello {{ first_name }}, your order {{ event.order }} is on its way."
SHOP = {"map": "shop", "reentry": "parallel", "triggers": [{"event": "order.placed"}], "path": [{"id": "text", "send_sms": {"text": TEXT}}, "exit"]}
FAILED = {
    "map": "failed",
    "triggers": ["sms_failed"],
    "path": [{"update_contact": {"set": {"why": {"value_of": "event.reason"}, "where": {"value_of": "event.element"}}}}, "exit"],
}


@asynccontextmanager
async def shop(server: smsc.Smsc, *maps: dict[str, Any], **documents: Any) -> AsyncIterator[Ring]:
    """The ring with two contacts in SMS consent, sending by this SMSC."""
    async with running() as ring:
        ring.start_shard()
        limits = {"quiet_hours": {}}
        await ring.publish({"maps": [SHOP, FAILED, *maps], "limits": limits, "providers": {**ring.providers, "sms": server.block}, **documents})
        await ring.start_pools("sms")
        for contact, name, phone in (("ann", "Ann", ANN), ("bob", "Bob", BOB)):
            await ring.accepted("/v1/contacts", {"contact": contact, "fields": {"first_name": name, "phone": phone}, "consent": {"sms": "subscribed"}})
        await ring.read_on()
        yield ring


async def order(ring: Ring, contact: str, number: str = "o-1") -> None:
    await ring.accepted("/v1/events", {"contact": contact, "name": "order.placed", "data": {"order": number}})


@needs(*smsc.TOOLS)
@proves(
    "send_sms",
    "an SMSC of npm's `smpp`",
    "texts arrive merged, long and emoji ones in joined segments; its receipts come back as the outcome of the element that sent; "
    "a STOP holds for what was decided before",
)
async def test_texts_arrive_and_their_receipts_come_back() -> None:
    with smsc.start() as server:
        async with shop(server) as ring:
            await asyncio.to_thread(server.tell, receipts="mixed")  # numbers that end with 0 are lost
            await order(ring, "ann")
            await order(ring, "bob", "€ {o-2}")
            await order(ring, "bob", "😀" * 60)
            await ring.carried("sms")
            assert await ring.effects("sms") == {"decided": 3, "delivered": 3}

            async def told() -> bool:
                return "why" in (await ring.contact("ann"))["fields"]

            await until(told, "the receipt of a loss is the contact's outcome")
            fields = (await ring.contact("ann"))["fields"]
            assert (fields["why"], fields["where"]) == ("UNDELIV err:005", "text")
            assert "why" not in (await ring.contact("bob"))["fields"]
            taken = server.taken()
            assert [one["text"] for one in taken if one["to"] == ANN[1:]] == ["Hello Ann, your order o-1 is on its way."]
            short = [one for one in taken if one["to"] == BOB[1:] and not one["udh"]]
            assert [(one["text"], one["coding"]) for one in short] == [("Hello Bob, your order € {o-2} is on its way.", 0)]
            parts = sorted((one["udh"], one["text"]) for one in taken if one["udh"])
            assert [udh[-4:] for udh, _ in parts] == ["0301", "0302", "0303"]
            assert "".join(text for _, text in parts) == f"Hello Bob, your order {'😀' * 60} is on its way."
            await ring.conserved()


@needs(*smsc.TOOLS)
async def test_a_stop_holds_for_what_was_decided_before_and_a_start_ends_it() -> None:
    left = {"map": "left", "reentry": "parallel", "triggers": ["unsubscribed"], "path": [{"change_tags": {"add": ["left"]}}, "exit"]}
    with smsc.start() as server:
        async with shop(server, left) as ring:
            await ring.store.outbox.stop("channel:sms", True)
            await order(ring, "ann")
            await ring.read_on()
            assert await ring.effects("sms") == {"decided": 1, "pending": 1}
            await ring.stop_shards()  # so that nobody reads the record of the STOP
            assert await asyncio.to_thread(server.deliver, ANN, "Stop!") == 0
            await ring.store.outbox.stop("channel:sms", False)

            async def gone() -> bool:
                return (await ring.effects("sms")) == {"decided": 1, "suppressed": 1}

            await until(gone, "the guard refuses it")
            assert server.taken() == []
            ring.start_shard()
            await ring.read_on()
            ann = await ring.contact("ann")
            assert (ann["consent"], ann["tags"]) == ({"sms": "unsubscribed"}, ["left"])
            assert (await ring.contact("bob"))["consent"] == {"sms": "subscribed"}
            assert await asyncio.to_thread(server.deliver, ANN, "START") == 0
            await ring.read_on()
            await order(ring, "ann", "o-2")
            await ring.carried("sms")
            assert [one["text"] for one in server.taken()] == ["Hello Ann, your order o-2 is on its way."]
            await ring.conserved()


@needs(*smsc.TOOLS)
@proves("notify_sms", "an SMSC of npm's `smpp`", "the team member gets it whatever the contact's consent; its receipt says nothing about the contact")
async def test_a_help_is_answered_by_a_map_and_the_team_is_told() -> None:
    reply = {"map": "help", "triggers": [{"event": "sms.received", "where": {"event.keyword": "help"}}]}
    steps = [
        {"send_sms": {"text": "Shop: call 1-800-SHOP. STOP ends.", "transactional": True}},
        {"notify_sms": {"to": "user:eve", "text": "{{ event.text }}?"}},
    ]
    with smsc.start() as server:
        async with shop(server, {**reply, "path": [*steps, "exit"]}, team={"eve": {"name": "Eve", "phone": "+12025550170"}}) as ring:
            await asyncio.to_thread(server.tell, receipts="mixed")
            assert await asyncio.to_thread(server.deliver, BOB, "Hilfe: HELP") == 0  # no keyword, only a text
            assert await asyncio.to_thread(server.deliver, BOB, "help") == 0
            await ring.read_on()
            await ring.carried("sms")
            found = {one["to"]: one["text"] for one in server.taken()}
            assert found == {BOB[1:]: "Shop: call 1-800-SHOP. STOP ends.", "12025550170": "help?"}
            await asyncio.sleep(0.1)
            await ring.read_on()
            assert "why" not in (await ring.contact("bob"))["fields"], "Eve's number was lost, not Bob's"


@needs(*smsc.TOOLS)
async def test_a_wrong_password_pauses_the_channel_and_nothing_is_lost() -> None:
    with smsc.start() as server:
        async with running(credentials_retry_ms=100) as ring:
            ring.start_shard()
            wrong = {**server.block, "password": "wrong"}
            await ring.publish({"maps": [SHOP], "limits": {"quiet_hours": {}}, "providers": {**ring.providers, "sms": wrong}})
            await ring.start_pools("sms")
            await ring.accepted("/v1/contacts", {"contact": "ann", "fields": {"phone": ANN}, "consent": {"sms": "subscribed"}})
            await order(ring, "ann")
            await ring.read_on()
            await asyncio.sleep(0.3)
            assert await ring.effects("sms") == {"decided": 1, "pending": 1}
            await ring.stop_pools()
            await ring.publish({"maps": [SHOP], "limits": {"quiet_hours": {}}, "providers": {**ring.providers, "sms": server.block}})
            await ring.start_pools("sms")
            await ring.carried("sms")
            assert await ring.effects("sms") == {"decided": 1, "delivered": 1}
            assert len(server.taken()) == 1


MESSAGES = "/2010-04-01/Accounts/{AccountSid}/Messages.json"
ACCOUNT = "AC" + "0123456789abcdef" * 2


@needs("prism", "twilio-openapi")
@proves(
    "send_sms",
    "Prism with Twilio's OpenAPI document",
    "each request is valid to the document, with a sender's number or a messaging service, and a status callback",
)
async def test_requests_are_what_twilios_document_says() -> None:
    with prism.start(path_of("twilio-openapi"), only=[MESSAGES]) as server:
        async with running(public_url="https://shop.example.com") as ring:
            ring.start_shard()
            block = {"provider": "twilio", "account": ACCOUNT, "token": "t", "base_url": server.url, "from": "+12025550100"}
            steps = [
                {"send_sms": {"text": "Grüße, {{ first_name }} 👋 & <b>=1</b>"}},
                {"send_sms": {"text": "By a service", "from": "MG" + "0" * 32}},
                {"notify_sms": {"to": BOB, "text": "for the team"}},
            ]
            maps = [{"map": "m", "triggers": [{"event": "go"}], "path": steps}]
            await ring.publish({"maps": maps, "limits": {"quiet_hours": {}}, "providers": {**ring.providers, "sms": block}})
            await ring.start_pools("sms")
            await ring.accepted("/v1/contacts", {"contact": "ann", "fields": {"phone": ANN, "first_name": "Ann\r\nTo: x"}, "consent": {"sms": "subscribed"}})
            await ring.accepted("/v1/events", {"contact": "ann", "name": "go"})
            await ring.carried("sms")
            assert server.refused() == []
            assert server.asked() == 3
            assert await ring.effects("sms") == {"decided": 3, "delivered": 3}
