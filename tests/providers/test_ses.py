"""Amazon SES: the request that its API expects, what each answer means, and what it says over SNS."""

from __future__ import annotations

import email
import json
from base64 import b64decode, b64encode
from contextlib import AbstractAsyncContextManager
from email.policy import default
from typing import Any

import dkim
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from actions.feedback import Heard, about, read_about
from actions.providers.provider import CREDENTIALS, DEFERRED, DELIVERED, REJECTED, UNKNOWN, Inbound, Unsigned
from actions.providers.registry import make_provider, receiver_of
from actions.providers.ses import DAILY_RETRY_MS, Ses
from actions.ses_events import tag_of
from actions.sigv4 import AwsKey, signed_headers
from actions.sns import Sns
from engine.core.errors import InvalidConfig
from tests.providers.emails import EFFECT, ENVIRON, HOUSE, NOW_MS, dispatch, email_provider, send
from tests.providers.http_server import HttpServer
from tests.providers.sns_world import SUBSCRIBE_URL, TOPIC, SnsWorld

BLOCK = {"provider": "ses", "region": "eu-west-1", "access_key": "AKIA1", "secret_key": "env:KEY", "topics": [TOPIC]}


def ses(url: str, **more: Any) -> AbstractAsyncContextManager[Any]:
    return email_provider({**BLOCK, "base_url": f"{url}/", **more})


async def test_the_request_is_the_one_of_the_api_and_the_mail_is_ours() -> None:
    async with HttpServer({"MessageId": "0100"}) as server, ses(server.url, configuration_set="news", session_token="env:KEY") as provider:
        result = await send(provider, dispatch(promotional=True))
    assert (result.state, result.data) == (DELIVERED, {"message_id": "0100"})
    [request] = server.requests
    assert (request["method"], request["path"]) == ("POST", "/v2/email/outbound-emails")
    key = AwsKey(access_key="AKIA1", secret_key="sw0rdfish", region="eu-west-1", service="ses", token="sw0rdfish")
    url = f"{server.url}/v2/email/outbound-emails"
    expected = signed_headers(key, "POST", url, {"Content-Type": "application/json"}, request["body"], NOW_MS)
    assert {name: request["headers"][name] for name in expected} == expected
    assert request["headers"]["Host"] == f"127.0.0.1:{server.port}"
    body = json.loads(request["body"])
    assert (body["Destination"], body["ConfigurationSetName"]) == ({"ToAddresses": ["ann@example.net"]}, "news")
    token = about("link-secret", EFFECT)
    assert body["EmailTags"] == [{"Name": "wayfare_about", "Value": token.replace(".", "")}]
    mail = email.message_from_bytes(b64decode(body["Content"]["Raw"]["Data"]), policy=default)
    assert (mail["Subject"], mail["X-Wayfare-About"].replace(" ", "")) == ("Hi \u00e4", token)
    assert mail["List-Unsubscribe"].startswith("<https://go.example.com/u/")
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


async def test_a_token_that_fits_no_tag_travels_in_the_header_alone() -> None:
    effect = msgspec.structs.replace(EFFECT, contact="c" * 256)
    assert tag_of(about("link-secret", effect)) == ""
    async with HttpServer() as server, ses(server.url) as provider:
        await send(provider, dispatch(effect))
    body = json.loads(server.requests[0]["body"])
    assert "EmailTags" not in body
    mail = email.message_from_bytes(b64decode(body["Content"]["Raw"]["Data"]))
    found = read_about("link-secret", "".join(mail["X-Wayfare-About"].split()))
    assert found is not None
    assert found.contact == "c" * 256


