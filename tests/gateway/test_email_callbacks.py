"""What email providers and mail servers report, through the gateway: checked, kept before it is answered, and consent that ends at once."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from actions.feedback import about
from actions.providers.ses import Ses
from actions.sns import Sns
from engine.core.effects import Effect
from engine.core.index import entries
from engine.core.partitioning import partition_of
from engine.core.records import Event, Outcome, Update
from tests.gateway.conftest import NOW_MS
from tests.providers.sns_world import CERTIFICATE_URL, SUBSCRIBE_URL, TOPIC, SnsWorld

KEY = ec.generate_private_key(ec.SECP256R1())
SHOWN = b64encode(KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
BLOCKS = {
    "sendgrid": {"provider": "sendgrid", "key": "k", "verification_key": SHOWN, "from": "shop@example.com"},
    "ses": {"provider": "ses", "region": "eu-west-1", "access_key": "a", "secret_key": "s", "topics": [TOPIC], "from": "shop@example.com"},
    "smtp": {"provider": "smtp", "host": "mail.example.com", "from": "shop@example.com", "callback_secret": "b0unce"},
}
EFFECT = Effect("e" * 32, "ann", "send_email", "email", "b", "", "m", 1, "mail", 2, 1, 1, 1, NOW_MS, {"template": "hello.html"}, 0, "email")
NOTICE = Effect("f" * 32, "ann", "notify_email", "email", "t", "", "m", 1, "tell", 2, 1, 1, 1, NOW_MS, {"template": "big.html"})
TOKEN = about("s3cret", EFFECT)
REPORT = Path(__file__).parents[1] / "actions" / "bounce_mails" / "postfix_unknown_user.eml"
GONE = {"class": "hard", "status": "5.1.1"}


async def use(gateway: Any, name: str) -> None:
    """Publish a workspace that sends by this provider, and let two contacts share an address."""
    assert (await gateway.call("PUT", "/v1/workspace", {"maps": [], "providers": {"email": BLOCKS[name]}})).status == 200
    for contact in ("ann", "anna"):
        gateway.commit(contact, index=dict.fromkeys(entries(contact, {"email": "ann@example.net"}), True))


async def post(gateway: Any, name: str, body: bytes, **headers: str) -> Any:
    sent = {"Authorization": "", "Content-Type": "text/plain; charset=UTF-8", **{key.replace("_", "-"): value for key, value in headers.items()}}
    return await gateway.call("POST", f"/v1/callbacks/{name}", body, headers=sent)


async def events(gateway: Any, *given: dict[str, Any]) -> Any:
    body, stamp = json.dumps(given).encode(), str(NOW_MS // 1_000)
    signature = b64encode(KEY.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
    signed = {"X_Twilio_Email_Event_Webhook_Signature": signature, "X_Twilio_Email_Event_Webhook_Timestamp": stamp}
    return await post(gateway, "sendgrid", body, **signed)


def said(gateway: Any) -> list[Any]:
    return [record for record in gateway.records() if record.contact]


async def at_the_door(gateway: Any) -> str:
    """What keeps a mail to Ann that was decided before from being sent ("": nothing), though no shard has read a record yet."""
    gateway.commit("ann", effects=[msgspec.structs.replace(EFFECT, id="d" * 32)])
    claims = await gateway.store.outbox.claim("email", [partition_of("ann", gateway.config.partitions)], "pool", 10, 30_000, {}, [])
    [answer] = await gateway.store.outbox.mark(claims, 30_000, once=True)
    return str(answer)


async def test_events_of_sendgrid_become_records_of_their_contact(gateway: Any) -> None:
    await use(gateway, "sendgrid")
    bounce = {"event": "bounce", "type": "bounce", "reason": "550 5.1.1 nobody", "status": "5.1.1", "sg_event_id": "b1", "wayfare_about": TOKEN}
    click = {"event": "click", "url": "https://shop.example.com", "sg_event_id": "c1", "wayfare_about": TOKEN}
    delayed = {"event": "deferred", "response": "450 later", "sg_event_id": "d1", "wayfare_about": TOKEN, "timestamp": 1_767_603_500}
    answer = await events(gateway, bounce, click, delayed)
    assert (answer.status, await answer.text()) == (200, "")
    assert said(gateway) == [
        Outcome("ann", "e" * 32, "send_email", "bounced", "550 5.1.1 nobody", 2, "mail", {"template": "hello.html", **GONE}, "sendgrid:b1:o"),
        Update("ann", consent={"email": "bounced"}, id="sendgrid:b1:u", tighten=True),
        Outcome("ann", "e" * 32, "send_email", "clicked", "", 2, "mail", {"template": "hello.html", "url": "https://shop.example.com"}, "sendgrid:c1:o"),
        Event("ann", "email.delayed", {"reason": "450 later", "class": "soft", "status": ""}, "sendgrid:d1:e", 1_767_603_500_000),
    ]
    assert await at_the_door(gateway) == "email: bounced"


async def test_without_a_token_everybody_with_the_address_is_meant(gateway: Any) -> None:
    await use(gateway, "sendgrid")
    await events(gateway, {"event": "unsubscribe", "email": "Ann@Example.net", "sg_event_id": "u1"}, {"event": "open", "email": "nobody@example.net"})
    assert sorted(said(gateway), key=lambda record: record.contact) == [
        Update(contact, consent={"email": "transactional_only"}, id="sendgrid:u1:u", tighten=True) for contact in ("ann", "anna")
    ]


async def test_a_bounce_of_a_notice_to_the_team_is_nothing_of_the_contacts(gateway: Any) -> None:
    await use(gateway, "sendgrid")
    token = about("s3cret", NOTICE)
    await events(
        gateway,
        {"event": "spamreport", "email": "eve@example.com", "sg_event_id": "s1", "wayfare_about": token},
        {"event": "unsubscribe", "email": "eve@example.com", "sg_event_id": "s2", "wayfare_about": token},
        {"event": "deferred", "email": "eve@example.com", "sg_event_id": "s3", "wayfare_about": token},
    )
    assert said(gateway) == [Outcome("ann", "f" * 32, "notify_email", "complained", "spam report", 2, "tell", {"template": "big.html"}, "sendgrid:s1:o")]
    assert await at_the_door(gateway) == ""


async def test_what_sendgrid_did_not_sign_changes_nothing(gateway: Any) -> None:
    await use(gateway, "sendgrid")
    answer = await post(gateway, "sendgrid", b'[{"event": "spamreport", "email": "ann@example.net"}]')
    assert (answer.status, (await answer.json())["type"]) == (403, "/problems/not-signed")
    assert said(gateway) == []


async def test_ses_confirms_its_subscription_and_reports_over_sns(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world = SnsWorld(NOW_MS)
    monkeypatch.setattr(Ses, "sns", Sns(world.fetch))
    await use(gateway, "ses")
    assert (await post(gateway, "ses", world.envelope("hello", "SubscriptionConfirmation"))).status == 200
    assert world.fetched == [CERTIFICATE_URL, SUBSCRIBE_URL]
    complaint = {"complainedRecipients": [{"emailAddress": "ann@example.net"}], "complaintFeedbackType": "abuse"}
    message = {"eventType": "Complaint", "mail": {"tags": {"wayfare_about": [TOKEN.replace(".", "")]}}, "complaint": complaint}
    assert (await post(gateway, "ses", world.envelope(message))).status == 200
    name = "ses:22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324:0"
    assert said(gateway) == [
        Outcome("ann", "e" * 32, "send_email", "complained", "abuse", 2, "mail", {"template": "hello.html"}, f"{name}:o"),
        Update("ann", consent={"email": "complained"}, id=f"{name}:u", tighten=True),
    ]
    assert await at_the_door(gateway) == "email: complained"
    forged = json.loads(world.envelope(message))
    assert (await post(gateway, "ses", json.dumps({**forged, "Message": "{}"}).encode())).status == 403
    world.pages.clear()
    Ses.sns._certificates.clear()
    away = await post(gateway, "ses", world.envelope(message))
    assert (away.status, "Retry-After" in away.headers) == (503, True)  # SNS then sends it again


async def test_a_report_that_a_mail_server_hands_over_ends_consent(gateway: Any) -> None:
    await use(gateway, "smtp")
    mail = REPORT.read_bytes().replace(b"@TOKEN@", TOKEN.encode())
    for key in ("", "Bearer wrong", "b0unce", f"Bearer {gateway.keys['admin']}", "Bearer b0unce\u00e9"):
        assert (await post(gateway, "smtp", mail, Authorization=key, Content_Type="message/rfc822")).status == 403
    assert said(gateway) == []
    for _ in range(2):
        assert (await post(gateway, "smtp", mail, Authorization="Bearer b0unce", Content_Type="message/rfc822")).status == 200
    assert (await post(gateway, "smtp", b"Subject: I am away\n\nuntil Monday", Authorization="Bearer b0unce")).status == 200
    outcome, update = said(gateway)[:2]
    assert (outcome.status, outcome.effect, outcome.element, outcome.data) == ("bounced", "e" * 32, "mail", {"template": "hello.html", **GONE})
    assert "User unknown" in outcome.reason
    assert (update.consent, update.tighten) == ({"email": "bounced"}, True)
    assert said(gateway)[2:] == [outcome, update]  # the same ids, so the second one changes nothing
    assert await at_the_door(gateway) == "email: bounced"


async def test_a_report_without_a_token_is_believed_only_where_the_settings_say_so(gateway: Any) -> None:
    mail = REPORT.read_bytes().replace(b"X-Wayfare-About: @TOKEN@\n", b"")
    block = {**BLOCKS["smtp"], "bounces_by_address": False}
    assert (await gateway.call("PUT", "/v1/workspace", {"maps": [], "providers": {"email": block}})).status == 200
    await post(gateway, "smtp", mail, Authorization="Bearer b0unce")
    assert said(gateway) == []
    await use(gateway, "smtp")
    await post(gateway, "smtp", mail, Authorization="Bearer b0unce")
    assert {record.contact for record in said(gateway)} == {"ann", "anna"}


@pytest.mark.parametrize(("name", "missing"), [("sendgrid", "verification_key"), ("ses", "topics"), ("smtp", "callback_secret")])
async def test_nobody_is_believed_where_no_secret_is_set(gateway: Any, name: str, missing: str) -> None:
    block = {key: value for key, value in BLOCKS[name].items() if key != missing}
    assert (await gateway.call("PUT", "/v1/workspace", {"maps": [], "providers": {"email": block}})).status == 200
    answer = await post(gateway, name, b"[]", Authorization="Bearer ")
    assert answer.status == 403
    assert missing in (await answer.json())["detail"]
