"""WordPress sites: a level of access is a role of the user with the contact's address, given or taken over the REST API.

The API replaces all roles of a user at once and has no compare-and-set. So each effect looks, writes what differs, and looks again until the
site shows what was wanted; within this process a user's effects go one after the other. What is set is a state and not a step, so a repetition
does no harm: `at_least_once`, the default, is right here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import urlsplit

import aiohttp
import msgspec

from actions.http_client import make_session
from actions.in_order import InOrder
from actions.messages import Access
from actions.providers import provider
from actions.providers.provider import DEFERRED, DELIVERED, DEST, MESSAGE, UNKNOWN, Dispatch, House, Provider, Report, Result, each, rejected
from actions.wordpress_api import Refused, WordpressApi
from engine.core.errors import InvalidConfig

ROUNDS_MAX = 4  # of looking and writing, where somebody else writes to the same user


class WordpressSettings(provider.Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one site. `password` is an application password of an administrator, `levels` says which role is which level.

    `rest_path` is for sites that answer at `/wp-json` only; `connections` bounds how many requests are under way.
    """

    base_url: str
    username: str
    password: str
    levels: dict[str, str]
    rest_path: str = ""
    connections: int = 8

    def __post_init__(self) -> None:
        """ValueError, which is reported as a problem of the document, where levels could not be independent."""
        roles = list(self.levels.values())
        if not all(roles) or len(set(roles)) < len(roles):
            raise ValueError("each level needs a role of its own")


def _check(name: str, settings: WordpressSettings) -> None:
    """Raises InvalidConfig where they can't work."""
    parts = urlsplit(settings.base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
        raise InvalidConfig(f"{name}: base_url must be an http or https URL without a query, not {settings.base_url!r}")
    if not settings.password.isprintable() or not settings.username.isprintable() or ":" in settings.username or not settings.username:
        raise InvalidConfig(f"{name}: username and password must be plain text")
    if not 1 <= settings.connections <= 1_024:
        raise InvalidConfig(f"{name}: connections must be 1 to 1024")


class _Site:
    """A site as it is used: its API, its roles, its places."""

    def __init__(self, settings: WordpressSettings, session: aiohttp.ClientSession, house: House) -> None:
        authorization = aiohttp.encode_basic_auth(settings.username, settings.password, "utf-8")
        self.api = WordpressApi(settings.base_url, settings.rest_path, authorization, session, house.clock, Wordpress.failed)
        self.levels = settings.levels
        self.places = asyncio.Semaphore(settings.connections)


class _Progress:
    """How far an effect has come: what a failure means depends on it."""

    def __init__(self) -> None:
        self.writing = False  # a write is under way, or done
        self.wrote = False  # a write was answered


class Wordpress(Provider):
    name = "wordpress"
    channel = "wordpress"
    Settings = WordpressSettings
    honours_key = True  # the state is the key: a second dispatch finds it and writes nothing
    by_site = True
    by_host = True
    not_accepted = frozenset({"connect", "busy", "look", "page", "role", "site"})

    def __init__(self, settings: dict[str, WordpressSettings], house: House) -> None:
        for name, one in settings.items():
            _check(name, one)
        self._timeout_s = house.config.send_timeout_ms / 1_000
        self._session = make_session(house.config.send_timeout_ms, 0, public_only=False)
        self._sites = {name: _Site(one, self._session, house) for name, one in settings.items()}
        self._order = InOrder(house.config.decisions_remembered_max, self._timeout_s / 2)

    async def send(self, dispatches: Sequence[Dispatch], report: Report) -> None:
        await each(dispatches, self._set, report)

    async def _set(self, dispatch: Dispatch) -> Result:
        access = dispatch.message
        assert isinstance(access, Access)
        site = self._sites.get(access.site)
        if site is None or access.level not in site.levels:
            return self.failed("site", f"providers.yaml has no level {access.level!r} of a site {access.site!r} any more", blames=MESSAGE)
        user, progress = (access.site, access.email.casefold()), _Progress()
        try:
            async with asyncio.timeout(self._timeout_s), self._order.turn(user, (*user, access.level), dispatch.effect, site.places) as instead:
                return instead or await self._agree(site, access, progress)
        except Refused as refused:
            result = refused.result
            return msgspec.structs.replace(result, state=UNKNOWN) if progress.wrote and result.state == DEFERRED else result
        except TimeoutError:
            return self.failed("answer" if progress.writing else "look", "no answer in time", blames=DEST)

    async def _agree(self, site: _Site, access: Access, progress: _Progress) -> Result:
        """Look and write until the site has what is wanted. Raises Refused."""
        role = site.levels[access.level]
        hidden = False
        for _ in range(ROUNDS_MAX):
            user = await site.api.find(access.email)
            if user is None and not access.give:
                return Result(state=DELIVERED)
            if user is not None and (role in user.roles) == access.give:
                return Result(state=DELIVERED, data={"user": user.id})
            progress.writing = True
            if user is not None:
                await site.api.write(user, [*(one for one in user.roles if one != role), *([role] if access.give else [])])
            elif not await site.api.create(access.email, role, _names(access)):
                if hidden:
                    return rejected("the site has a user with this address, but shows none: perhaps it is one of another site of a network")
                hidden = True
            progress.wrote = True
        return self.failed("answer", f"the user's roles did not stay as they were written, {ROUNDS_MAX} times", blames=MESSAGE)

    async def close(self) -> None:
        await self._session.close()


def _names(access: Access) -> dict[str, str]:
    return {key: value for key in ("first_name", "last_name", "name") if (value := getattr(access, key))}
