"""Email through Amazon SES v2: one signed POST a message, with the bytes that we write ourselves, so headers and DKIM are ours.

SES has no idempotency key, so what was sent and not answered is `unknown`. It replaces Message-ID and Date, so DKIM leaves those out. What
comes back arrives over SNS at /v1/callbacks/ses, from the topics that the settings name.
"""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from typing import ClassVar

import aiohttp
import msgspec

from actions.http_client import retry_after_ms
from actions.http_provider import HttpProvider, check_plain, read_answer
from actions.mime import MimeFault
from actions.outgoing import DkimSettings, EmailSettings, Outgoing
from actions.providers.provider import (
    CHANNEL,
    CREDENTIALS,
    DELIVERED,
    Dispatch,
    House,
    Inbound,
    Reception,
    Result,
    Unsigned,
    clean,
    rejected,
)
from actions.ses_events import TAG, heard_of_ses, tag_of
from actions.sigv4 import AwsKey, signed_headers
from actions.sns import CONFIRMATION, NOTIFICATION, Sns
from engine.core.errors import InvalidConfig

PATH = "/v2/email/outbound-emails"
DAILY_RETRY_MS = 600_000  # the quota is of the last 24 hours, so some of it comes back all the time

_PAUSED = frozenset({"AccountSuspendedException", "SendingPausedException", "MailFromDomainNotVerifiedException", "NotFoundException"})
_BUSY = frozenset({"TooManyRequestsException", "ThrottlingException", "Throttling", "LimitExceededException"})
_REPLACED = frozenset({"date", "message-id"})


class SesSettings(EmailSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`session_token` belongs to temporary keys; `topics` are the ARNs whose SNS messages are believed; `base_url` may point at a mock."""

    region: str
    access_key: str
    secret_key: str
    session_token: str = ""
    configuration_set: str = ""
    topics: list[str] = []
    callback_age_s_max: int = 7_200  # SNS tries for an hour
    dkim: DkimSettings | None = None
    base_url: str = ""
    connections: int = 64


class _Answer(msgspec.Struct):
    """Of SES's answers, what we use. An error's text is called one or the other."""

    message_id: str = msgspec.field(name="MessageId", default="")
    type: str = msgspec.field(name="__type", default="")
    text: str = msgspec.field(name="message", default="")
    text_too: str = msgspec.field(name="Message", default="")


class Ses(HttpProvider):
    name = "ses"
    channel = "email"
    Settings = SesSettings
    not_accepted = frozenset({"connect", "busy", "sender"})
    sns: ClassVar[Sns] = Sns()

    def __init__(self, settings: SesSettings, house: House) -> None:
        if not settings.region.replace("-", "").isalnum() or not settings.region.isascii():
            raise InvalidConfig("region must be like eu-west-1")
        check_plain(access_key=settings.access_key, secret_key=settings.secret_key, session_token=settings.session_token)
        self._outgoing = Outgoing(settings, house, dkim=settings.dkim, unsigned=_REPLACED, about_header=True)
        self._key = AwsKey(access_key=settings.access_key, secret_key=settings.secret_key, region=settings.region, service="ses", token=settings.session_token)
        self._set = settings.configuration_set
        super().__init__(settings.base_url or f"https://email.{settings.region}.amazonaws.com", settings.connections, house)

    async def _one(self, dispatch: Dispatch) -> Result:
        try:
            body = self._body(dispatch)
        except MimeFault as fault:
            return rejected(str(fault))
        headers = signed_headers(self._key, "POST", self._base + PATH, {"Content-Type": "application/json"}, body, self._clock())
        return await self._post(dispatch, PATH, BytesIO(body), headers)

    def _body(self, dispatch: Dispatch) -> bytes:
        mail = self._outgoing.mail(dispatch)
        request = {"Destination": {"ToAddresses": [mail.to]}, "Content": {"Raw": {"Data": b64encode(mail.data).decode()}}}
        if self._set:
            request["ConfigurationSetName"] = self._set
        if tag := tag_of(self._outgoing.about(dispatch.effect)):
            request["EmailTags"] = [{"Name": TAG, "Value": tag}]
        return msgspec.json.encode(request)

    def _verdict(self, dispatch: Dispatch, response: aiohttp.ClientResponse, body: bytes) -> Result:
        answer, status = read_answer(body, _Answer), response.status
        if 200 <= status < 300:
            return Result(state=DELIVERED, data={"message_id": answer.message_id})
        kind = (response.headers.get("x-amzn-ErrorType") or answer.type).partition(":")[0].rpartition("#")[2]
        text = answer.text or answer.text_too
        said = f"{kind} {text}".strip()
        wait_ms = DAILY_RETRY_MS if "daily" in text.lower() or kind == "LimitExceededException" else 0
        if kind in _BUSY:
            wait_ms = max(wait_ms, retry_after_ms(response.headers.get("Retry-After"), self._clock()))
            return self.failed("busy", f"{status} {said}", retry_after_ms=wait_ms, counts=False)
        if "not verified" in text:
            return self._outgoing.unverified(type(self), dispatch, f"{status} {said}")
        if kind in _PAUSED:
            return Result(state=CREDENTIALS, reason=clean(f"{status} {said}"), blames=CHANNEL)
        return self._usual(response, said, wait_ms, type=clean(kind))

    @classmethod
    async def receive(cls, settings: SesSettings, inbound: Inbound, house: House) -> Reception:
        """What SES says over SNS: bounces, complaints, deliveries, opens, clicks; a subscription is confirmed."""
        if not settings.topics:
            raise Unsigned("the email block names no topics, so nobody can be believed")
        envelope = await cls.sns.open(inbound.body, settings.topics, house.clock(), settings.callback_age_s_max * 1_000)
        if envelope.type == CONFIRMATION:
            await cls.sns.confirm(envelope)
        if envelope.type != NOTIFICATION:
            return Reception()
        return Reception(heard=heard_of_ses(envelope.message, envelope.message_id))
