"""Custom audiences at Meta: people join or leave by the thousand in one request, `POST` or `DELETE /{version}/{audience}/users`.

To add or remove somebody twice changes nothing, so a repetition is safe; what must not happen is that an older change comes after a newer
one, so each audience has its order (gathering.py), and a retry that was overtaken is given up. Meta counts the entries that it can't read and
names samples: those that can be told are rejected with its words, the others are logged by number.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

import aiohttp
import msgspec
import structlog

from actions.audience import SCHEMA, flagged
from actions.gathering import Lanes
from actions.http_client import bounded_body, make_session, retry_after_ms, stage_of
from actions.http_provider import check_url
from actions.in_order import InOrder, stamp_of
from actions.messages import AudienceChange
from actions.providers import provider
from actions.providers.provider import CHANNEL, CREDENTIALS, DELIVERED, Dispatch, House, Provider, Report, Result, clean, rejected
from engine.core.errors import InvalidConfig

USERS_MAX = 10_000  # in one request, says Meta
OVERTAKEN = rejected("overtaken: a later change of this contact in this audience was sent before")
METHODS = {"add": "POST", "remove": "DELETE"}

# Error codes of the Graph API and the Marketing API.
NOBODY = frozenset({10, 102, 104, 190, 294, *range(200, 300)})  # the token is over, or the app lacks a permission or its proof
BUSY = frozenset({4, 17, 32, 613, 80000, 80003, 80004, 80014})  # rate limits of the app, the user, the account, custom audiences
LATER = frozenset({1, 2, 368, 2650})  # Meta's own trouble, a temporary block, an audience that is being updated

_VERSION = re.compile(r"v\d{1,3}\.\d{1,2}")

log = structlog.get_logger(__name__)


class FacebookSettings(provider.Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`audiences` gives ids of custom audiences names. What comes within `gather_ms` goes out together, up to `users_per_request`.

    `app_secret` makes the proof that apps may demand of a token.
    """

    token: str
    base_url: str = "https://graph.facebook.com"
    version: str = "v25.0"
    app_secret: str = ""
    audiences: dict[str, str | int] = {}
    gather_ms: int = 2_000
    users_per_request: int = USERS_MAX


class _Error(msgspec.Struct):
    message: str | None = ""
    code: int = 0
    error_subcode: int | None = 0
    error_user_msg: str | None = ""
    is_transient: bool = False


class _Answer(msgspec.Struct):
    """Of Meta's answers, what we use."""

    session_id: str | int | None = ""
    num_received: int = 0
    num_invalid_entries: int = 0
    invalid_entry_samples: Any = None
    error: _Error | None = None


class Facebook(Provider):
    name = "facebook"
    channel = "facebook"
    Settings = FacebookSettings
    honours_key = True  # not by the key: what is done again changes nothing
    gathers: ClassVar[bool] = True
    not_accepted = frozenset({"connect", "busy"})

    def __init__(self, settings: FacebookSettings, house: House) -> None:
        _check(settings, house.config.send_timeout_ms)
        self._settings, self._clock = settings, house.clock
        self._audiences = {name: str(number) for name, number in settings.audiences.items()}
        self._base = f"{settings.base_url.rstrip('/')}/{settings.version}"
        self._order = InOrder(house.config.decisions_remembered_max)
        self._lanes = Lanes(self._carry, settings.gather_ms / 1_000, settings.users_per_request, house.config.send_timeout_ms / 1_000)
        self._session = make_session(house.config.send_timeout_ms, 8, public_only=False)

    async def send(self, dispatches: Sequence[Dispatch], report: Report) -> None:
        waiting = []
        for dispatch in dispatches:
            change = dispatch.message
            assert isinstance(change, AudienceChange)
            waiting.append((dispatch, self._lanes.put(change.audience, change.action, dispatch.effect.contact, dispatch)))
        for dispatch, result in waiting:
            report(dispatch, await result)

    async def _carry(self, audience: str, action: str, dispatches: Sequence[Dispatch], left_s: float) -> list[Result]:
        """One request for those that no later change has overtaken; a result each."""
        effects = sorted((dispatch.effect for dispatch in dispatches), key=stamp_of)
        newest = {effect.id for effect in effects if self._order.is_newest((audience, effect.contact), effect)}
        going = [dispatch for dispatch in dispatches if dispatch.effect.id in newest]
        results = iter(await self._request(audience, action, going, left_s) if going else [])
        return [next(results) if dispatch.effect.id in newest else OVERTAKEN for dispatch in dispatches]

    async def _request(self, audience: str, action: str, dispatches: Sequence[Dispatch], left_s: float) -> list[Result]:
        """One request for all; a result each."""
        rows = [_keys(dispatch) for dispatch in dispatches]
        url = f"{self._base}/{quote(self._audiences.get(audience, audience), safe='')}/users"
        headers = {"Authorization": f"Bearer {self._settings.token}", "Content-Type": "application/json"}
        timeout = aiohttp.ClientTimeout(total=left_s, connect=left_s / 2)
        try:
            async with self._session.request(METHODS[action], url, data=self._body(rows), headers=headers, timeout=timeout, allow_redirects=False) as response:
                answer = _read(await bounded_body(response))
                if 200 <= response.status < 300 and (answer is None or answer.error is None):
                    return _results(rows, answer, audience)
                return [self._refusal(response, answer)] * len(rows)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return [self.failed(stage_of(error), f"{type(error).__name__}: {error}")] * len(rows)

    def _body(self, rows: Sequence[Mapping[str, str]]) -> bytes:
        schema = [key for key in SCHEMA if any(key in row for row in rows)]
        body: dict[str, Any] = {
            "payload": {"schema": schema, "is_raw": True, "data": [[row.get(key, "") for key in schema] for row in rows]},
            "session": {"session_id": secrets.randbelow(1 << 62) + 1, "batch_seq": 1, "last_batch_flag": True, "estimated_num_total": len(rows)},
        }
        if self._settings.app_secret:
            body["appsecret_proof"] = hmac.new(self._settings.app_secret.encode(), self._settings.token.encode(), "sha256").hexdigest()
        return msgspec.json.encode(body)

    def _refusal(self, response: aiohttp.ClientResponse, answer: _Answer | None) -> Result:
        """What a request that was not taken means for each of its people."""
        status, error = response.status, (answer and answer.error) or _Error()
        code = f"{error.code}.{error.error_subcode}" if error.error_subcode else str(error.code or status)
        reason = f"{code} {error.message or response.reason or ''} {error.error_user_msg or ''}"
        wait_ms = max(retry_after_ms(response.headers.get("Retry-After"), self._clock()), regain_ms(response.headers.get("X-Business-Use-Case-Usage")))
        if error.code in BUSY or status == 429:
            return self.failed("busy", reason, retry_after_ms=wait_ms, counts=False)
        if error.code in NOBODY or status == 401:
            return Result(state=CREDENTIALS, reason=clean(reason), blames=CHANNEL)
        if error.is_transient or error.code in LATER:
            return self.failed("busy", reason, retry_after_ms=wait_ms)
        if status >= 500 or status == 408:
            return self.failed("answer", reason, retry_after_ms=wait_ms)
        return rejected(f"redirects are not followed: {reason}" if 300 <= status < 400 else reason, code=error.code, status=status)

    async def close(self) -> None:
        await self._lanes.close()
        await self._session.close()


