"""Stripe's REST API: one request and what its answer means, for the provider `stripe`.

An answer that decides about one item (200, or a 4xx that speaks of it) is returned; anything that ends the work on an effect for now is
raised as `Halt` with the stage of the conversation. Stripe keeps the answer to a key for a day, also that of a fault of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import msgspec

from actions.http_client import retry_after_ms, stage_of
from actions.providers.provider import clean
from engine.core.errors import WayfareError

API_VERSION = "2024-06-20"  # fixed, so that what Stripe changes in newer versions changes nothing here
ANSWER_BYTES_MAX = 2 * 1024 * 1024  # a hundred payment intents are a quarter of it
AMOUNT_MAX = 99_999_999  # in the smallest unit: the most that Stripe charges at once

# Currencies whose smallest unit is not a hundredth, as Stripe counts them.
_PLACES = {
    **dict.fromkeys(("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"), 0),
    **dict.fromkeys(("bhd", "jod", "kwd", "omr", "tnd"), 3),
}
_ID = re.compile(r"[A-Za-z0-9_]{1,255}")


class Halt(WayfareError):
    """The work on an effect ends here for now; the provider makes a result of it. `ended`: Stripe remembers that an earlier request under
    this key was answered, so none is under way."""

    def __init__(self, stage: str, reason: str, *, wait_ms: int = 0, counts: bool = True, ended: bool = False) -> None:
        super().__init__(clean(reason))
        self.stage, self.wait_ms, self.counts, self.ended = stage, wait_ms, counts, ended


class Answer(msgspec.Struct, frozen=True):
    """An answer about one thing: a status below 500, and the object or the `error` in it."""

    status: int
    body: dict[str, Any]

    @property
    def good(self) -> bool:
        return self.status < 300

    @property
    def error(self) -> dict[str, Any]:
        return mapping(self.body.get("error"))

    @property
    def declined(self) -> bool:
        """Whether this is a bank's or a card's no."""
        return self.status == 402 or self.error.get("type") == "card_error"

    @property
    def code(self) -> str:
        """The narrowest code that says why, such as `insufficient_funds`."""
        return text(self.error.get("decline_code")) or text(self.error.get("code")) or str(self.status)

    @property
    def reason(self) -> str:
        return clean(f"{self.code} {text(self.error.get('message'))}")


class StripeApi:
    """The API of one account over a kept session."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, key: str, clock: Callable[[], int]) -> None:
        self._session, self._base_url, self._clock = session, base_url.rstrip("/"), clock
        self._headers = {"Authorization": f"Bearer {key}", "Stripe-Version": API_VERSION}

    async def call(self, method: str, path: str, timeout_s: float, form: Mapping[str, str] | None = None, key: str = "") -> Answer:
        """One request; `form` is its body, or its query for a GET. Raises Halt."""
        headers = {**self._headers, "Idempotency-Key": key} if key else self._headers
        sent: dict[str, Any] = {"params" if method == "GET" else "data": form} if form else {}
        timeout = aiohttp.ClientTimeout(total=max(timeout_s, 0.001))
        try:
            async with self._session.request(method, self._base_url + path, headers=headers, timeout=timeout, allow_redirects=False, **sent) as response:
                return self._read(method, response, await _whole(response))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            stage = "connect" if stage_of(error) == "connect" else _unanswered(method)
            raise Halt(stage, f"{type(error).__name__}: {error}") from None

    def _read(self, method: str, response: aiohttp.ClientResponse, octets: bytes) -> Answer:
        answer, status = Answer(response.status, _decoded(octets)), response.status
        wait_ms = retry_after_ms(response.headers.get("Retry-After"), self._clock())
        reason = answer.reason if answer.error else f"{status} {response.reason or ''}"
        repeated = response.headers.get("Idempotent-Replayed") == "true"
        if status in (401, 403):
            raise Halt("credentials", reason)
        if status == 429:
            raise Halt("busy", reason, wait_ms=wait_ms, counts=False)
        if status == 409:
            raise Halt("conflict", reason, wait_ms=wait_ms)
        if status >= 500 or (status < 300 and not answer.body):
            raise Halt(_unanswered(method), reason, wait_ms=wait_ms, ended=repeated)
        if answer.error.get("type") == "idempotency_error":
            raise Halt("conflict", reason, ended=True)
        return answer


def _unanswered(method: str) -> str:
    """The stage of a request without a verdict: one that only looks has certainly changed nothing."""
    return "look-up" if method == "GET" else "answer"


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    """The answer, or nothing of it where it is larger than the bound."""
    octets = bytearray()
    async for chunk in response.content.iter_any():
        octets += chunk
        if len(octets) > ANSWER_BYTES_MAX:
            return b""
    return bytes(octets)


def _decoded(octets: bytes) -> dict[str, Any]:
    try:
        return mapping(msgspec.json.decode(octets))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


# -- values of its objects ---------------------------------------------------------------------------------------------


def mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def things(value: Any) -> list[dict[str, Any]]:
    """The objects of a list object."""
    data = mapping(value).get("data")
    return [mapping(item) for item in data] if isinstance(data, list) else []


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def id_of(value: Any) -> str:
    """The id of a reference, which is a text, or the whole object where it was expanded."""
    return text(mapping(value).get("id")) or text(value)


def is_id(value: str) -> bool:
    """Whether this can stand in a path of the API."""
    return _ID.fullmatch(value) is not None


def smallest(amount: float, currency: str) -> int:
    """An amount of the currency's main unit in its smallest one, as Stripe counts; 0 for what can't be charged."""
    units = round(amount * 10 ** _PLACES.get(currency.lower(), 2))
    return units if 0 < units <= AMOUNT_MAX else 0


def in_main_unit(units: Any, currency: str) -> float:
    """An amount as Stripe counts it in the currency's main unit."""
    if not isinstance(units, int) or isinstance(units, bool):
        return 0
    places = _PLACES.get(currency.lower(), 2)
    return units / 10**places if places else units
