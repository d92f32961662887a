"""SendGrid: the request that its API expects, what each answer means, and its signed events."""

from __future__ import annotations

import json
from base64 import b64encode
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from actions.feedback import Heard, about, read_about
from actions.messages import Attachment
from actions.providers.provider import CREDENTIALS, DEFERRED, DELIVERED, REJECTED, UNKNOWN, Inbound, Unreadable, Unsigned
from actions.providers.registry import make_provider, receiver_of
from actions.unsubscribe import read_token
from engine.core.errors import InvalidConfig
from tests.providers.emails import EFFECT, ENVIRON, HOUSE, NOW_MS, dispatch, email_provider, send
from tests.providers.http_server import HttpServer

KEY = ec.generate_private_key(ec.SECP256R1())
SHOWN, RSA_SHOWN = (
    b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode() for key in (KEY, rsa.generate_private_key(65537, 2048))
)
BLOCK = {"provider": "sendgrid", "key": "env:KEY", "verification_key": SHOWN}


def sendgrid(url: str, **more: Any) -> AbstractAsyncContextManager[Any]:
    return email_provider({**BLOCK, "base_url": f"{url}/", **more})


async def test_the_request_is_the_one_of_the_api() -> None:
    file = Attachment(name="kits.csv", kind="text/csv; charset=utf-8", content=b"a,b\n")
    async with HttpServer() as server, sendgrid(server.url) as provider:
        server.behave = (202, {"X-Message-Id": "abc"}, "")
        result = await send(provider, dispatch(promotional=True, reply_to="Help <help@example.com>", headers={"X-Kind": "\u00e4" * 60}, attachments=(file,)))
        plain = await send(provider, dispatch(html=""))
    assert (result.state, result.data, plain.state) == (DELIVERED, {"message_id": "abc"}, DELIVERED)
    first, second = server.requests
    assert (first["method"], first["path"]) == ("POST", "/v3/mail/send")
    assert (first["headers"]["Authorization"], first["headers"]["Content-Type"]) == ("Bearer sw0rdfish", "application/json")
    body = json.loads(first["body"])
    [person] = body["personalizations"]
    assert person["to"] == [{"email": "ann@example.net", "name": "Ann Bell"}]
    token = read_about("link-secret", person["custom_args"]["wayfare_about"])
    assert token is not None
    assert (token.contact, token.effect, token.template) == ("ann", EFFECT.id, "hello.html")
    assert body["from"] == {"email": "shop@example.com", "name": "Shop"}
    assert body["reply_to"] == {"email": "help@example.com", "name": "Help"}
    assert (body["subject"], [part["type"] for part in body["content"]]) == ("Hi \u00e4", ["text/plain", "text/html"])
    assert set(body["tracking_settings"]) == {"click_tracking", "open_tracking", "subscription_tracking"}
    assert all(setting == {"enable": False} for setting in body["tracking_settings"].values())
    assert body["attachments"] == [{"content": b64encode(b"a,b\n").decode(), "filename": "kits.csv", "type": "text/csv", "disposition": "attachment"}]
    assert body["headers"]["X-Kind"].isascii()
    assert body["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = body["headers"]["List-Unsubscribe"]
    assert link.startswith("<https://go.example.com/u/")
    assert read_token("link-secret", link[1:-1].rpartition("/")[2]) == ("ann", "email")
    assert "headers" not in json.loads(second["body"])
    assert [part["type"] for part in json.loads(second["body"])["content"]] == ["text/plain"]


async def test_nothing_of_a_message_ends_a_header_line_or_names_a_header_that_is_ours() -> None:
    async with HttpServer() as server, sendgrid(server.url) as provider:
        await send(provider, dispatch(subject="Hi\r\nBcc: eve@example.com", headers={"X-Kind": "a\r\nBcc: eve@example.com"}))
        refused = [await send(provider, dispatch(headers={name: "x"})) for name in ("Bcc", "X-Wayfare-About", "List-Unsubscribe", "a b")]
        refused += [await send(provider, dispatch(to="ann@example.net, eve@example.com")), await send(provider, dispatch(html="", text=""))]
    [request] = server.requests
    body = json.loads(request["body"])
    assert body["subject"] == "Hi Bcc: eve@example.com"
    assert body["headers"] == {"X-Kind": "a Bcc: eve@example.com"}
    assert [result.state for result in refused] == [REJECTED] * 6


def fault(message: str, field: str | None = None) -> str:
    return json.dumps({"errors": [{"message": message, "field": field}]})


@pytest.mark.parametrize(
    ("status", "body", "state", "counts"),
    [
        (400, fault("Does not contain a valid address.", "personalizations.0.to.0.email"), REJECTED, True),
        (413, fault("Payload Too Large"), REJECTED, True),
        (301, "", REJECTED, True),
        (401, fault("authorization grant is invalid"), CREDENTIALS, True),
        (403, fault("access forbidden"), CREDENTIALS, True),
        (403, fault("The from address does not match a verified Sender Identity.", "from"), CREDENTIALS, True),
        (429, fault("too many requests"), DEFERRED, False),
        (503, "<html>", DEFERRED, True),
        (500, "<html>", UNKNOWN, True),
        (502, "", UNKNOWN, True),
        (504, "", UNKNOWN, True),
    ],
)
async def test_what_an_answer_means(status: int, body: str, state: str, counts: bool) -> None:
    async with HttpServer() as server, sendgrid(server.url) as provider:
        server.behave = (status, {"X-RateLimit-Reset": str(NOW_MS // 1_000 + 30)}, body)
        result = await send(provider, dispatch())
    assert (result.state, result.counts) == (state, counts)
    assert result.retry_after_ms == (30_000 if state == DEFERRED else 0)
    assert str(status) in result.reason


async def test_a_sender_of_one_template_that_is_not_verified_waits_and_stops_nobody_else() -> None:
    async with HttpServer() as server, sendgrid(server.url) as provider:
        server.behave = (403, {}, fault("The from address does not match a verified Sender Identity.", "from"))
        result = await send(provider, dispatch(sender="Other <other@example.org>"))
    assert (result.state, result.blames) == (DEFERRED, "message")


async def test_links_and_opens_are_tracked_by_us_where_it_is_switched_on() -> None:
    link = '<a href="https://shop.example.com">x</a>'
    async with HttpServer() as server, sendgrid(server.url, track={"opens": True, "clicks": True}) as provider:
        await send(provider, dispatch(html=link))
    async with HttpServer() as other, sendgrid(other.url) as provider:
        await send(provider, dispatch(html=link))
    html = json.loads(server.requests[0]["body"])["content"][1]["value"]
    assert "https://go.example.com/c/" in html
    assert "https://go.example.com/o/" in html
    assert json.loads(other.requests[0]["body"])["content"][1]["value"] == link


@pytest.mark.parametrize(
    "settings",
    [
        *({"base_url": "ftp://x"}, {"connections": 0}, {"key": "a\nb"}, {"key": None}, {"from": "nobody"}, {"track": {"open": True}}),
        *({"verification_key": "nonsense"}, {"verification_key": "QUJD"}, {"verification_key": RSA_SHOWN}),
    ],
)
def test_settings_that_cannot_work_are_said(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig, match=r"providers\.yaml: email: ") as error:
        make_provider("email", {**BLOCK, **settings}, HOUSE, ENVIRON)
    assert "sw0rdfish" not in str(error.value)


# EVENTS


def signed(body: bytes, seconds: int = NOW_MS // 1_000) -> Inbound:
    signature = KEY.sign(str(seconds).encode() + body, ec.ECDSA(hashes.SHA256()))
    headers = {
        "x-twilio-email-event-webhook-signature": b64encode(signature).decode(),
        "x-twilio-email-event-webhook-timestamp": str(seconds),
    }
    return Inbound(url="https://go.example.com/v1/callbacks/sendgrid", headers=headers, body=body)


async def receive(inbound: Inbound, **more: Any) -> list[Heard]:
    found = receiver_of("sendgrid", {"email": {**BLOCK, **more}}, ENVIRON)
    assert found is not None
    return (await found[0].receive(found[1], inbound, HOUSE)).heard


async def hear(**event: Any) -> Heard | None:
    token = about("link-secret", EFFECT)
    body = json.dumps([{"email": "ann@example.net", "timestamp": 1_767_603_500, "sg_event_id": "ev1", "wayfare_about": token, **event}]).encode()
    heard = await receive(signed(body))
    return heard[0] if heard else None


@pytest.mark.parametrize(
    ("event", "what", "kind", "consent"),
    [
        ({"event": "delivered", "response": "250 OK"}, "delivered", None, {}),
        ({"event": "bounce", "type": "bounce", "reason": "550 5.1.1 nobody", "status": "5.1.1"}, "bounced", "hard", {"email": "bounced"}),
        ({"event": "bounce", "type": "blocked", "reason": "550 5.7.1 spam", "status": "5.7.1"}, "bounced", "block", {}),
        ({"event": "bounce", "type": "blocked", "reason": "unable to get mx info"}, "bounced", "soft", {}),
        ({"event": "dropped", "reason": "Bounced Address"}, "bounced", "hard", {"email": "bounced"}),
        ({"event": "dropped", "reason": "Spam Reporting Address"}, "complained", None, {"email": "complained"}),
        ({"event": "dropped", "reason": "Unsubscribed Address"}, "rejected", "other", {"email": "transactional_only"}),
        ({"event": "dropped", "reason": "Invalid SMTPAPI header"}, "rejected", "other", {}),
        ({"event": "deferred", "response": "450 4.2.1 later", "attempt": "5"}, "email.delayed", "soft", {}),
        ({"event": "spamreport"}, "complained", None, {"email": "complained"}),
        ({"event": "unsubscribe"}, "", None, {"email": "transactional_only"}),
        ({"event": "group_unsubscribe", "asm_group_id": 1}, "", None, {"email": "transactional_only"}),
        ({"event": "open", "useragent": "x", "sg_machine_open": False}, "opened", None, {}),
        ({"event": "click", "url": "https://shop.example.com/?a=1"}, "clicked", None, {}),
    ],
)
async def test_what_an_event_means(event: dict[str, Any], what: str, kind: str | None, consent: dict[str, str]) -> None:
    heard = await hear(**event)
    assert heard is not None
    assert (heard.status or heard.event, heard.data.get("class"), heard.consent) == (what, kind, consent)
    assert (heard.id, heard.email, heard.channel) == ("sendgrid:ev1", "ann@example.net", "email")
    assert heard.tighten
    assert read_about("link-secret", heard.about) is not None
    if event["event"] == "click":
        assert heard.data == {"url": "https://shop.example.com/?a=1"}


@pytest.mark.parametrize("event", ["processed", "group_resubscribe", "account_status_change", ""])
async def test_other_events_say_nothing(event: str) -> None:
    assert await hear(event=event) is None


async def test_a_strange_event_costs_only_itself() -> None:
    events = [{"event": "open", "email": ["x"]}, {"event": "open", "email": "ann@example.net", "reason": None, "timestamp": "1767603500"}]
    [one] = await receive(signed(json.dumps(events).encode()))
    assert (one.status, one.email, one.time, one.id) == ("opened", "ann@example.net", 1_767_603_500_000, "")


async def test_what_sendgrid_did_not_sign_is_refused() -> None:
    good = signed(b"[]")
    assert await receive(good) == []
    day = 86_400
    forged = [
        Inbound(url=good.url, headers=good.headers, body=b"[ ]"),
        Inbound(url=good.url, headers={**good.headers, "x-twilio-email-event-webhook-timestamp": "1"}, body=b"[]"),
        Inbound(url=good.url, headers={}, body=b"[]"),
        signed(b"[]", NOW_MS // 1_000 - day - 60),
        signed(b"[]", NOW_MS // 1_000 + day + 60),
    ]
    for inbound in forged:
        with pytest.raises(Unsigned):
            await receive(inbound)
    with pytest.raises(Unsigned):
        await receive(good, verification_key="")
    assert await receive(good, verification_key=f"-----BEGIN PUBLIC KEY-----\n{SHOWN}\n-----END PUBLIC KEY-----\n") == []


@pytest.mark.parametrize("body", [b"{}", b"nonsense", b"\xff", b"[1]", b"[" * 100_000])
async def test_what_is_signed_and_no_array_of_events_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        await receive(signed(body))
