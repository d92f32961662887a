"""Webhooks: any URL that a map names, signed as Standard Webhooks 1.0, each destination host for itself.

URLs come from maps and merge fields, so they are strangers' input: only http and https, only public addresses unless `allow_private`,
no redirects, a bounded answer. `webhook-id` is the effect's id at every attempt, so a receiver can tell a repetition.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from actions.http_client import bounded_body, is_forbidden, is_public, make_session, retry_after_ms, stage_of
from actions.messages import Request
from actions.providers import provider
from actions.providers.provider import DELIVERED, DEST, MESSAGE, Dispatch, House, Provider, Report, Result, each, rejected
from actions.signing import webhook_headers, webhook_key

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "expect", "upgrade", "te", "trailer"})
AGAIN = frozenset({408, 425, 429})

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
_VALUE_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


class WebhookSettings(provider.Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`allow_private` is for tests on one machine: then maps can reach everything that the engine can."""

    secret: str = ""
    allow_private: bool = False


class Webhook(Provider):
    name = "webhook"
    channel = "webhook"
    Settings = WebhookSettings
    honours_key = True
    by_host = True
    not_accepted = frozenset({"connect", "status"})

    def __init__(self, settings: WebhookSettings, house: House) -> None:
        self._key = webhook_key(settings.secret)
        self._public_only = not settings.allow_private
        self._clock = house.clock
        self._session = make_session(house.config.send_timeout_ms, house.config.in_flight_per_host_max, public_only=self._public_only)

    async def send(self, dispatches: Sequence[Dispatch], report: Report) -> None:
        await each(dispatches, self._call, report)

    async def _call(self, dispatch: Dispatch) -> Result:
        request = dispatch.message
        assert isinstance(request, Request)
        if refusal := self._refusal(request):
            return rejected(refusal)
        body = request.body.encode(errors="replace")
        headers = {**_content_type(request), **request.headers, **webhook_headers(self._key, dispatch.effect.id, self._clock() // 1_000, body)}
        try:
            url = URL(request.url)
            async with self._session.request(request.method, url, data=body or None, headers=headers, allow_redirects=False) as response:
                return await self._verdict(response)
        except (ValueError, aiohttp.InvalidURL) as error:
            return rejected(f"not a URL that can be called: {error}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if is_forbidden(error):
                return rejected(f"{urlsplit(request.url).hostname} is not a public address")
            return self.failed(stage_of(error), f"{type(error).__name__}: {error}", blames=DEST)

    def _refusal(self, request: Request) -> str:
        """Why this request is not made at all; empty where it may be."""
        if request.method not in METHODS:
            return f"method {request.method[:20]!r}"
        try:
            parts = urlsplit(request.url)
            host = parts.hostname
        except ValueError as error:
            return f"not a URL: {error}"
        if parts.scheme not in {"http", "https"} or not host:
            return f"not an http or https URL: {request.url[:100]!r}"
        if self._public_only and _is_address(host) and not is_public(host):
            return f"{host} is not a public address"
        for name, value in request.headers.items():
            if not _NAME.fullmatch(name) or _VALUE_CONTROL.search(value):
                return f"header {name[:60]!r} has characters that headers can't have"
            if name.lower() in OURS or name.lower().startswith("webhook-"):
                return f"header {name[:60]!r} can't be set by a map"
        return ""

    async def _verdict(self, response: aiohttp.ClientResponse) -> Result:
        body = await bounded_body(response)
        status = response.status
        if 200 <= status < 300:
            return Result(state=DELIVERED, data={"status": status})
        reason = f"{status} {response.reason or ''}: {body[:200].decode('utf-8', 'replace')}"
        if status in AGAIN or status >= 500:
            wait_ms = retry_after_ms(response.headers.get("Retry-After"), self._clock())
            return self.failed("status", reason, blames=DEST if status != 408 else MESSAGE, retry_after_ms=wait_ms)
        return rejected(f"redirects are not followed: {reason}" if 300 <= status < 400 else reason, status=status)

    async def close(self) -> None:
        await self._session.close()


def _content_type(request: Request) -> dict[str, str]:
    """JSON unless the map says otherwise: what nearly every receiver of webhooks wants."""
    if not request.body or any(name.lower() == "content-type" for name in request.headers):
        return {}
    return {"Content-Type": "application/json"}


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
