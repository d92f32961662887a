"""Mail as a mail program reads it: maildev takes it over an authenticated connection, parses it, and shows what it found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from tests.counterparts import maildev
from tests.counterparts.maildev import Mailbox
from tests.counterparts.needs import needs
from tests.counterparts.proofs import proves
from tests.end_to_end.ring import Ring, running, until

pytestmark = needs("maildev")

TEMPLATE = """---
subject: "{{ first_name }}, 5 % off 🎁"
from: "Läden & Söhne <shop@example.com>"
---
<h1>Hello {{ first_name }}</h1>
<p>{{ note }}</p>
"""
HOSTILE = "Ann\r\nBcc: eve@example.com\r\n\r\n<script>alert(1)</script>"


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    with maildev.start("--incoming-user", "shop", "--incoming-pass", "sw0rdfish") as started:
        yield started


async def sent(ring: Ring, box: Mailbox, contact: str, fields: dict[str, Any], **block: Any) -> dict[str, int]:
    """Send the mail to one contact; what became of the channel's effects."""
    path = [{"send_email": {"template": "offer.html"}}, {"id": "done", "end": True}]
    email = {"provider": "smtp", "host": "127.0.0.1", "port": box.port, "from": "shop@example.com", "username": "shop", "password": "sw0rdfish", **block}
    ring.start_shard()
    document = {"maps": [{"map": "m", "triggers": [{"event": "go"}], "path": path}], "templates": {"offer.html": TEMPLATE}}
    await ring.publish({**document, "providers": {"email": email}})
    await ring.start_pools("email")
    await ring.accepted("/v1/contacts", {"contact": contact, "fields": {"email": f"{contact}@example.com", **fields}})
    await ring.accepted("/v1/events", {"contact": contact, "name": "go"})
    if not block:
        await ring.carried("email")
    return await ring.effects("email")


def to(box: Mailbox, address: str) -> dict[str, Any]:
    """The one mail to an address."""
    [mail] = [mail for mail in box.mails() if address in {one["address"] for one in mail["envelope"]["to"]}]
    return mail


@proves(
    "send_email",
    "maildev",
    "logged in by AUTH, it reads subject, sender, HTML and text as they were meant, accents and emoji included",
)
async def test_a_mail_program_reads_what_was_meant(box: Mailbox) -> None:
    async with running() as ring:
        assert await sent(ring, box, "zoe", {"first_name": "Zoë", "note": "Ünï ☃"}) == {"decided": 1, "delivered": 1}
    mail = to(box, "zoe@example.com")
    assert mail["subject"] == "Zoë, 5 % off 🎁"
    assert mail["from"] == [{"address": "shop@example.com", "name": "Läden & Söhne"}]
    assert "<h1>Hello Zoë</h1>" in mail["html"]
    assert "Ünï ☃" in mail["text"]
    assert "<h1>" not in mail["text"]


@proves("send_email", "maildev", "merge fields add no header, no recipient and no markup")
async def test_merge_fields_add_no_header_no_recipient_and_no_markup(box: Mailbox) -> None:
    async with running() as ring:
        assert await sent(ring, box, "eva", {"first_name": HOSTILE, "note": HOSTILE}) == {"decided": 1, "delivered": 1}
    mail = to(box, "eva@example.com")
    assert [one["address"] for one in mail["envelope"]["to"]] == ["eva@example.com"]
    assert "bcc" not in mail["headers"]
    assert "<script>" not in mail["html"]
    assert mail["subject"].startswith("Ann")


async def test_a_wrong_password_pauses_the_channel_and_loses_nothing(box: Mailbox) -> None:
    with structlog.testing.capture_logs() as log:
        async with running() as ring:
            await sent(ring, box, "pat", {"first_name": "Pat", "note": "x"}, password="wrong")
            await until(lambda: any(line["log_level"] == "error" for line in log))
            assert await ring.effects("email") == {"decided": 1, "pending": 1}
    [error] = [line for line in log if line["log_level"] == "error"]
    assert "535" in error["reason"]
    assert not [mail for mail in box.mails() if mail["envelope"]["to"][0]["address"] == "pat@example.com"]