async def test_our_dkim_stands_after_ses_has_replaced_its_headers() -> None:
    key = generate_private_key(65_537, 2_048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    async with HttpServer() as server, ses(server.url, dkim={"domain": "example.com", "selector": "s1", "key": pem}) as provider:
        await send(provider, dispatch(promotional=True))
    raw = b64decode(json.loads(server.requests[0]["body"])["Content"]["Raw"]["Data"])
    lines = [line for line in raw.split(b"\r\n") if not line.lower().startswith((b"message-id:", b"date:"))]
    assert len(lines) == len(raw.split(b"\r\n")) - 2
    public = b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    sent = b"Message-ID: <0100@eu-west-1.amazonses.com>\r\nDate: Mon, 05 Jan 2026 11:00:00 +0000\r\n" + b"\r\n".join(lines)
    assert dkim.verify(sent, dnsfunc=lambda name, **_: b"v=DKIM1; k=rsa; p=" + public)


@pytest.mark.parametrize(
    ("status", "kind", "text", "state", "counts"),
    [
        (400, "MessageRejected", "Virus found", REJECTED, True),
        (400, "BadRequestException", "Missing final '@domain'", REJECTED, True),
        (
            400,
            "MessageRejected:http://internal.amazon.com/",
            "Email address is not verified. The following identities failed: shop@example.com",
            CREDENTIALS,
            True,
        ),
        (400, "MailFromDomainNotVerifiedException", "x", CREDENTIALS, True),
        (400, "AccountSuspendedException", "x", CREDENTIALS, True),
        (400, "SendingPausedException", "x", CREDENTIALS, True),
        (404, "NotFoundException", "Configuration set <news> does not exist.", CREDENTIALS, True),
        (403, "InvalidSignatureException", "x", CREDENTIALS, True),
        (403, "ExpiredTokenException", "x", CREDENTIALS, True),
        (403, "", "x", CREDENTIALS, True),
        (429, "TooManyRequestsException", "Maximum sending rate exceeded.", DEFERRED, False),
        (400, "Throttling", "x", DEFERRED, False),
        (503, "", "x", DEFERRED, True),
        (500, "InternalFailure", "x", UNKNOWN, True),
        (504, "", "x", UNKNOWN, True),
        (307, "", "x", REJECTED, True),
    ],
)
async def test_what_an_answer_means(status: int, kind: str, text: str, state: str, counts: bool) -> None:
    for headers, body in (({"x-amzn-ErrorType": kind}, {"message": text}), ({}, {"__type": f"com.amazonaws.ses#{kind}", "Message": text})):
        async with HttpServer() as server, ses(server.url) as provider:
            server.behave = (status, {**headers, "Retry-After": "5"}, json.dumps(body))
            result = await send(provider, dispatch())
        assert (result.state, result.counts) == (state, counts)
        assert result.retry_after_ms == (5_000 if state == DEFERRED else 0)
        assert str(status) in result.reason


@pytest.mark.parametrize(("kind", "text"), [("TooManyRequestsException", "Daily message quota exceeded."), ("LimitExceededException", "x")])
async def test_a_day_that_is_used_up_is_asked_again_in_minutes(kind: str, text: str) -> None:
    async with HttpServer() as server, ses(server.url) as provider:
        server.behave = (429, {"x-amzn-ErrorType": kind}, json.dumps({"message": text}))
        result = await send(provider, dispatch())
    assert (result.state, result.retry_after_ms, result.counts) == (DEFERRED, DAILY_RETRY_MS, False)


async def test_a_sender_of_one_template_that_is_not_verified_waits_and_stops_nobody_else() -> None:
    async with HttpServer() as server, ses(server.url) as provider:
        server.behave = (400, {"x-amzn-ErrorType": "MessageRejected"}, '{"message": "Email address is not verified."}')
        result = await send(provider, dispatch(sender="other@example.org"))
        refused = await send(provider, dispatch(to="nobody"))
    assert (result.state, result.blames) == (DEFERRED, "message")
    assert (refused.state, len(server.requests)) == (REJECTED, 1)


@pytest.mark.parametrize(
    "settings",
    [
        *({"base_url": "ftp://x"}, {"connections": 0}, {"region": "eu west"}, {"region": ""}, {"secret_key": "a\nb"}, {"access_key": None}),
        *({"topics": "x"}, {"dkim": {"domain": "example.com", "selector": "s", "key": "nonsense"}}),
    ],
)
def test_settings_that_cannot_work_are_said(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig, match=r"providers\.yaml: email: ") as error:
        make_provider("email", {**BLOCK, **settings}, HOUSE, ENVIRON)
    assert "sw0rdfish" not in str(error.value)


# OVER SNS


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> SnsWorld:
    made = SnsWorld(NOW_MS)
    monkeypatch.setattr(Ses, "sns", Sns(made.fetch))
    return made


async def receive(body: bytes, **more: Any) -> list[Heard]:
    found = receiver_of("ses", {"email": {**BLOCK, **more}}, ENVIRON)
    assert found is not None
    return (await found[0].receive(found[1], Inbound(url="https://go.example.com/", headers={}, body=body), HOUSE)).heard


def said(kind: str, key: str, part: dict[str, Any], *, where: str = "tags") -> dict[str, Any]:
    token = about("link-secret", EFFECT)
    mail: dict[str, Any] = {"timestamp": "2026-01-05T09:00:00Z", "messageId": "0100", "source": "shop@example.com", "destination": ["ann@example.net"]}
    if where == "tags":
        mail["tags"] = {"ses:configuration-set": ["news"], "wayfare_about": [token.replace(".", "")]}
    if where == "headers":
        mail["headers"] = [{"name": "From", "value": "Shop"}, {"name": "X-Wayfare-About", "value": token}]
    return {("notificationType" if where == "headers" else "eventType"): kind, "mail": mail, key: part}


def bounce(kind: str, sub: str, **more: Any) -> dict[str, Any]:
    one = {"emailAddress": "ann@example.net", "action": "failed", **more}
    return {"bounceType": kind, "bounceSubType": sub, "bouncedRecipients": [one], "timestamp": "2026-01-05T09:00:01Z", "feedbackId": "f1"}


COMPLAINED = {"complainedRecipients": [{"emailAddress": "ann@example.net"}], "feedbackId": "f1", "complaintSubType": None}
SAID = [
    ("Bounce", "bounce", bounce("Permanent", "General", status="5.1.1", diagnosticCode="smtp; 550 5.1.1 unknown"), "bounced", "hard", {"email": "bounced"}),
    ("Bounce", "bounce", bounce("Permanent", "OnAccountSuppressionList"), "bounced", "hard", {"email": "bounced"}),
    ("Bounce", "bounce", bounce("Transient", "MailboxFull", status="4.2.2"), "bounced", "soft", {}),
    ("Bounce", "bounce", bounce("Transient", "General", status="5.7.1", diagnosticCode="smtp; 550 5.7.1 blocked as spam"), "bounced", "block", {}),
    ("Bounce", "bounce", bounce("Undetermined", "Undetermined"), "bounced", "soft", {}),
    ("Complaint", "complaint", {**COMPLAINED, "complaintFeedbackType": "abuse"}, "complained", None, {"email": "complained"}),
    ("Complaint", "complaint", {**COMPLAINED, "complaintFeedbackType": None}, "complained", None, {"email": "complained"}),
    ("Delivery", "delivery", {"recipients": ["ann@example.net"], "smtpResponse": "250 ok"}, "delivered", None, {}),
    ("Reject", "reject", {"reason": "Bad content"}, "rejected", None, {}),
    ("Open", "open", {"ipAddress": "192.0.2.1", "userAgent": "x"}, "opened", None, {}),
    ("Click", "click", {"link": "https://shop.example.com", "linkTags": None}, "clicked", None, {}),
    ("DeliveryDelay", "deliveryDelay", {"delayType": "MailboxFull", "delayedRecipients": [{"emailAddress": "ann@example.net"}]}, "email.delayed", "soft", {}),
]


@pytest.mark.parametrize("where", ["tags", "headers", ""])
@pytest.mark.parametrize(("kind", "key", "part", "what", "class_", "consent"), SAID)
async def test_what_a_message_means(
    world: SnsWorld, kind: str, key: str, part: dict[str, Any], what: str, class_: str | None, consent: dict[str, str], where: str
) -> None:
    [heard] = await receive(world.envelope(said(kind, key, part, where=where)))
    assert (heard.status or heard.event, heard.data.get("class"), heard.consent) == (what, class_, consent)
    assert (heard.email, heard.channel) == ("ann@example.net", "email")
    found = read_about("link-secret", heard.about)
    assert (found.contact if found else "") == ("ann" if where else "")
    assert heard.id == "ses:22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324:0"
    if kind == "Click":
        assert heard.data == {"url": "https://shop.example.com"}


@pytest.mark.parametrize(
    "message",
    [
        "Successfully validated SNS topic for Amazon SES event publishing.",
        said("Send", "send", {}),
        said("Rendering Failure", "failure", {}),
        said("Complaint", "complaint", {**COMPLAINED, "complaintFeedbackType": "not-spam"}),
        {"eventType": "Bounce", "mail": "x"},
        [1],
        "[" * 100_000,
        "\ud800",
    ],
)
async def test_other_messages_say_nothing(world: SnsWorld, message: Any) -> None:
    assert await receive(world.envelope(message if isinstance(message, dict | list) else message.encode(errors="replace").decode())) == []


async def test_a_subscription_is_confirmed_and_an_end_of_one_says_nothing(world: SnsWorld) -> None:
    assert await receive(world.envelope("You have chosen to subscribe", "SubscriptionConfirmation")) == []
    assert world.fetched[-1] == SUBSCRIBE_URL
    fetched = len(world.fetched)
    assert await receive(world.envelope("You have left", "UnsubscribeConfirmation")) == []
    assert len(world.fetched) == fetched


async def test_only_topics_that_the_settings_name_are_believed(world: SnsWorld) -> None:
    for topics in ([], ["arn:aws:sns:eu-west-1:1:other"]):
        with pytest.raises(Unsigned):
            await receive(world.envelope(said(*SAID[0][:3])), topics=topics)
    assert world.fetched == []
