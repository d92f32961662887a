"""SNS: what Amazon signed for one of our topics is opened, nothing else is, and nothing is fetched from anywhere else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from actions.providers.provider import Unreadable, Unsigned
from actions.sns import CERTIFICATES_MAX, Sns
from engine.core.errors import Unavailable
from tests.providers.sns_world import CERTIFICATE_URL, SUBSCRIBE_URL, TOPIC, SnsWorld, certificate

NOW_MS = 1_767_603_600_000
HOUR_MS = 3_600_000


@pytest.fixture
def world() -> SnsWorld:
    return SnsWorld(NOW_MS)


async def opened(world: SnsWorld, body: bytes, now_ms: int = NOW_MS, sns: Sns | None = None) -> Any:
    return await (sns or Sns(world.fetch)).open(body, [TOPIC], now_ms, HOUR_MS)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("kind", ["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"])
async def test_what_amazon_signed_is_opened(world: SnsWorld, kind: str, version: str) -> None:
    envelope = await opened(world, world.envelope('a "message"\nof two lines \u00e4', kind, version))
    assert (envelope.type, envelope.message) == (kind, 'a "message"\nof two lines \u00e4')


async def test_a_subject_is_signed_where_there_is_one(world: SnsWorld) -> None:
    assert (await opened(world, world.envelope("x", Subject="Notice"))).message == "x"


async def test_the_certificate_is_fetched_once_and_few_are_kept(world: SnsWorld) -> None:
    sns = Sns(world.fetch)
    for _ in range(3):
        await opened(world, world.envelope("x"), sns=sns)
    assert world.fetched == [CERTIFICATE_URL]
    for number in range(CERTIFICATES_MAX):
        url = CERTIFICATE_URL.replace("9c64", f"a{number:03}")
        world.pages[url] = world.pages[CERTIFICATE_URL]
        await opened(world, world.envelope("x", SigningCertURL=url), sns=sns)
    assert len(sns._certificates) == CERTIFICATES_MAX
    assert CERTIFICATE_URL not in sns._certificates


@pytest.mark.parametrize(
    "change",
    [
        {"Message": "another"},
        {"MessageId": "another"},
        {"Subject": "put in"},
        {"Timestamp": "2026-01-05T09:00:01.000Z"},
        {"Type": "UnsubscribeConfirmation"},
        {"Signature": "QUJD"},
        {"Signature": "not base64!"},
        {"SignatureVersion": "3"},
        {"TopicArn": "arn:aws:sns:eu-west-1:666666666666:mine"},
    ],
)
async def test_what_was_changed_on_the_way_is_refused(world: SnsWorld, change: dict[str, str]) -> None:
    body = {**json.loads(world.envelope("x")), **change}
    with pytest.raises(Unsigned):
        await opened(world, json.dumps(body).encode())


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-9c.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-9c.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/SimpleNotificationService-9c.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/SimpleNotificationService-9c.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-9c.pem",
        "https://s3.eu-west-1.amazonaws.com/SimpleNotificationService-9c.pem",
        "https://sns.eu-west-1.amazonaws.com/bucket/SimpleNotificationService-9c.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-9c.pem?x=/../y",
        "https://sns.evil.example/amazonaws.com/SimpleNotificationService-9c.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-9c.pem\n",
        "",
    ],
)
async def test_a_certificate_that_lies_elsewhere_is_not_fetched(world: SnsWorld, url: str) -> None:
    world.pages[url] = world.pages[CERTIFICATE_URL]
    with pytest.raises(Unsigned):
        await opened(world, world.envelope("x", SigningCertURL=url))
    assert world.fetched == []


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=x",
        "https://evil.example/?Action=ConfirmSubscription&Token=x",
        "https://sns.eu-west-1.amazonaws.com.evil.example/?Action=ConfirmSubscription&Token=x",
        "https://sns.eu-west-1.amazonaws.com@127.0.0.1/?Action=ConfirmSubscription&Token=x",
        "https://sns.eu-west-1.amazonaws.com/?Action=DeleteTopic&Token=x",
        "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=x y",
    ],
)
async def test_a_link_to_confirm_that_leads_elsewhere_is_not_followed(world: SnsWorld, url: str) -> None:
    sns = Sns(world.fetch)
    envelope = await opened(world, world.envelope("x", "SubscriptionConfirmation", SubscribeURL=url), sns=sns)
    with pytest.raises(Unsigned):
        await sns.confirm(envelope)
    assert world.fetched == [CERTIFICATE_URL]


async def test_a_subscription_is_confirmed_by_one_request(world: SnsWorld) -> None:
    sns = Sns(world.fetch)
    await sns.confirm(await opened(world, world.envelope("x", "SubscriptionConfirmation"), sns=sns))
    assert world.fetched == [CERTIFICATE_URL, SUBSCRIBE_URL]


async def test_old_messages_and_old_certificates_are_refused(world: SnsWorld) -> None:
    body = world.envelope("x")
    for now_ms in (NOW_MS - HOUR_MS - 1_000, NOW_MS + HOUR_MS + 1_000):
        with pytest.raises(Unsigned, match="old"):
            await opened(world, body, now_ms)
    assert await opened(world, body, NOW_MS + HOUR_MS - 1_000)
    world.pages[CERTIFICATE_URL] = certificate(world.key, NOW_MS, days=0)
    with pytest.raises(Unsigned, match="certificate"):
        await opened(world, body)


async def test_another_key_at_the_same_place_does_not_fit(world: SnsWorld) -> None:
    body = world.envelope("x")
    world.pages[CERTIFICATE_URL] = certificate(generate_private_key(65537, 2048), NOW_MS)
    with pytest.raises(Unsigned, match="fit"):
        await opened(world, body)


async def test_a_certificate_that_cannot_be_had_is_a_reason_to_try_again(world: SnsWorld) -> None:
    body = world.envelope("x")
    world.pages[CERTIFICATE_URL] = b"not a certificate"
    with pytest.raises(Unavailable):
        await opened(world, body)
    del world.pages[CERTIFICATE_URL]
    with pytest.raises(Unavailable):
        await opened(world, body)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"Type": 1}', b"\xff", b"[" * 100_000, b'{"Type": "Notification", "Timestamp": "yesterday"}'])
async def test_what_is_no_envelope_is_unreadable(world: SnsWorld, body: bytes) -> None:
    with pytest.raises(Unreadable):
        await opened(world, body)
