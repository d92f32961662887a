"""Email and what comes back, through the whole ring: clicked, opened, bounced by a report that a mail server pipes in, bounced and complained over SNS."""

from __future__ import annotations

import asyncio
import email
import json
import re
import sys
from base64 import b64decode
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from actions.providers.ses import Ses
from actions.sns import Sns
from actors.awaited import epoch_ms
from tests.end_to_end.ring import Ring, running, until
from tests.providers.http_server import HttpServer
from tests.providers.sns_world import TOPIC, SnsWorld

REPORT = Path(__file__).parents[1] / "actions" / "bounce_mails" / "postfix_unknown_user.eml"
MAIL = {
    "hello.html": '---\nsubject: "Hello"\n---\n<p>Hello <a href="https://shop.example.com/?n={{ event.number }}&amp;x=1">shop</a></p></body>',
    "other.html": "---\nsubject: Other\n---\nx",
}


def heard(trigger: Any, tag: str) -> dict[str, Any]:
    return {"map": tag.replace(" ", "-"), "triggers": [trigger], "path": [{"change_tags": {"add": [tag]}}, "exit"]}


MAPS = [
    {"map": "hello", "reentry": "parallel", "triggers": [{"event": "go"}], "path": [{"id": "mail", "send_email": {"template": "hello.html"}}, "exit"]},
    heard("email_opened", "opened"),
    heard({"email_clicked": "hello.html", "where": {"event.url": {"ends_with": "n=7&x=1"}}}, "clicked"),
    heard({"email_clicked": "other.html"}, "clicked another"),
    heard({"email_bounced": "hello.html", "where": {"event.class": "hard", "event.element": "mail"}}, "gone"),
    heard("email_complained", "complained"),
]


async def mailed(ring: Ring, **block: Any) -> None:
    """Publish with these settings of the email block, and let Ann have one mail."""
    await ring.publish({"maps": MAPS, "templates": MAIL, "providers": {**ring.providers, "email": {**ring.providers["email"], **block}}})
    ring.start_shard()
    await ring.accepted("/v1/contacts", {"contact": "ann", "fields": {"email": "ann@example.net"}})
    await ring.accepted("/v1/events", {"contact": "ann", "name": "go", "data": {"number": 7}})
    await ring.start_pools("email")
    await ring.carried("email")


async def piped(ring: Ring, mail: bytes, secret: str) -> int:
    """What a mail server does: the program with the mail on its standard input; its exit status."""
    url = f"http://127.0.0.1:{ring.client._base_url.port}"  # type: ignore[union-attr]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ops.cli.main", "receive-mail", "--url", url),
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"WAYFARE_CALLBACK_SECRET": secret, "PATH": "/usr/bin:/bin"},
    )
    await process.communicate(mail)
    assert process.returncode is not None
    return process.returncode


async def test_a_mail_is_opened_clicked_and_bounced() -> None:
    async with running() as ring:
        settings = {"return_path": "bounces@mail.example.com", "callback_secret": "b0unce", "track": {"opens": True, "clicks": True}}
        await mailed(ring, **settings)
        [(sender, _, raw)] = ring.mail.mails
        assert "MAIL FROM:<bounces@mail.example.com>" in sender
        mail = email.message_from_bytes(raw)
        [html] = [part.get_payload(decode=True).decode() for part in mail.walk() if part.get_content_type() == "text/html"]  # type: ignore[union-attr]
        link, image = (unescape(found) for found in re.findall(r'"(http://[^"]+/[co]/[^"]+)"', html))
        for url in (image, link, link):
            async with ring.client.get(url.partition(":8080")[2], allow_redirects=False) as answer:
                assert answer.status in {200, 302}
                assert answer.headers.get("Location", "https://shop.example.com/?n=7&x=1") == "https://shop.example.com/?n=7&x=1"
        await ring.read_on()
        shown = await ring.contact("ann")
        assert (sorted(shown["tags"]), shown["consent"]) == (["clicked", "opened"], {})

        report = REPORT.read_bytes().replace(b"@TOKEN@", mail["X-Wayfare-About"].encode())
        assert await piped(ring, report, "wrong") == 75
        await ring.read_on()
        assert (await ring.contact("ann"))["consent"] == {}
        assert await piped(ring, report + b"x" * 1_000_000, "b0unce") == 0
        await ring.read_on()
        shown = await ring.contact("ann")
        assert (sorted(shown["tags"]), shown["consent"]) == (["clicked", "gone", "opened"], {"email": "bounced"})
        await ring.conserved()


async def test_ses_carries_a_mail_and_its_complaint_comes_back_over_sns(monkeypatch: pytest.MonkeyPatch) -> None:
    world = SnsWorld(epoch_ms())
    monkeypatch.setattr(Ses, "sns", Sns(world.fetch))
    async with running() as ring, HttpServer({"MessageId": "0100"}) as server:
        block = {"provider": "ses", "region": "eu-west-1", "access_key": "a", "secret_key": "s", "topics": [TOPIC], "base_url": server.url}
        ring_block = {**block, "from": "Shop <shop@example.com>"}
        await ring.publish({"maps": MAPS, "templates": MAIL, "providers": {"email": ring_block}})
        ring.start_shard()
        await ring.accepted("/v1/contacts", {"contact": "ann", "fields": {"email": "ann@example.net"}})
        await ring.accepted("/v1/events", {"contact": "ann", "name": "go", "data": {"number": 7}})
        await ring.start_pools("email")
        await ring.carried("email")
        sent = json.loads(server.requests[0]["body"])
        headers = email.message_from_bytes(b64decode(sent["Content"]["Raw"]["Data"])).items()
        complaint = {"complainedRecipients": [{"emailAddress": "ann@example.net"}], "complaintFeedbackType": "abuse"}
        mail = {"headers": [{"name": name, "value": value} for name, value in headers], "destination": ["ann@example.net"]}
        body = world.envelope({"notificationType": "Complaint", "mail": mail, "complaint": complaint})
        for _ in range(2):
            assert (await ring.call("POST", "/v1/callbacks/ses", body, Authorization=""))[0] == 200
        await ring.read_on()
        shown = await ring.contact("ann")
        assert (shown["tags"], shown["consent"]) == (["complained"], {"email": "complained"})

        await ring.accepted("/v1/events", {"contact": "ann", "name": "go", "data": {"number": 8}})
        await ring.read_on()
        await until(lambda: len(server.requests) == 1)
        assert await ring.effects("email") == {"decided": 1, "delivered": 1}
        await ring.conserved()
