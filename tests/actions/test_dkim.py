"""Signatures hold before dkimpy, for both algorithms, and not after a change."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from actions.dkim import Signer
from actions.messages import Email
from actions.mime import build
from engine.core.errors import InvalidConfig

RSA = generate_rsa(65_537, 2_048)
ED25519 = Ed25519PrivateKey.generate()
BODIES = ["Hello\n", "", "trailing   \n\n  spaced\tout  \n\n\n", "x" * 3_000, "gr\u00fc\u00dfe\n" * 50, "\u05d0" * 500, ".\n..\n"]


def record(key: object) -> bytes:
    if key is RSA:
        return b"v=DKIM1; k=rsa; p=" + b64encode(RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return b"v=DKIM1; k=ed25519; p=" + b64encode(ED25519.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def pem(key: object) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()  # type: ignore[attr-defined]


def holds(data: bytes, key: object) -> bool:
    asked = []

    def dns(name: bytes, timeout: int = 5) -> bytes:
        asked.append(name)
        return record(key)

    verified = bool(dkim.verify(data, dnsfunc=dns))
    assert asked == [b"s1._domainkey.example.com."]
    return verified


@pytest.mark.parametrize("key", [RSA, ED25519], ids=["rsa", "ed25519"])
@pytest.mark.parametrize("body", BODIES)
def test_a_signature_holds(key: object, body: str) -> None:
    email = Email(
        to="Zo\u00eb <ann@example.com>", sender="Shop <shop@example.com>", subject="  Offers   for you " + "\u00e4" * 60, text=body, html=f"<p>{body}</p>"
    )
    data = build(email, "a" * 32, 1_767_603_600_000, "https://x.example/u/" + "t" * 300).data
    signer = Signer.load("example.com", "s1", pem(key))
    signed = signer.sign(data, 1_767_603_600)
    assert holds(signed, key)
    assert signed == signer.sign(data, 1_767_603_600), "a retry is the same, byte for byte"
    assert all(len(line) <= 998 for line in signed.split(b"\r\n"))


@pytest.mark.parametrize(("old", "new"), [(b"one-time", b"two-time"), (b"Subject: Hi", b"Subject: Ho"), (b"One-Click", b"Two-Click"), (b"/u/t>", b"/u/x>")])
def test_a_change_breaks_it(old: bytes, new: bytes) -> None:
    data = build(Email(to="ann@example.com", sender="shop@example.com", subject="Hi", text="one-time\n"), "a" * 32, 0, "https://x.example/u/t").data
    signed = Signer.load("example.com", "s1", pem(ED25519)).sign(data, 1)
    assert holds(signed, ED25519)
    assert old in signed
    assert not holds(signed.replace(old, new), ED25519)


def test_a_key_comes_from_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(pem(RSA))
    assert Signer.load("example.com", "s1", str(tmp_path / "key.pem"))


@pytest.mark.parametrize(
    "key", ["/no/such/file", "-----BEGIN PRIVATE KEY-----\nsecretsecret\n-----END PRIVATE KEY-----", pem(generate_private_key(SECP256R1()))]
)
def test_a_key_that_cannot_be_used_is_said_without_showing_it(key: str) -> None:
    with pytest.raises(InvalidConfig) as error:
        Signer.load("example.com", "s1", key)
    assert "dkim.key" in str(error.value)
    assert "secretsecret" not in str(error.value)
