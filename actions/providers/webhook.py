"""Webhooks: any URL that a map names, signed as Standard Webhooks 1.0, each destination host for itself.

URLs come from maps and merge fields, so they are strangers' input: only http and https, only public addresses unless `allow_private`,
no redirects, a bounded answer (signed_call.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from actions.http_client import is_public, make_session
from actions.messages import Request
from actions.providers import provider
from actions.providers.provider import Dispatch, House, Provider, Report, Result, each, rejected
from actions.signed_call import SignedCalls
from actions.signing import webhook_key

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "expect", "upgrade", "te", "trailer"})

_DOTS = frozenset({".", ".."})
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
        self._session = make_session(house.config.send_timeout_ms, house.config.in_flight_per_host_max, public_only=self._public_only)
        self._calls = SignedCalls(type(self), self._session, house.clock)

    async def send(self, dispatches: Sequence[Dispatch], report: Report) -> None:
        await each(dispatches, self._call, report)

    async def _call(self, dispatch: Dispatch) -> Result:
        request = dispatch.message
        assert isinstance(request, Request)
        if refusal := self._refusal(request):
            return rejected(refusal)
        return await self._calls.call(request, self._key, dispatch.effect.id)

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
        if not _DOTS.isdisjoint(unquote(parts.path).split("/")):  # a merge field must not choose another path than the map's
            return f"the path has `.` or `..` in it: {parts.path[:100]!r}"
        if self._public_only and _is_address(host) and not is_public(host):
            return f"{host} is not a public address"
        for name, value in request.headers.items():
            if not _NAME.fullmatch(name) or _VALUE_CONTROL.search(value):
                return f"header {name[:60]!r} has characters that headers can't have"
            if name.lower() in OURS or name.lower().startswith("webhook-"):
                return f"header {name[:60]!r} can't be set by a map"
        return ""

    async def close(self) -> None:
        await self._session.close()


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
