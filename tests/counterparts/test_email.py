"""Email at what others wrote: read in maildev, checked by dkimpy, validated by SendGrid's OpenAPI document, bounced by a real Postfix."""

from __future__ import annotations

import os
from base64 import b64encode
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.counterparts import maildev, prism
from tests.counterparts.needs import needs
from tests.counterparts.postfix import REFUSE_FOR_GOOD, smtp_sink
from tests.counterparts.postfix_server import postfix
from tests.counterparts.proofs import proves
from tests.end_to_end.ring import Ring, running, until

HELLO = """---
subject: "Grüße, {{ first_name }} 🎉"
from: "Läden <shop@example.com>"
reply_to: help@example.com
headers: {X-Campaign: "{{ event.number }}"}
text: |
  Hallo {{ first_name }},
  .
  zum Laden: https://shop.example.com/?n={{ event.number }}
---
<html><body><p>Hallo {{ first_name }}</p><p><a href="https://shop.example.com/?n={{ event.number }}">Laden</a></p></body></html>
"""
MAPS = [
    {"map": "hello", "reentry": "parallel", "triggers": [{"event": "go"}], "path": [{"send_email": {"template": "hello.html"}}, "exit"]},
    {"map": "gone", "triggers": [{"email_bounced": "hello.html", "where": {"event.class": "hard"}}], "path": [{"change_tags": {"add": ["gone"]}}, "exit"]},
]
NAME = 'Ann "the <b>" Ångström & \u05e9\u05dc\u05d5\u05dd'


async def greet(ring: Ring, block: dict[str, Any], address: str = "ann@example.net") -> None:
    """Publish with this email block, let Ann have one mail, and wait until it is carried."""
    await ring.publish({"maps": MAPS, "templates": {"hello.html": HELLO}, "providers": {"email": {"from": "shop@example.com", **block}}})
    ring.start_shard()
    await ring.accepted("/v1/contacts", {"contact": "ann", "fields": {"first_name": NAME, "email": address}})
    await ring.accepted("/v1/events", {"contact": "ann", "name": "go", "data": {"number": 7}})
    await ring.start_pools("email")
    await ring.carried("email")
    assert await ring.effects("email") == {"decided": 1, "delivered": 1}


@needs("node", "maildev")
@proves("send_email", "maildev", "subject, both parts and one-click headers as maildev reads them; DKIM holds before dkimpy on what arrived")
async def test_a_mail_is_read_in_a_mailbox(tmp_path: Path) -> None:
    key = generate_private_key(65_537, 2_048)
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = b"v=DKIM1; k=rsa; p=" + b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    with maildev.start() as box:
        async with running() as ring:
            signing = {"domain": "example.com", "selector": "s1", "key": str(tmp_path / "key.pem")}
            settings = {"dkim": signing, "return_path": "bounces@example.com", "callback_secret": "b0unce", "track": {"opens": True, "clicks": True}}
            await greet(ring, {"provider": "smtp", "host": "127.0.0.1", "port": box.port, "tls": "never", **settings})
        [read] = box.mails()
        headers, raw = read["headers"], box.source(read)
    assert read["subject"] == f"Grüße, {NAME} 🎉"
    assert (read["from"], read["envelope"]["from"]["address"]) == ([{"address": "shop@example.com", "name": "Läden"}], "bounces@example.com")
    assert [to["address"] for to in read["envelope"]["to"]] == ["ann@example.net"]
    assert read["text"].replace("\r\n", "\n").startswith(f"Hallo {NAME},\n.\nzum Laden: https://shop.example.com/?n=7\n")
    assert "Ann &#34;the &lt;b&gt;&#34;" in read["html"] or "Ann &quot;the &lt;b&gt;&quot;" in read["html"]
    assert 'href="http://127.0.0.1:8080/c/' in read["html"]
    assert 'src="http://127.0.0.1:8080/o/' in read["html"]
    assert headers["x-campaign"] == "7"
    message = message_from_bytes(raw, policy=policy.default)
    assert message["List-Unsubscribe"].startswith("<http://127.0.0.1:8080/u/")
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["Reply-To"] == "help@example.com"
    signature = " ".join(message["DKIM-Signature"].split())
    assert "list-unsubscribe:list-unsubscribe-post" in signature, "RFC 8058 wants both signed"
    assert dkim.verify(raw, dnsfunc=lambda name, timeout=5: public)
    assert not dkim.verify(raw.replace(b"help@example.com", b"hemp@example.com"), dnsfunc=lambda name, timeout=5: public)


@needs("node", "prism", "sendgrid-openapi")
@proves("send_email", "Prism with SendGrid's OpenAPI document", "the request is valid and accepted, with text before HTML, one-click headers and the token")
async def test_sendgrids_own_document_allows_our_request() -> None:
    with prism.start(prism.DOCUMENTS / "sendgrid.json", only=["/v3/mail/send"]) as mock:
        async with running() as ring:
            await greet(ring, {"provider": "sendgrid", "key": "SG.k", "base_url": mock.url, "track": {"clicks": True}})
        assert mock.refused() == []
        assert mock.asked() == 1


@needs("postfix", "smtp-sink", "curl")
@pytest.mark.skipif(os.getuid() != 0, reason="Postfix's master must be root")
async def test_a_bounce_that_postfix_wrote_and_piped_to_us_ends_consent() -> None:
    """The whole way round: our mail to Postfix, on to a server that does not know Ann, and Postfix's report back through its pipe."""
    with smtp_sink(REFUSE_FOR_GOOD, "RCPT", "-B", "550 5.1.1 <ann@gone.test> User unknown") as sink:
        async with running() as ring:
            url = f"http://127.0.0.1:{ring.client._base_url.port}/v1/callbacks/smtp"  # type: ignore[union-attr]
            program = "curl -sSf -H 'Authorization: Bearer b0unce' -H 'Content-Type: message/rfc822' --data-binary @- URL || exit 75"
            pipe = f"wayfare unix - n n - 10 pipe flags=Rq user=nobody argv=/bin/sh -c {{ {program.replace('URL', url)} }}"  # as documented
            transports = {"gone.test": f"smtp:[127.0.0.1]:{sink.port}", "bounces.test": "wayfare:"}
            with postfix(transports, [pipe]) as server:
                settings = {"return_path": "bounces@bounces.test", "callback_secret": "b0unce", "bounces_by_address": False}
                await greet(ring, {"provider": "smtp", "host": "127.0.0.1", "port": server.port, **settings}, "ann@gone.test")

                async def heard() -> bool:
                    return (await ring.contact("ann")).get("consent") == {"email": "bounced"}

                try:
                    await until(heard, "the bounce comes back")
                except AssertionError:
                    raise AssertionError(server.log()) from None
            assert (await ring.contact("ann"))["tags"] == ["gone"]
            await ring.accepted("/v1/events", {"contact": "ann", "name": "go", "data": {"number": 8}})
            await ring.read_on()
            assert await ring.effects("email") == {"decided": 1, "delivered": 1}
            await ring.conserved()
