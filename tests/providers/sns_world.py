"""Amazon SNS on loopback of the mind: a certificate of our own making, envelopes signed with it, and what would be fetched."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from engine.core.errors import Unavailable

TOPIC = "arn:aws:sns:eu-west-1:123456789012:ses-feedback"
CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem"
SUBSCRIBE_URL = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn&Token=2336412f37"
SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}


def certificate(key: RSAPrivateKey, now_ms: int, days: int = 30) -> bytes:
    """A certificate that is good from a day before `now_ms` for so many days."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    begin = datetime.fromtimestamp(now_ms / 1_000, UTC) - timedelta(days=1)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    return made.not_valid_before(begin).not_valid_after(begin + timedelta(days=days)).sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


class SnsWorld:
    """`fetch` is what Sns is given; `fetched` what it asked for. `pages` maps a URL to its body, where the certificate is not enough."""

    def __init__(self, now_ms: int) -> None:
        self.key = generate_private_key(65537, 2048)
        self.now_ms = now_ms
        self.pages: dict[str, bytes] = {CERTIFICATE_URL: certificate(self.key, now_ms), SUBSCRIBE_URL: b"<ok/>"}
        self.fetched: list[str] = []

    async def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        if url not in self.pages:
            raise Unavailable("nothing there")
        return self.pages[url]

    def envelope(self, message: Any = "", kind: str = "Notification", version: str = "2", **fields: Any) -> bytes:
        """A signed one; `fields` stand in it as given and are signed too."""
        stamp = datetime.fromtimestamp(self.now_ms / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        body = {"Type": kind, "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "TopicArn": TOPIC, "Timestamp": stamp}
        body |= {"Message": message if isinstance(message, str) else json.dumps(message), "SigningCertURL": CERTIFICATE_URL}
        if kind != "Notification":
            body |= {"SubscribeURL": SUBSCRIBE_URL, "Token": "2336412f37"}
        body |= fields
        text = "".join(f"{name}\n{body[name]}\n" for name in SIGNED[kind] if name in body)
        algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
        signature = b64encode(self.key.sign(text.encode(), PKCS1v15(), algorithm)).decode()
        return json.dumps({**body, "SignatureVersion": version, "Signature": signature}).encode()
