"""Amazon SNS over HTTP: the envelope of a notification, its signature checked with Amazon's certificate, and subscriptions confirmed.

Anybody can have a topic of their own whose messages Amazon signs, so a signature alone is worth nothing: the topic must be one of those
that the settings name. Certificates are fetched only from Amazon's own hosts over https, and kept.
https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime

import aiohttp
import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import Certificate, load_pem_x509_certificate

from actions.http_client import bounded_body, make_session
from actions.providers.provider import Unreadable, Unsigned
from engine.core.errors import Unavailable

FETCH_MS_MAX = 5_000
CERTIFICATES_MAX = 16

NOTIFICATION, CONFIRMATION = "Notification", "SubscriptionConfirmation"

_HOST = r"https://sns\.[a-z0-9-]{1,40}\.amazonaws\.com(?:\.cn)?"
_CERTIFICATE = re.compile(rf"{_HOST}/SimpleNotificationService-[0-9A-Za-z]{{1,80}}\.pem")
_CONFIRM = re.compile(rf"{_HOST}/\?Action=ConfirmSubscription&[!-~]{{1,2000}}")
_SIGNED = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    CONFIRMATION: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {"1": hashes.SHA1, "2": hashes.SHA256}

Fetch = Callable[[str], Awaitable[bytes]]


class Envelope(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What SNS posts; the fields keep Amazon's names."""

    type: str
    message_id: str
    topic_arn: str
    message: str
    timestamp: datetime
    signature: str
    signature_version: str = "1"
    signing_cert_url: str = msgspec.field(name="SigningCertURL")
    subscribe_url: str = msgspec.field(name="SubscribeURL", default="")


class Sns:
    """Opens envelopes. `fetch` gets the body of an https URL; raises Unavailable where it can't."""

    def __init__(self, fetch: Fetch | None = None) -> None:
        self._fetch = fetch or _fetched
        self._certificates: dict[str, Certificate] = {}

    async def open(self, body: bytes, topics: Collection[str], now_ms: int, age_ms_max: int) -> Envelope:
        """The envelope, if one of our topics sent it lately. Raises Unsigned, Unreadable, Unavailable."""
        try:
            fields = msgspec.json.decode(body, type=dict[str, object])
            envelope = msgspec.convert(fields, Envelope)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise Unreadable("not an SNS envelope (raw message delivery must be off)") from None
        if envelope.topic_arn not in topics:
            raise Unsigned("the topic is none of those that the settings name")
        if envelope.type not in _SIGNED:
            raise Unreadable("an unknown type of SNS message")
        sent = envelope.timestamp if envelope.timestamp.tzinfo else envelope.timestamp.replace(tzinfo=UTC)
        if abs(now_ms - sent.timestamp() * 1_000) > age_ms_max:
            raise Unsigned("the message is too old, or from the future")
        text = "".join(f"{name}\n{fields[name]}\n" for name in _SIGNED[envelope.type] if fields.get(name) is not None)
        await self._verify(envelope, text.encode(errors="replace"), now_ms)
        return envelope

    async def confirm(self, envelope: Envelope) -> None:
        """Answer a SubscriptionConfirmation, if its link leads to Amazon. Raises Unsigned, Unavailable."""
        if not _CONFIRM.fullmatch(envelope.subscribe_url):
            raise Unsigned("the link to confirm leads elsewhere than to SNS")
        await self._fetch(envelope.subscribe_url)

    async def _verify(self, envelope: Envelope, signed: bytes, now_ms: int) -> None:
        algorithm = _HASHES.get(envelope.signature_version)
        certificate = await self._certificate(envelope.signing_cert_url)
        key, now = certificate.public_key(), datetime.fromtimestamp(now_ms / 1_000, UTC)
        if algorithm is None or not isinstance(key, RSAPublicKey) or not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise Unsigned("the signature's version or its certificate is not one that can be trusted")
        try:
            key.verify(b64decode(envelope.signature, validate=True), signed, PKCS1v15(), algorithm())
        except (InvalidSignature, binascii.Error, ValueError):
            raise Unsigned("the signature does not fit the message") from None

    async def _certificate(self, url: str) -> Certificate:
        if not _CERTIFICATE.fullmatch(url):
            raise Unsigned("the certificate does not lie at SNS")
        if url not in self._certificates:
            try:
                certificate = load_pem_x509_certificate(await self._fetch(url))
            except ValueError:
                raise Unavailable("what lies in the place of the certificate of SNS is none") from None
            while len(self._certificates) >= CERTIFICATES_MAX:
                self._certificates.pop(next(iter(self._certificates)))
            self._certificates[url] = certificate
        return self._certificates[url]


async def _fetched(url: str) -> bytes:
    async with make_session(FETCH_MS_MAX, 1, public_only=True) as session:
        try:
            async with session.get(url, allow_redirects=False) as response:
                body = await bounded_body(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"SNS does not answer: {type(error).__name__}") from error
    if response.status != 200:
        raise Unavailable(f"SNS answers {response.status}")
    return body
