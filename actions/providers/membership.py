"""Membership sites: each has an endpoint that is told which contact has which level there, signed as Standard Webhooks 1.0.

`webhook-id` is the effect's id at every attempt. Calls about one contact's level at one site are made one after the other in the order in which
they were decided, and an older one never after a newer one. A 401 means that the site does not take our signature: then the site waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from actions.http_client import json_body, make_session
from actions.in_order import InOrder
from actions.messages import Membership, Request
from actions.providers import provider
from actions.providers.provider import CREDENTIALS, DEST, MESSAGE, REJECTED, Dispatch, House, Provider, Report, Result, clean, each
from actions.signed_call import SignedCalls
from actions.signing import webhook_key
from engine.core.errors import InvalidConfig

UNSIGNED = 401


class MembershipSettings(provider.Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one site. `secret` is `whsec_…`, or any text; without one a site could not tell us from strangers, so there has to be one."""

    url: str
    secret: str


class _Endpoint:
    """Where a site is told, and the key that it knows; a class without a representation, so that the key has none."""

    def __init__(self, name: str, settings: MembershipSettings) -> None:
        parts = urlsplit(settings.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InvalidConfig(f"{name}: url must be an http or https URL, not {settings.url!r}")
        if not settings.secret:
            raise InvalidConfig(f"{name}: secret is empty")
        self.url, self.key = settings.url, webhook_key(settings.secret)


class MembershipSites(Provider):
    name = "membership"
    channel = "membership"
    Settings = MembershipSettings
    honours_key = True
    by_site = True
    by_host = True
    not_accepted = frozenset({"connect", "status", "site"})

    def __init__(self, settings: dict[str, MembershipSettings], house: House) -> None:
        self._sites = {name: _Endpoint(name, one) for name, one in settings.items()}
        self._timeout_s = house.config.send_timeout_ms / 1_000
        self._session = make_session(house.config.send_timeout_ms, house.config.in_flight_per_host_max, public_only=False)
        self._calls = SignedCalls(type(self), self._session, house.clock)
        self._order = InOrder(house.config.decisions_remembered_max, self._timeout_s / 2)

    async def send(self, dispatches: Sequence[Dispatch], report: Report) -> None:
        await each(dispatches, self._tell, report)

    async def _tell(self, dispatch: Dispatch) -> Result:
        said = dispatch.message
        assert isinstance(said, Membership)
        if said.site not in self._sites:
            return self.failed("site", f"providers.yaml has no membership site {said.site!r} any more", blames=MESSAGE)
        site = self._sites[said.site]
        thing = said.site, said.contact, said.level
        try:
            async with asyncio.timeout(self._timeout_s), self._order.turn(thing, thing, dispatch.effect) as instead:
                result = instead or await self._calls.call(Request(method="POST", url=site.url, body=_json(said)), site.key, dispatch.effect.id)
        except TimeoutError:
            return self.failed("answer", "no answer in time", blames=DEST)
        if result.state == REJECTED and result.data.get("status") == UNSIGNED:
            return Result(state=CREDENTIALS, reason=clean(f"{said.site}: {result.reason}"), blames=DEST)
        return result

    async def close(self) -> None:
        await self._session.close()


def _json(said: Membership) -> str:
    """The body: names only where they are known."""
    return json_body({name: value for name, value in msgspec.to_builtins(said).items() if value or name == "email"}).decode()
