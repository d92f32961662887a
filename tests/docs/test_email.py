"""The page about email: its map runs as it says, its settings can be used, its lines for Postfix are the ones that are tested."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from actions.providers.provider import House
from actions.providers.registry import make_provider, provider_problems
from actions.registry import detail_of, load_registry
from engine.config import Config
from engine.core.documents import read_document
from engine.simulator import simulate
from ops.cli.receiving import receive_mail

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/email.md").read_text()
SECRETS = ("SMTP_PASSWORD", "CALLBACK_SECRET", "SENDGRID_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def blocks(language: str) -> list[str]:
    """What stands between fences of this language ("": of none)."""
    fenced = (part.partition("\n") for part in PAGE.split("```")[1::2])
    return [text for word, _, text in fenced if word == language]


def documents() -> list[Any]:
    return [read_document(block, "email.md") for block in blocks("yaml")]


def environ() -> dict[str, str]:
    dkim = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    shown = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return {**dict.fromkeys(SECRETS, "x"), "DKIM_KEY": dkim, "SENDGRID_VERIFICATION_KEY": shown}


def test_the_map_does_what_the_page_says() -> None:
    assert [str(one) for one in simulate(documents()[0], load_registry(), detail_of, lambda folder: {}).differences] == []


async def test_each_block_of_settings_can_be_used() -> None:
    house = House(config=Config(), clock=lambda: 0, secret="s")
    names = []
    for document in documents()[1:]:
        assert provider_problems(document) == []
        await (provider := make_provider("email", document["email"], house, environ())).close()
        names.append(provider.name)
    assert names == ["smtp", "sendgrid", "ses"]


def test_the_lines_for_postfix_are_the_ones_that_are_tested() -> None:
    ours, by_curl = blocks("")
    options = set(re.findall(r"--[a-z-]+", ours))
    assert options == {"--url", "--secret-file"} <= {option for parameter in receive_mail.params for option in parameter.opts}
    tested = (ROOT / "tests/counterparts/test_email.py").read_text()
    command = by_curl.partition("{ ")[2].partition(" }")[0]
    assert command.replace("SECRET", "b0unce").replace("https://go.example.com/v1/callbacks/smtp", "URL") in tested


def test_every_bound_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(\w+_(?:ms|max))`", PAGE))
    assert {"sighting_wait_ms", "sighting_life_ms", "credentials_retry_ms"} <= named
    assert named <= set(Config.__struct_fields__)
