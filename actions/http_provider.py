"""The base of providers that are an HTTP API: one POST a message over kept connections, and what the usual answers mean.

A subclass says how a message becomes a request (`_one`, which ends in `_post`) and reads what is peculiar to its API in `_verdict`, which ends
in `_usual`. What was sent and not answered is the stage `answer`; `busy` is the stage of an answer that says that nothing was taken.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from actions.http_client import bounded_body, make_session, retry_after_ms, stage_of
from actions.providers.provider import CHANNEL, CREDENTIALS, Dispatch, House, Provider, Report, Result, clean, each, rejected
from engine.config import Config
from engine.core.errors import InvalidConfig

CONNECTIONS_MAX = 1_024

Answer = TypeVar("Answer")


def api_session(base_url: str, connections: int, config: Config) -> tuple[str, aiohttp.ClientSession]:
    """The address of an API without a slash at its end, and a session for it. Raises InvalidConfig that names the setting."""
    check_url(base_url)
    if not 1 <= connections <= CONNECTIONS_MAX:
        raise InvalidConfig(f"connections must be 1 to {CONNECTIONS_MAX}")
    return base_url.rstrip("/"), make_session(config.send_timeout_ms, connections, public_only=False)


def check_url(base_url: str) -> None:
    """InvalidConfig where it is no http or https URL."""
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InvalidConfig(f"base_url must be an http or https URL, not {base_url!r}")


def check_plain(forbidden: str = "", **secrets: str) -> None:
    """InvalidConfig where a key or token could not stand in a header; the message names the setting, never its value."""
    for name, text in secrets.items():
        if not (text.isascii() and text.isprintable()) or any(character in text for character in forbidden):
            raise InvalidConfig(f"{name} must be plain text")


def read_answer(body: bytes, kind: type[Answer]) -> Answer:
    """What an API answered, as far as it is used; all defaults where it is not what the API documents."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return kind()


class HttpProvider(Provider):
    """One request a message, at most `connections` at a time."""

    not_accepted = frozenset({"connect", "busy"})

    def __init__(self, base_url: str, connections: int, house: House) -> None:
        self._clock, self._connections = house.clock, connections
        self._base, self._session = api_session(base_url, connections, house.config)

    @property
    def in_flight_max(self) -> int:
        return self._connections

    async def send(self, dispatches: Sequence[Dispatch], report: Report) -> None:
        await each(dispatches, self._one, report)

    @abstractmethod
    async def _one(self, dispatch: Dispatch) -> Result:
        """Make the request of one message and `_post` it; or say why it can't be made."""

    @abstractmethod
    def _verdict(self, dispatch: Dispatch, response: aiohttp.ClientResponse, body: bytes) -> Result:
        """What an answer means."""

    async def _post(self, dispatch: Dispatch, path: str, data: Any, headers: dict[str, str] | None = None) -> Result:
        """Send one request, and judge its answer, or the failure to get one."""
        try:
            async with self._session.post(self._base + path, data=data, headers=headers, allow_redirects=False) as response:
                return self._verdict(dispatch, response, await bounded_body(response))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return self.failed(stage_of(error), f"{type(error).__name__}: {error}")

    def _usual(self, response: aiohttp.ClientResponse, said: str, wait_ms: int = 0, **data: Any) -> Result:
        """What a refusal means at nearly every API, by its status. `wait_ms` is what it asks for beside Retry-After; `data` goes with a rejection."""
        status = response.status
        reason = f"{status} {said or response.reason or ''}"
        wait_ms = max(wait_ms, retry_after_ms(response.headers.get("Retry-After"), self._clock()), 0)
        if status in {429, 503}:
            return self.failed("busy", reason, retry_after_ms=wait_ms, counts=status == 503)  # a 429 is about our pace, not about this message
        if status in {401, 403}:
            return Result(state=CREDENTIALS, reason=clean(reason), blames=CHANNEL)
        if status >= 500 or status in {408, 425}:
            return self.failed("answer", reason)
        return rejected(f"redirects are not followed: {reason}" if status < 400 else reason, status=status, **data)

    async def close(self) -> None:
        await self._session.close()
