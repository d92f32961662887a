"""Reports as real servers write them, and mails that no server should write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actions.bounce_mail import BOUNDARIES_MAX, RECIPIENTS_MAX, heard_of, read_reports
from actions.feedback import Heard, about, read_about
from actions.messages import Email
from actions.mime import build
from engine.core.effects import Effect

MAILS = Path(__file__).parent / "bounce_mails"
EFFECT = Effect("0123456789abcdef" * 2, "ann", "send_email", "email", "b", "", "m", 1, "hello", 1, 1, 1, 1, 1_767_603_600_000, {"template": "hello.html"})
TOKEN = about("s3cret", EFFECT)
FAR = ["Action: failed", "Action: failed\nFinal-Recipient: rfc822", "\x00\xff", "Content-Type: multipart/report; boundary=a\n\n--a\n", "\n\n", "--a\n"]
WORDS = [
    *("Content-Type: message/delivery-status\n\n", "Content-Type: message/feedback-report\n\n", "Feedback-Type: abuse\n", "Content-Type: message/rfc822\n\n"),
    *("X-Failed-Recipients: =?utf-8?q?a@b.c?=, <x@y.z>\n", "Final-Recipient: rfc822;;;@\n", "X-Wayfare-About: a.b\n", "Subject: =?nonsense?b?===?=\n"),
]


def mail(name: str, token: str = TOKEN) -> bytes:
    return (MAILS / f"{name}.eml").read_bytes().replace(b"@TOKEN@", token.encode())


def heard(name: str, token: str = TOKEN) -> list[dict[str, Any]]:
    """What a mail says, in short: the same whether its lines end in LF or CRLF, as a mail server or a network would have it."""
    found = [heard_of(report) for report in read_reports(mail(name, token))]
    assert found == [heard_of(report) for report in read_reports(mail(name, token).replace(b"\n", b"\r\n"))]
    return [_short(one) for one in found if one is not None]


def _short(one: Heard) -> dict[str, Any]:
    known = read_about("s3cret", one.about)
    return {
        "who": known.contact if known else one.email,
        "what": one.status or one.event,
        "class": one.data.get("class", ""),
        "code": one.data.get("status", ""),
        "consent": one.consent.get("email", ""),
    }


@pytest.mark.parametrize(
    ("name", "what", "kind", "code", "consent"),
    [
        ("postfix_unknown_user", "bounced", "hard", "5.1.1", "bounced"),
        ("postfix_delayed", "email.delayed", "soft", "4.2.2", ""),
        ("exim_report", "bounced", "hard", "5.0.0", "bounced"),
        ("exim_plain", "bounced", "hard", "5.1.1", "bounced"),
        ("exchange", "bounced", "hard", "5.1.10", "bounced"),
        ("gmail_spam_block", "bounced", "block", "5.7.1", ""),
        ("mailbox_full_given_up", "bounced", "soft", "4.2.2", ""),
        ("yahoo_complaint", "complained", "", "", "complained"),
        ("hotmail_complaint", "complained", "", "", "complained"),
    ],
)
def test_a_report_says_what_became_of_our_message(name: str, what: str, kind: str, code: str, consent: str) -> None:
    said = {"what": what, "class": kind, "code": code, "consent": consent}
    assert heard(name) == [{"who": "ann", **said}]
    # a server that brings nothing of ours back is believed by the address, unless the settings say otherwise
    [report] = read_reports(mail(name, "").replace(b"X-Wayfare-About", b"X-Other"))
    assert heard_of(report, by_address=False) is None
    by_address = heard_of(report)
    assert by_address is not None
    assert _short(by_address) == {"who": "ann@example.net", **said}


@pytest.mark.parametrize("name", ["not_spam", "out_of_office", "relayed"])
def test_what_is_no_bad_news_says_nothing(name: str) -> None:
    assert heard(name) == []


def test_a_token_that_we_did_not_sign_is_left_to_the_address() -> None:
    [one] = [heard_of(report) for report in read_reports(mail("postfix_unknown_user", "Zm9yZ2Vk.Zm9yZ2Vk"))]
    assert one is not None
    assert read_about("s3cret", one.about) is None
    assert one.email == "ann@example.net"


def test_the_same_report_has_the_same_id_and_another_has_another() -> None:
    ids = {
        one.id for name in ("postfix_unknown_user", "postfix_delayed", "yahoo_complaint") for report in read_reports(mail(name)) if (one := heard_of(report))
    }
    again = {one.id for report in read_reports(b"Received: later\n" + mail("postfix_unknown_user")) if (one := heard_of(report))}
    assert len(ids) == 3
    assert again < ids


def test_a_long_token_survives_its_folding() -> None:
    effect = Effect("0" * 32, "\u00e9" * 256, "send_email", "email", "b", "", "m", 1, "e", 1, 1, 1, 1, 0)
    token = about("s3cret", effect)
    ours = build(Email(to="ann@example.net", sender="shop@example.com", subject="s", text="t"), effect.id, 0, "", token)
    assert max(map(len, ours.data.split(b"\r\n"))) <= 998
    for kind in (b"message/rfc822", b"text/rfc822-headers", b"text/plain"):
        raw = (
            mail("postfix_unknown_user").partition(b"Content-Type: message/rfc822")[0] + b"Content-Type: " + kind + b"\n\n" + ours.data.replace(b"\r\n", b"\n")
        )
        [report] = read_reports(raw)
        assert report.about == token, kind


def test_hostile_reports_are_bounded() -> None:
    many = b"Content-Type: message/delivery-status\n\n" + b"Action: failed\nFinal-Recipient: rfc822; a@b.c\n\n" * 5_000
    assert len(read_reports(many)) == RECIPIENTS_MAX
    deep = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (level, level) for level in range(BOUNDARIES_MAX + 1))
    assert read_reports(deep + mail("postfix_unknown_user")) == []
    header = mail("postfix_unknown_user").replace(b"User unknown", b"User \x1b[31munknown\x00" + b"x" * 5_000)
    [one] = [heard_of(report) for report in read_reports(header)]
    assert one is not None
    assert one.reason.isprintable()
    assert len(one.reason) <= 300


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([*FAR, *WORDS]) | st.binary(max_size=40).map(lambda raw: raw.decode("latin-1")), max_size=12).map("".join))
def test_garbage_never_raises(text: str) -> None:
    for report in read_reports(text.encode("latin-1", "replace")):
        heard_of(report)
