"""Email through SendGrid's v3 API: one POST a message on kept connections, and its signed Event Webhook for what comes back.

SendGrid has no idempotency key, so what was sent and not answered is `unknown`, and so are 500, 502 and 504; 429 and 503 say that it took
nothing. Its own tracking is always off: what is to be tracked is tracked as everywhere (tracking.py).
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from io import BytesIO
from typing import Any

import aiohttp
import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from actions.http_provider import HttpProvider, check_plain
from actions.messages import Attachment, Email
from actions.mime import MimeFault, allowed_header, header_text, mailbox, plain_line
from actions.outgoing import EmailSettings, Outgoing
from actions.providers.provider import (
    DELIVERED,
    Dispatch,
    House,
    Inbound,
    Reception,
    Result,
    Unreadable,
    Unsigned,
    clean,
    rejected,
)
from actions.sendgrid_events import ARGUMENT, heard_of_sendgrid
from actions.unsubscribe import one_click_headers
from engine.core.errors import InvalidConfig

PATH = "/v3/mail/send"
SIGNATURE, TIMESTAMP = "x-twilio-email-event-webhook-signature", "x-twilio-email-event-webhook-timestamp"

_NO_TRACKING = {name: {"enable": False} for name in ("click_tracking", "open_tracking", "subscription_tracking")}


class SendGridSettings(EmailSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`verification_key` is the public key of the signed Event Webhook, as SendGrid shows it; `base_url` may point at a mock."""

    key: str
    verification_key: str = ""
    callback_age_s_max: int = 86_400  # SendGrid tries for a day
    base_url: str = "https://api.sendgrid.com"
    connections: int = 64


class _Fault(msgspec.Struct):
    message: str | None = ""
    field: str | None = ""


class _Answer(msgspec.Struct):
    errors: list[_Fault] = []


class SendGrid(HttpProvider):
    name = "sendgrid"
    channel = "email"
    Settings = SendGridSettings
    not_accepted = frozenset({"connect", "busy", "sender"})

    def __init__(self, settings: SendGridSettings, house: House) -> None:
        check_plain(key=settings.key)
        if settings.verification_key:
            _public_key(settings.verification_key)
        self._outgoing = Outgoing(settings, house)
        super().__init__(settings.base_url, settings.connections, house)
        self._session.headers.update({"Authorization": f"Bearer {settings.key}", "Content-Type": "application/json"})

    async def _one(self, dispatch: Dispatch) -> Result:
        try:
            body = self._body(dispatch)
        except MimeFault as fault:
            return rejected(str(fault))
        return await self._post(dispatch, PATH, BytesIO(body))

    def _body(self, dispatch: Dispatch) -> bytes:
        """The request. SendGrid writes the message, so nothing in it may end a header line; and it takes no empty part."""
        email = dispatch.message
        assert isinstance(email, Email)
        headers = {allowed_header(name): header_text(value, len(name) + 2).replace("\r\n", "") for name, value in email.headers.items()}
        headers |= one_click_headers(self._outgoing.unsubscribe_url(dispatch))
        parts = {"text/plain": email.text, "text/html": self._outgoing.html(dispatch)}
        request: dict[str, Any] = {
            "personalizations": [{"to": [_address(email.to)], "custom_args": {ARGUMENT: self._outgoing.about(dispatch.effect)}}],
            "from": _address(email.sender),
            "subject": plain_line(email.subject),
            "content": [{"type": kind, "value": _sendable(text)} for kind, text in parts.items() if text],
            "tracking_settings": _NO_TRACKING,
        }
        if not request["content"]:
            raise MimeFault("the message has neither text nor HTML")
        if email.reply_to:
            request["reply_to"] = _address(email.reply_to)
        if headers:
            request["headers"] = headers
        if email.attachments:
            request["attachments"] = [_file(file) for file in email.attachments]
        return msgspec.json.encode(request)

    def _verdict(self, dispatch: Dispatch, response: aiohttp.ClientResponse, body: bytes) -> Result:
        status = response.status
        if 200 <= status < 300:
            return Result(state=DELIVERED, data={"message_id": clean(response.headers.get("X-Message-Id", ""))})
        faults = _read(body)
        said = "; ".join(fault.message or "" for fault in faults)
        if status == 403 and any("from" in (fault.field or "") for fault in faults):
            return self._outgoing.unverified(type(self), dispatch, f"{status} {said}")
        return self._usual(response, said, self._wait_ms(response))

    def _wait_ms(self, response: aiohttp.ClientResponse) -> int:
        """What X-RateLimit-Reset, in epoch seconds, asks for, where there is no Retry-After."""
        reset = response.headers.get("X-RateLimit-Reset", "")
        if "Retry-After" in response.headers or not (reset.isascii() and reset.isdigit()):
            return 0
        return int(reset[:12]) * 1_000 - self._clock()

    @classmethod
    async def receive(cls, settings: SendGridSettings, inbound: Inbound, house: House) -> Reception:
        """The signed Event Webhook: an array of events."""
        if not settings.verification_key:
            raise Unsigned("the email block has no verification_key, so nobody can be believed")
        stamp = inbound.headers.get(TIMESTAMP, "")
        try:
            signature = b64decode(inbound.headers.get(SIGNATURE, ""), validate=True)
            _public_key(settings.verification_key).verify(signature, stamp.encode() + inbound.body, ECDSA(hashes.SHA256()))
        except (InvalidSignature, InvalidConfig, binascii.Error, ValueError):
            raise Unsigned("the signature does not fit the events") from None
        if not (stamp.isascii() and stamp.isdigit()) or abs(house.clock() - int(stamp[:12]) * 1_000) > settings.callback_age_s_max * 1_000:
            raise Unsigned("the events are too old, or from the future")
        try:
            return Reception(heard=heard_of_sendgrid(inbound.body))
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise Unreadable("not an array of events") from None


def _address(text: str) -> dict[str, str]:
    found = mailbox(text)
    return {"email": found.address, "name": plain_line(found.name)} if found.name else {"email": found.address}


def _file(file: Attachment) -> dict[str, str]:
    """An attachment; SendGrid takes no parameters of its type."""
    return {"content": b64encode(file.content).decode(), "filename": file.name, "type": file.kind.partition(";")[0], "disposition": "attachment"}


def _sendable(text: str) -> str:
    """A text that can be encoded: half a character becomes a question mark."""
    return text.encode(errors="replace").decode()


def _public_key(text: str) -> EllipticCurvePublicKey:
    """Base64 of a P-256 key's DER, with or without PEM's lines. Raises InvalidConfig."""
    words = [word for word in text.split() if "-" not in word and word != "PUBLIC"]
    try:
        key = load_der_public_key(b64decode("".join(words), validate=True))
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        raise InvalidConfig("verification_key is not a public key in base64") from None
    if not isinstance(key, EllipticCurvePublicKey):
        raise InvalidConfig("verification_key must be an ECDSA key")
    return key


def _read(body: bytes) -> list[_Fault]:
    try:
        return msgspec.json.decode(body, type=_Answer).errors
    except msgspec.MsgspecError:
        return []
