"""What Twilio calls back: the check of its signature, and what a status or an inbound message says. Pure.

The signature is HMAC-SHA1 with the account's auth token over the public URL and, for a form, all its fields by name; a JSON body is covered by
its SHA-256 in the URL. Twilio signs the URL as it stands in its console, with or without the standard port, so both are tried.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from actions.feedback import Heard
from actions.providers.provider import Inbound, Unreadable, Unsigned, clean
from actions.sms_keywords import HELP, START, STOP, keyword_of, received

FIELDS_MAX = 200
OPTED_OUT = 21610  # Twilio's own list says that this number answered STOP
_STATES = {"delivered": "delivered", "read": "delivered", "undelivered": "rejected", "failed": "rejected", "canceled": "rejected"}
_PORTS = {"https": 443, "http": 80}


def signed_form(token: str, inbound: Inbound) -> dict[str, str]:
    """The fields of a request that Twilio signed. Raises Unsigned, Unreadable."""
    given = inbound.headers.get("x-twilio-signature", "")
    if not given or not token:
        raise Unsigned("X-Twilio-Signature is missing")
    in_json = "bodysha256" in {name.lower() for name in inbound.query}
    pairs = [] if in_json else _pairs(inbound.body)
    signed = "".join(name + value for name, value in sorted(set(pairs)))
    if not any(hmac.compare_digest(given.encode(errors="replace"), signature(token, url + signed)) for url in _spellings(inbound.url)):
        raise Unsigned("X-Twilio-Signature is not that of this request: is `token` the account's auth token, and `public_url` the address that Twilio calls?")
    if not in_json:
        return dict(pairs)
    digest = next(value for name, value in inbound.query.items() if name.lower() == "bodysha256")
    if not hmac.compare_digest(digest.lower().encode(errors="replace"), hashlib.sha256(inbound.body).hexdigest().encode()):
        raise Unsigned("bodySHA256 is not that of this body")
    try:
        found: dict[str, Any] = msgspec.json.decode(inbound.body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(f"not a JSON object: {error}") from None
    return {name: value for name, value in found.items() if isinstance(value, str)}


def signature(token: str, text: str) -> bytes:
    """The signature of a text, as the header has it."""
    return b64encode(hmac.digest(token.encode(), text.encode(errors="replace"), "sha1"))


def heard_in(form: Mapping[str, str], query: Mapping[str, str], words: Mapping[str, str]) -> list[Heard]:
    """The notices of one callback: a status that is final, or a message. Statuses on the way (queued, sent) are none."""
    sid = form.get("MessageSid") or form.get("SmsSid") or ""
    if not sid:
        raise Unreadable("it names no message: MessageSid is missing")
    status = form.get("MessageStatus") or form.get("SmsStatus") or "received"
    if status in ("received", "receiving"):
        if ":" in form.get("From", ""):
            return []  # `whatsapp:+1202…`: another channel, which SMS consent says nothing about
        keyword = form.get("OptOutType", "").lower()
        text = form.get("Body", "")
        return [
            received(text, form.get("From", ""), form.get("To", ""), keyword if keyword in (STOP, START, HELP) else keyword_of(text, words), f"twilio:{sid}")
        ]
    state = _STATES.get(status)
    if state is None:
        return []
    code = form.get("ErrorCode", "")
    return [
        Heard(
            channel="sms",
            about=query.get("about", ""),
            phone=form.get("To", ""),
            status=state,
            reason=clean(f"{status} {code} {form.get('ErrorMessage', '')}") if state == "rejected" else "",
            data={"sid": sid, "code": int(code)} if code.isdecimal() and len(code) < 10 else {"sid": sid},
            consent={"sms": "unsubscribed"} if code == str(OPTED_OUT) else {},
            id=f"twilio:{sid}:{state}",
        )
    ]


def _pairs(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except ValueError as error:
        raise Unreadable(f"not a form: {error}") from None


def _spellings(url: str) -> Iterator[str]:
    """The URL, and the same with its standard port written out or left out."""
    yield url
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return
    standard = _PORTS.get(parts.scheme)
    host = parts.netloc.rpartition("@")[2]
    if port is None:
        yield parts._replace(netloc=f"{host}:{standard}").geturl()
    elif port == standard:
        yield parts._replace(netloc=host.rpartition(":")[0]).geturl()
