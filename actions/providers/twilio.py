"""SMS through Twilio's Messages API: one form POST a message, basic authentication, kept connections; receipts and answers by callbacks.

Twilio has no idempotency key for messages, so what was sent and not answered is `unknown`; so are 502 and 504, with which a proxy says
that it does not know. A 429, 500 or 503 is Twilio's own answer that it took nothing. Where `public_url` is configured, each message asks for
its status to be called back with the effect's token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec

from actions.feedback import about
from actions.http_client import bounded_body, make_session, retry_after_ms, stage_of
from actions.messages import Sms
from actions.providers import provider
from actions.providers.provider import (
    CHANNEL,
    CREDENTIALS,
    DELIVERED,
    Dispatch,
    House,
    Inbound,
    Provider,
    Reception,
    Report,
    Result,
    clean,
    each,
    rejected,
)
from actions.sms_keywords import words_of
from actions.twilio_callbacks import OPTED_OUT, heard_in, signed_form
from engine.core.errors import InvalidConfig

BUSY = frozenset({14107, 20429, 21611, 30001})  # too many requests or queued messages, said with various statuses
NOBODY = frozenset({20003, 20005, 20008, 20404})  # wrong, inactive or unknown account
TEXT_CHARS_MAX = 1_600
EMPTY_TWIML = '<?xml version="1.0" encoding="UTF-8"?><Response/>'  # nothing is answered: replies are for maps to send


class TwilioSettings(provider.Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`base_url` may point at a mock; `connections` bounds how many are kept; `keywords` are more words for stop, start and help.

    `token` is the account's auth token: Twilio signs its callbacks with it.
    """

    account: str
    token: str
    base_url: str = "https://api.twilio.com"
    connections: int = 64
    keywords: dict[str, list[str]] = {}

    def __post_init__(self) -> None:
        words_of(self.keywords)


class _Answer(msgspec.Struct):
    """Of Twilio's answers, what we use: an error has a code and a message, a message has a sid."""

    code: int = 0
    message: str = ""
    sid: str = ""


class Twilio(Provider):
    name = "twilio"
    channel = "sms"
    Settings = TwilioSettings
    not_accepted = frozenset({"connect", "busy"})

    def __init__(self, settings: TwilioSettings, house: House) -> None:
        parts = urlsplit(settings.base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InvalidConfig(f"base_url must be an http or https URL, not {settings.base_url!r}")
        if not 1 <= settings.connections <= 1_024:
            raise InvalidConfig("connections must be 1 to 1024")
        if not settings.token.isprintable() or not settings.account.isprintable() or ":" in settings.account:
            raise InvalidConfig("account and token must be plain text")
        self._connections = settings.connections
        self._secret = house.secret
        self._callback = f"{house.public_url}/v1/callbacks/twilio" if house.config.public_url else ""
        self._clock = house.clock
        self._url = f"{settings.base_url.rstrip('/')}/2010-04-01/Accounts/{quote(settings.account, safe='')}/Messages.json"
        self._headers = {"Authorization": aiohttp.encode_basic_auth(settings.account, settings.token, "utf-8")}
        self._session = make_session(house.config.send_timeout_ms, settings.connections, public_only=False)

    @property
    def in_flight_max(self) -> int:
        return self._connections

    async def send(self, dispatches: Sequence[Dispatch], report: Report) -> None:
        await each(dispatches, self._post, report)

    async def _post(self, dispatch: Dispatch) -> Result:
        sms = dispatch.message
        assert isinstance(sms, Sms)
        if len(sms.text) > TEXT_CHARS_MAX:
            return rejected(f"the text has {len(sms.text)} characters; Twilio takes {TEXT_CHARS_MAX}")
        sender = "MessagingServiceSid" if sms.sender.startswith("MG") and len(sms.sender) == 34 else "From"
        form = {"To": sms.to, sender: sms.sender, "Body": sms.text.encode(errors="replace").decode()}
        if self._callback:
            form["StatusCallback"] = f"{self._callback}?about={about(self._secret, dispatch.effect)}"
        try:
            async with self._session.post(self._url, data=form, headers=self._headers, allow_redirects=False) as response:
                return self._verdict(dispatch, response, await bounded_body(response))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return self.failed(stage_of(error), f"{type(error).__name__}: {error}")

    def _verdict(self, dispatch: Dispatch, response: aiohttp.ClientResponse, body: bytes) -> Result:
        answer, status = _read(body), response.status
        if 200 <= status < 300:
            return Result(state=DELIVERED, data={"sid": answer.sid})
        reason = f"{answer.code or status} {answer.message or response.reason or ''}"
        wait_ms = retry_after_ms(response.headers.get("Retry-After"), self._clock())
        if answer.code in BUSY or status == 429:
            return self.failed("busy", reason, retry_after_ms=wait_ms, counts=False)  # our pace, not this message
        if status in {408, 425, 500, 503}:
            return self.failed("busy", reason, retry_after_ms=wait_ms)
        if status == 401 or answer.code in NOBODY:
            return Result(state=CREDENTIALS, reason=clean(reason), blames=CHANNEL)
        if status >= 500:
            return self.failed("answer", reason)
        ours = answer.code == OPTED_OUT and dispatch.effect.consent  # of a notice to the team it says nothing about the contact
        facts: dict[str, Any] = {"events": [["unsubscribed", {"channel": "sms"}]]} if ours else {}
        return rejected(f"redirects are not followed: {reason}" if status < 400 else reason, code=answer.code, status=status, **facts)

    @classmethod
    async def receive(cls, settings: TwilioSettings, inbound: Inbound, house: House) -> Reception:
        form = signed_form(settings.token, inbound)
        return Reception(heard=heard_in(form, inbound.query, words_of(settings.keywords)), body=EMPTY_TWIML, content_type="text/xml")

    async def close(self) -> None:
        await self._session.close()


def _read(body: bytes) -> _Answer:
    try:
        return msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return _Answer()
