"""Email at Postfix's smtp-sink, through the whole ring; DKIM before dkimpy."""

from __future__ import annotations

from base64 import b64encode
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import dkim
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.counterparts.needs import needs
from tests.counterparts.postfix import REFUSE_FOR_GOOD, REFUSE_FOR_NOW, Sink, smtp_sink
from tests.counterparts.proofs import proves
from tests.end_to_end.ring import Ring, running, until

pytestmark = needs("smtp-sink")

TEMPLATES = {
    "thanks.html": '---\nsubject: "Danke, {{ first_name }} ✓"\n---\n<p>{{ event.total }} €</p>\n.\n<p>a line that is only a dot stood above</p>',
    "big-order.html": '---\nsubject: "{{ first_name }} spent {{ event.total }}"\n---\n<p>Call {{ first_name }}.</p>',
}
TEAM = {"eve": {"name": "Eve", "email": "eve@example.com"}}


def provider(sink: Sink, **more: Any) -> dict[str, Any]:
    return {"email": {"provider": "smtp", "host": "127.0.0.1", "port": sink.port, "from": "Shop <shop@example.com>", **more}}


async def order(ring: Ring, actions: list[dict[str, Any]], **documents: Any) -> None:
    """Publish a map of these actions and let Ann place an order of 42."""
    document = {"map": "orders", "triggers": [{"event": "order.placed"}], "path": [*actions, {"id": "done", "end": True}]}
    ring.start_shard()
    await ring.publish({"maps": [document], "templates": TEMPLATES, "team": TEAM, **documents})
    await ring.start_pools("email")
    await ring.accepted("/v1/contacts", {"contact": "ann", "fields": {"first_name": "Ann", "email": "ann@example.com", "owner": "eve"}})
    await ring.accepted("/v1/events", {"contact": "ann", "name": "order.placed", "data": {"total": 42}})


@proves("send_email", "Postfix's smtp-sink", "one mail in the contact's envelope, merged, with one-click unsubscribe; its DKIM signature holds before dkimpy")
async def test_a_signed_mail_arrives_as_it_was_written(tmp_path: Path) -> None:
    key = generate_private_key(65_537, 2_048)
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = b"v=DKIM1; k=rsa; p=" + b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    with smtp_sink() as sink:
        async with running() as ring:
            signing = {"domain": "example.com", "selector": "s1", "key": str(tmp_path / "key.pem")}
            await order(ring, [{"send_email": {"template": "thanks.html"}}], providers=provider(sink, dkim=signing))
            await ring.carried("email")
            assert await ring.effects("email") == {"decided": 1, "delivered": 1}
        [mail] = sink.mails
    assert (mail.sender, mail.recipient) == ("shop@example.com", "ann@example.com")
    message = message_from_bytes(mail.data, policy=policy.default)
    assert message["Subject"] == "Danke, Ann ✓"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    html = message.get_body(("html",))
    assert html is not None
    assert "<p>42 €</p>\n.\n<p>a line" in html.get_content().replace("\r\n", "\n")
    assert dkim.verify(mail.data, dnsfunc=lambda name, timeout=5: public if name == b"s1._domainkey.example.com." else b"")
    assert not dkim.verify(mail.data.replace(b"Danke", b"Dance").replace(b"From: Shop", b"From: Ship"), dnsfunc=lambda name, timeout=5: public)


@proves(
    "notify_email", "Postfix's smtp-sink", "the owner and a partner each get one mail about a contact who is unsubscribed, and no mail goes to that contact"
)
async def test_notices_reach_the_team_whatever_the_contact_consented_to() -> None:
    with smtp_sink() as sink:
        async with running() as ring:
            await ring.accepted("/v1/contacts", {"contact": "ann", "consent": {"email": "unsubscribed"}})
            notices = [{"notify_email": {"to": to, "template": "big-order.html"}} for to in ("owner", "partner@example.org")]
            await order(ring, [{"send_email": {"template": "thanks.html"}}, *notices], providers=provider(sink))
            await ring.carried("email")
            assert await ring.effects("email") == {"decided": 2, "delivered": 2}
            assert (await ring.call("GET", "/v1/maps/orders/stats"))[1]["suppressed"] == 1
        mails = sink.mails
    assert [mail.recipient for mail in mails] == ["eve@example.com", "partner@example.org"]
    for mail in mails:
        message = message_from_bytes(mail.data, policy=policy.default)
        assert message["Subject"] == "Ann spent 42"
        assert message["List-Unsubscribe"] is None


async def test_what_it_refuses_for_good_is_rejected_and_the_map_hears_of_it() -> None:
    bounced = {"map": "bounced", "triggers": ["email_bounced"], "path": [{"change_tags": {"add": ["bad-address"]}}]}
    with smtp_sink(REFUSE_FOR_GOOD, "RCPT") as sink:
        async with running() as ring:
            await order(ring, [{"send_email": {"template": "thanks.html"}}], providers=provider(sink))
            await ring.call("PUT", "/v1/maps/bounced", bounced)
            await ring.carried("email")
            assert await ring.effects("email") == {"decided": 1, "rejected": 1}
        assert not sink.mails


async def test_what_it_refuses_for_now_is_tried_again_until_it_is_dead() -> None:
    with smtp_sink(REFUSE_FOR_NOW, "RCPT") as sink:
        async with running(attempts_max=3) as ring:
            await order(ring, [{"send_email": {"template": "thanks.html"}}], providers=provider(sink))

            async def dead() -> bool:
                return await ring.effects("email") == {"decided": 1, "dead": 1}

            await until(dead)
            [letter] = (await ring.call("GET", "/v1/dead-letters"))[1]["dead_letters"]
            assert letter["reason"].partition("4")[1], letter
            assert letter["attempts"] == 3
