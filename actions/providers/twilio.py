"""SMS through Twilio's Messages API: one form POST a message, basic authentication, kept connections; receipts and answers by callbacks.

Twilio has no idempotency key for messages, so what was sent and not answered is `unknown`; so are 502 and 504, with which a proxy says
that it does not know. A 429, 500 or 503 is Twilio's own answer that it took nothing. Where `public_url` is configured, each message asks for
its status to be called back with the effect's token.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from actions.feedback import about
from actions.http_client import retry_after_ms
from actions.http_provider import HttpProvider, check_plain, read_answer
from actions.messages import Sms
from actions.providers import provider
from actions.providers.provider import (
    CHANNEL,
    CREDENTIALS,
    DELIVERED,
    Dispatch,
    House,
    Inbound,
    Reception,
    Result,
    clean,
    rejected,
)
from actions.sms_keywords import words_of
from actions.twilio_callbacks import OPTED_OUT, heard_in, signed_form

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


class Twilio(HttpProvider):
    name = "twilio"
    channel = "sms"
    Settings = TwilioSettings

    def __init__(self, settings: TwilioSettings, house: House) -> None:
        check_plain(token=settings.token)
        check_plain(":", account=settings.account)
        super().__init__(settings.base_url, settings.connections, house)
        self._secret = house.secret
        self._callback = f"{house.public_url}/v1/callbacks/twilio" if house.config.public_url else ""
        self._path = f"/2010-04-01/Accounts/{quote(settings.account, safe='')}/Messages.json"
        self._session.headers["Authorization"] = aiohttp.encode_basic_auth(settings.account, settings.token, "utf-8")

    async def _one(self, dispatch: Dispatch) -> Result:
        sms = dispatch.message
        assert isinstance(sms, Sms)
        if len(sms.text) > TEXT_CHARS_MAX:
            return rejected(f"the text has {len(sms.text)} characters; Twilio takes {TEXT_CHARS_MAX}")
        sender = "MessagingServiceSid" if sms.sender.startswith("MG") and len(sms.sender) == 34 else "From"
        form = {"To": sms.to, sender: sms.sender, "Body": sms.text.encode(errors="replace").decode()}
        if self._callback:
            form["StatusCallback"] = f"{self._callback}?about={about(self._secret, dispatch.effect)}"
        return await self._post(dispatch, self._path, form)

    def _verdict(self, dispatch: Dispatch, response: aiohttp.ClientResponse, body: bytes) -> Result:
        answer, status = read_answer(body, _Answer), response.status
        if 200 <= status < 300:
            return Result(state=DELIVERED, data={"sid": answer.sid})
        said = f"{answer.code or ''} {answer.message}".strip()
        wait_ms = retry_after_ms(response.headers.get("Retry-After"), self._clock())
        if answer.code in BUSY:
            return self.failed("busy", f"{status} {said}", retry_after_ms=wait_ms, counts=False)
        if status in {408, 425, 500}:
            return self.failed("busy", f"{status} {said}", retry_after_ms=wait_ms)
        if answer.code in NOBODY:
            return Result(state=CREDENTIALS, reason=clean(f"{status} {said}"), blames=CHANNEL)
        ours = answer.code == OPTED_OUT and dispatch.effect.consent  # of a notice to the team it says nothing about the contact
        facts: dict[str, Any] = {"events": [["unsubscribed", {"channel": "sms"}]]} if ours else {}
        return self._usual(response, said, code=answer.code, **facts)

    @classmethod
    async def receive(cls, settings: TwilioSettings, inbound: Inbound, house: House) -> Reception:
        form = signed_form(settings.token, inbound)
        return Reception(heard=heard_in(form, inbound.query, words_of(settings.keywords)), body=EMPTY_TWIML, content_type="text/xml")
