"""Postcards through Lob's API: one JSON POST a postcard, the key as the user of basic authentication, kept connections.

The effect's id is the Idempotency-Key, which Lob honours for 24 hours. A 429 or 503 is Lob's word that it took nothing; what was sent and
not answered, or answered with another 5xx, may have been printed. What Lob would refuse for its length is refused here, in words.

Each postcard carries its effect's token in its metadata, and Lob's webhooks bring it back: `POST /v1/callbacks/lob`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import aiohttp
import msgspec

from actions.feedback import about
from actions.http_provider import HttpProvider, check_plain, read_answer
from actions.lob_events import check_signature, heard_in, metadata_of
from actions.messages import Postcard
from actions.postal import ANYWHERE, HOME
from actions.providers import provider
from actions.providers.provider import (
    DELIVERED,
    Dispatch,
    House,
    Inbound,
    Reception,
    Result,
    rejected,
)
from engine.core.errors import InvalidConfig

PATH = "/v1/postcards"
KEY_LIFE_MS = 24 * 3_600_000

# Our part → Lob's, the most characters in the US, and elsewhere.
PARTS: dict[str, tuple[str, int, int]] = {
    "name": ("name", 40, 40),
    "company": ("company", 40, 40),
    "address1": ("address_line1", 64, 200),
    "address2": ("address_line2", 64, 200),
    "city": ("address_city", 200, 200),
    "state": ("address_state", 2, 200),
    "zip": ("address_zip", 10, 40),
    "country": ("address_country", 2, 2),
}

_KEPT = re.compile(r"tmpl_[A-Za-z0-9]+")
_URL = re.compile(r"https://[!-~]{1,2000}")
_ADDRESS_ID = re.compile(r"adr_[A-Za-z0-9]+")
_CODE = re.compile(r"[A-Z]{2}")


class LobSettings(provider.Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`from` is the id of an address at Lob (`adr_…`) or an address with the names of ours. `countries` are two letters each, or `*`.

    `webhook_secret` is the one of the webhook that Lob's dashboard shows; without it no callback is believed.
    """

    key: str
    base_url: str = "https://api.lob.com"
    from_: str | dict[str, str | int] = msgspec.field(name="from", default="")  # type: ignore[assignment]
    use_type: Literal["marketing", "operational"] = "marketing"
    countries: list[str] = msgspec.field(default_factory=lambda: [HOME])
    webhook_secret: str = ""
    html_chars_max: int = 10_000  # of one side
    connections: int = 32


class _Error(msgspec.Struct):
    message: str | None = ""
    code: str | None = ""


class _Answer(msgspec.Struct):
    """Of Lob's answers, what we use."""

    id: str = ""
    expected_delivery_date: str | None = ""
    error: _Error | None = None


class Lob(HttpProvider):
    name = "lob"
    channel = "postcard"
    Settings = LobSettings
    honours_key = True
    key_life_ms: ClassVar[int] = KEY_LIFE_MS

    def __init__(self, settings: LobSettings, house: House) -> None:
        check_plain(":", key=settings.key)
        for code in settings.countries:
            if code != ANYWHERE and not _CODE.fullmatch(code.upper()):
                raise InvalidConfig(f"countries must be two letters each (or {ANYWHERE!r}), not {code!r}")
        self._sender = _sender(settings.from_)
        super().__init__(settings.base_url, settings.connections, house)
        self._settings, self._secret = settings, house.secret
        self._session.headers.update({"Authorization": aiohttp.encode_basic_auth(settings.key, "", "utf-8"), "Content-Type": "application/json"})

    async def _one(self, dispatch: Dispatch) -> Result:
        card = dispatch.message
        assert isinstance(card, Postcard)
        if fault := self._fault(card):
            return rejected(fault)
        return await self._post(dispatch, PATH, self._body(dispatch, card), {"Idempotency-Key": dispatch.effect.id})

    def _body(self, dispatch: Dispatch, card: Postcard) -> bytes:
        body: dict[str, Any] = {
            "to": {PARTS[part][0]: text for part, text in card.to.items()},
            "front": card.front,
            "back": card.back,
            "size": card.size,
            "use_type": self._settings.use_type,
            "metadata": metadata_of(about(self._secret, dispatch.effect)),
        }
        if self._sender:
            body["from"] = self._sender
        return msgspec.json.encode(_encodable(body))

    def _fault(self, card: Postcard) -> str:
        """Why Lob would refuse it, "" where nothing is known against it."""
        home = card.to.get("country", HOME) == HOME
        for part, text in card.to.items():
            _, at_home, abroad = PARTS[part]
            most = at_home if home else abroad
            if len(text) > most:
                return f"the {part} has {len(text)} characters; Lob prints {most}"
        for side, text in (("front", card.front), ("back", card.back)):
            if not text.strip():
                return f"the {side} is empty"
            if text.startswith("https://"):
                if not _URL.fullmatch(text):
                    return f"the {side} is not a URL that can be fetched: {text[:100]!r}"
            elif not _KEPT.fullmatch(text) and len(text) > self._settings.html_chars_max:
                return f"the {side} has {len(text)} characters of HTML; Lob takes {self._settings.html_chars_max}"
        return "" if home or self._sender else "Lob needs `from` in providers.yaml for addresses outside the US"

    def _verdict(self, dispatch: Dispatch, response: aiohttp.ClientResponse, body: bytes) -> Result:
        status, answer = response.status, read_answer(body, _Answer)
        if 200 <= status < 300:
            return Result(state=DELIVERED, data={"postcard": answer.id, "expected": answer.expected_delivery_date or ""})
        error = answer.error or _Error()
        return self._usual(response, f"{error.code or ''} {error.message or ''}".strip(), self._wait_ms(response.headers), code=error.code)

    def _wait_ms(self, headers: Mapping[str, str]) -> int:
        """How long it is to the epoch second at which Lob's window begins anew."""
        reset = headers.get("X-Rate-Limit-Reset") or headers.get("RateLimit-Reset") or ""
        until_ms = int(reset) * 1_000 if reset.isascii() and reset.isdigit() and len(reset) < 12 else 0
        return until_ms - self._clock()

    @classmethod
    async def receive(cls, settings: LobSettings, inbound: Inbound, house: House) -> Reception:
        check_signature(settings.webhook_secret, inbound, house.clock())
        return Reception(heard=heard_in(inbound.body))


def _sender(raw: str | dict[str, str | int]) -> str | dict[str, str]:
    """The return address as Lob takes it; InvalidConfig where it is none."""
    if isinstance(raw, str):
        if raw and not _ADDRESS_ID.fullmatch(raw):
            raise InvalidConfig("from must be the id of an address at Lob (`adr_…`) or an address with name, address1, city, state and zip")
        return raw
    unknown = [part for part in raw if part not in PARTS]
    missing = [part for part in ("address1", "city", "state", "zip") if not raw.get(part)]
    if unknown or missing or not (raw.get("name") or raw.get("company")):
        raise InvalidConfig(f"from needs a name or company, address1, city, state and zip{f' and knows no {unknown[0]}' if unknown else ''}")
    return {PARTS[part][0]: str(text) for part, text in raw.items()}


def _encodable(value: Any) -> Any:
    """The same with every text such that it can be UTF-8."""
    if isinstance(value, dict):
        return {key: _encodable(item) for key, item in value.items()}
    return value.encode(errors="replace").decode()
