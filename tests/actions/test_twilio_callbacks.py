"""Twilio's callbacks: its signature, its statuses, its messages."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import urlencode

import pytest

from actions.providers.provider import Inbound, Unreadable, Unsigned
from actions.sms_keywords import words_of
from actions.twilio_callbacks import heard_in, signature, signed_form

TOKEN = "12345"
URL = "https://example.com/v1/callbacks/twilio?about=a.b"
WORDS = words_of({})


def request(fields: dict[str, str], url: str = URL, *, signed_url: str = "", token: str = TOKEN, **changed: Any) -> Inbound:
    text = (signed_url or url) + "".join(name + fields[name] for name in sorted(fields))
    headers = {"x-twilio-signature": signature(token, text).decode()}
    return Inbound(**{"url": url, "headers": headers, "body": urlencode(fields).encode(), "query": {"about": "a.b"}, **changed})


def test_the_signature_is_the_one_of_twilios_documentation() -> None:
    fields = {"CallSid": "CA1234567890ABCDE", "Caller": "+14158675310", "Digits": "1234", "From": "+14158675310", "To": "+18005551212"}
    url = "https://example.com/myapp.php?foo=1&bar=2"
    text = url + "".join(name + fields[name] for name in sorted(fields))
    assert signature(TOKEN, text) == b"L/OH5YylLD5NRKLltdqwSvS0BnU="
    assert signed_form(TOKEN, request(fields, url)) == fields


@pytest.mark.parametrize("signed_url", [URL, URL.replace("example.com", "example.com:443")])
def test_the_standard_port_may_be_written_or_not(signed_url: str) -> None:
    assert signed_form(TOKEN, request({"A": "ü + ="}, signed_url=signed_url)) == {"A": "ü + ="}
    assert signed_form(TOKEN, request({"A": "1"}, signed_url, signed_url=URL)) == {"A": "1"}


@pytest.mark.parametrize(
    "bad",
    [
        request({"A": "1"}, token="another"),
        request({"A": "1"}, headers={}),
        request({"A": "1"}, headers={"x-twilio-signature": ""}),
        request({"A": "1"}, headers={"x-twilio-signature": "\ud800é"}),
        request({"A": "1"}, body=b"A=2"),
        request({"A": "1"}, body=b"A=1&B=2"),
        request({"A": "1"}, signed_url=URL + "x"),
        request({"A": "1"}, "https://[::1"),
    ],
)
def test_what_twilio_did_not_sign_is_refused(bad: Inbound) -> None:
    if bad.url == "https://[::1":
        bad = Inbound(url=bad.url, headers={"x-twilio-signature": "x"}, body=bad.body)
    with pytest.raises(Unsigned) as caught:
        signed_form(TOKEN, bad)
    assert TOKEN not in str(caught.value)


def test_without_a_token_nothing_is_signed() -> None:
    with pytest.raises(Unsigned):
        signed_form("", request({"A": "1"}, token=""))


@pytest.mark.parametrize("body", [b"\xff=1", b"&".join(b"a%d=1" % number for number in range(500))])
def test_a_form_that_cannot_be_read(body: bytes) -> None:
    with pytest.raises(Unreadable):
        signed_form(TOKEN, request({}, body=body))


def in_json(body: bytes, digest: str = "") -> Inbound:
    digest = digest or hashlib.sha256(body).hexdigest()
    url = f"{URL}&bodySHA256={digest}"
    return Inbound(url=url, headers={"x-twilio-signature": signature(TOKEN, url).decode()}, body=body, query={"about": "a.b", "bodySHA256": digest})


def test_a_json_body_is_signed_by_its_digest() -> None:
    assert signed_form(TOKEN, in_json(b'{"MessageSid": "SM1", "n": 1}')) == {"MessageSid": "SM1"}
    with pytest.raises(Unsigned):
        signed_form(TOKEN, in_json(b'{"MessageSid": "SM1"}', "0" * 64))
    with pytest.raises(Unreadable):
        signed_form(TOKEN, in_json(b"[]"))


@pytest.mark.parametrize(
    ("fields", "status", "reason", "consent"),
    [
        ({"MessageStatus": "delivered"}, "delivered", "", {}),
        ({"MessageStatus": "read"}, "delivered", "", {}),
        ({"MessageStatus": "undelivered", "ErrorCode": "30003"}, "rejected", "undelivered 30003", {}),
        ({"MessageStatus": "failed", "ErrorCode": "21610", "ErrorMessage": "a\r\nb"}, "rejected", "failed 21610 a  b", {"sms": "unsubscribed"}),
        ({"SmsStatus": "failed", "ErrorCode": "x"}, "rejected", "failed x", {}),
    ],
)
def test_a_status(fields: dict[str, str], status: str, reason: str, consent: dict[str, str]) -> None:
    [heard] = heard_in({"MessageSid": "SM1", "To": "+12025550199", **fields}, {"about": "a.b"}, WORDS)
    assert (heard.status, heard.reason, heard.consent) == (status, reason, consent)
    assert (heard.channel, heard.about, heard.phone, heard.id) == ("sms", "a.b", "+12025550199", f"twilio:SM1:{status}")


@pytest.mark.parametrize("status", ["accepted", "queued", "sending", "sent", "scheduled", "nonsense"])
def test_a_status_on_the_way_says_nothing(status: str) -> None:
    assert heard_in({"MessageSid": "SM1", "MessageStatus": status}, {}, WORDS) == []


@pytest.mark.parametrize(
    ("more", "keyword"), [({}, ""), ({"Body": "stop"}, "stop"), ({"Body": "arret", "OptOutType": "STOP"}, "stop"), ({"OptOutType": "x"}, "")]
)
def test_a_message(more: dict[str, str], keyword: str) -> None:
    fields = {"MessageSid": "SM2", "SmsStatus": "received", "From": "+12025550199", "To": "+12025550100", "Body": "thanks", **more}
    [heard] = heard_in(fields, {}, WORDS)
    assert (heard.event, heard.phone, heard.id) == ("sms.received", "+12025550199", "twilio:SM2")
    assert heard.data == {"text": fields["Body"], "from": "+12025550199", "to": "+12025550100", "keyword": keyword}
    assert heard.consent == ({"sms": "unsubscribed"} if keyword else {})


def test_what_names_no_message_cannot_be_read() -> None:
    with pytest.raises(Unreadable):
        heard_in({"Body": "x"}, {}, WORDS)
