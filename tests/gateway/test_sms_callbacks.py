"""Twilio's callbacks through the gateway: signed, kept before they are answered, and an unsubscribe that holds at once."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from actions.feedback import about
from actions.twilio_callbacks import signature
from engine.core.effects import Effect
from engine.core.index import entries
from engine.core.partitioning import partition_of
from engine.core.records import Event, Outcome, Update
from engine.ports import Settle

PUBLIC = "https://shop.example.com"
SMS = {"provider": "twilio", "account": "AC1", "token": "t0ken", "from": "+12025550100"}
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": ""}
EFFECT = Effect("e" * 32, "ann", "send_sms", "sms", "b", "", "m", 1, "text", 2, 1, 1, 1, 1_767_603_600_000, {}, 0, "sms")
STOP = {"MessageSid": "SM2", "SmsStatus": "received", "From": "+12025550199", "To": "+12025550100", "Body": "Stop"}


@pytest.fixture
def settings() -> dict[str, Any]:
    return {"public_url": PUBLIC}


@pytest.fixture
async def twilio(gateway: Any) -> Any:
    """The gateway with a workspace that sends by Twilio, and a contact with a number."""
    assert (await gateway.call("PUT", "/v1/workspace", {"maps": [], "providers": {"sms": SMS}})).status == 200
    gateway.commit("ann", index=dict.fromkeys(entries("ann", {"phone": "+12025550199"}), True))
    return gateway


async def call(gateway: Any, fields: dict[str, str], query: str = "", token: str = "t0ken") -> Any:
    path = "/v1/callbacks/twilio" + query
    signed = signature(token, PUBLIC + path + "".join(name + fields[name] for name in sorted(fields)))
    return await gateway.call("POST", path, urlencode(fields).encode(), headers={**FORM, "X-Twilio-Signature": signed.decode()})


def said(gateway: Any) -> list[Any]:
    return [record for record in gateway.records() if record.contact]


async def test_a_status_becomes_the_outcome_of_its_effect(twilio: Any) -> None:
    fields = {"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": "30003", "To": "+12025550199"}
    answer = await call(twilio, fields, f"?about={about('s3cret', EFFECT)}")
    assert (answer.status, answer.content_type) == (200, "text/xml")
    assert await answer.text() == '<?xml version="1.0" encoding="UTF-8"?><Response/>'
    assert said(twilio) == [
        Outcome("ann", "e" * 32, "send_sms", "rejected", "undelivered 30003", 2, "text", {"sid": "SM1", "code": 30003}, "twilio:SM1:rejected:o")
    ]


async def test_a_status_of_a_forged_token_goes_to_the_number(twilio: Any) -> None:
    await call(twilio, {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+12025550199"}, f"?about={about('another', EFFECT)}")
    assert said(twilio) == [Outcome("ann", "", "send_sms", "delivered", "", 0, "", {"sid": "SM1"}, "twilio:SM1:delivered:o")]


async def test_a_stop_holds_before_its_record_is_read(twilio: Any) -> None:
    twilio.commit("ann", effects=[EFFECT], guard={"ann": "sms=subscribed"})
    assert (await call(twilio, STOP)).status == 200
    update, event = said(twilio)
    assert update == Update("ann", consent={"sms": "unsubscribed"}, id="twilio:SM2:u", tighten=True)
    assert event == Event("ann", "sms.received", {"text": "Stop", "from": "+12025550199", "to": "+12025550100", "keyword": "stop"}, "twilio:SM2:e")
    home = partition_of("ann", twilio.config.partitions)
    claims = await twilio.store.outbox.claim("sms", [home], "pool", 10, 30_000, {}, [])
    assert await twilio.store.outbox.mark(claims, 30_000, once=True) == ["sms: unsubscribed"]


async def test_a_start_allows_again_and_help_changes_nothing(twilio: Any) -> None:
    await call(twilio, {**STOP, "Body": "start"})
    await call(twilio, {**STOP, "Body": "HELP", "MessageSid": "SM3"})
    records = said(twilio)
    assert records[0] == Update("ann", consent={"sms": "subscribed"}, id="twilio:SM2:u", tighten=False)
    assert [type(record) for record in records] == [Update, Event, Event]
    assert records[2].data["keyword"] == "help"


async def test_a_receipt_resolves_what_was_unknown(twilio: Any) -> None:
    twilio.commit("ann", effects=[EFFECT], guard={"ann": "sms=subscribed"})
    home, outbox = partition_of("ann", twilio.config.partitions), twilio.store.outbox
    [claim] = await outbox.claim("sms", [home], "pool", 10, 30_000, {}, [])
    assert await outbox.mark([claim], 30_000, once=True) == [""]
    assert await outbox.settle([Settle(claim=claim, state="unknown", reason="not answered in time")]) == [True]
    await call(twilio, {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+12025550199"}, f"?about={about('s3cret', EFFECT)}")
    assert await outbox.listing("unknown", 10) == []
    counters = await twilio.store.directory.counters()
    assert (counters["fx:sms:delivered"], counters["fx:sms:unknown"]) == (1, 0)


async def test_what_is_not_signed_changes_nothing(twilio: Any) -> None:
    assert (await call(twilio, STOP, token="guessed")).status == 403
    answer = await twilio.call("POST", "/v1/callbacks/twilio", urlencode(STOP).encode(), headers=FORM)
    assert answer.status == 403
    assert "t0ken" not in await answer.text()
    assert (await call(twilio, {"Body": "x"})).status == 400
    assert (await twilio.call("POST", "/v1/callbacks/smpp", b"", headers=FORM)).status == 404
    assert said(twilio) == []


async def test_a_number_that_nobody_has_is_answered_and_forgotten(twilio: Any) -> None:
    for sender in ("+12025550111", "whatsapp:+12025550199", "", "ann'--"):
        assert (await call(twilio, {**STOP, "From": sender})).status == 200
    assert said(twilio) == []
    assert 'wayfare_events_rejected_total{reason="nobody"}' in await (await twilio.call("GET", "/metrics")).text()