def regain_ms(header: str | None) -> int:
    """How long Meta's usage header says that a limit stays: the longest of its `estimated_time_to_regain_access`, which are minutes."""
    try:
        usage = msgspec.json.decode(header or "{}", type=dict[str, list[dict[str, Any]]])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return 0
    minutes = [entry.get("estimated_time_to_regain_access") for entries in usage.values() for entry in entries]
    return max((int(minute * 60_000) for minute in minutes if isinstance(minute, int | float) and 0 < minute < 10**6), default=0)


def _results(rows: Sequence[Mapping[str, str]], answer: _Answer | None, audience: str) -> list[Result]:
    """Delivered, all but those that Meta flagged and that can be told: all of them, or those that its samples name."""
    if answer is None:
        log.warning("Meta took a request, and its answer cannot be read", audience=audience, sent=len(rows))
        return [Result(state=DELIVERED)] * len(rows)
    named = dict.fromkeys(range(len(rows)), "invalid entry") if answer.num_invalid_entries >= len(rows) else {}
    named |= flagged(rows, answer.invalid_entry_samples)
    if answer.num_invalid_entries or named:
        figures = {"received": answer.num_received, "invalid": answer.num_invalid_entries, "named": len(named)}
        log.warning("Meta could not read entries", audience=audience, session=str(answer.session_id), **figures)
    delivered = Result(state=DELIVERED, data={"session": str(answer.session_id), "invalid": answer.num_invalid_entries})
    return [rejected(f"flagged by Meta: {named[number]}") if number in named else delivered for number in range(len(rows))]


def _keys(dispatch: Dispatch) -> dict[str, str]:
    change = dispatch.message
    assert isinstance(change, AudienceChange)
    return {key: value.encode(errors="replace").decode() for key, value in change.keys.items()}


def _read(body: bytes) -> _Answer | None:
    try:
        return msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None


def _check(settings: FacebookSettings, timeout_ms: int) -> None:
    """Raises InvalidConfig."""
    check_url(settings.base_url)
    if not settings.token.isascii() or not settings.token.isprintable() or not settings.token:
        raise InvalidConfig("token must be plain text")
    if not _VERSION.fullmatch(settings.version):
        raise InvalidConfig(f"version must be one of the Graph API such as v25.0, not {settings.version!r}")
    if not 1 <= settings.users_per_request <= USERS_MAX:
        raise InvalidConfig(f"users_per_request must be 1 to {USERS_MAX}")
    if not 1 <= settings.gather_ms <= timeout_ms // 4:
        raise InvalidConfig(f"gather_ms must be 1 to {timeout_ms // 4}, a quarter of send_timeout_ms")
