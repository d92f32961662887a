"""Membership sites: each is told with its own secret, in the order of the decisions, and a refused signature stops that site alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from actions.messages import Membership
from actions.providers.provider import CREDENTIALS, DEFERRED, DELIVERED, DEST, REJECTED, UNKNOWN, Dispatch, House, Result
from actions.providers.registry import make_provider
from engine.config import Config
from engine.core.effects import Effect
from engine.core.errors import InvalidConfig
from tests.providers.http_server import HttpServer

SECRETS = {"academy": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "forum": "another text"}
NOW_MS = int(time.time() * 1_000)


def dispatch(site: str = "academy", hop: int = 1, **changes: Any) -> Dispatch:
    effect = Effect(f"{hop:032x}", "ann", "update_membership", "membership", "t", site, "m", 1, "e", 1, hop, 0, 1, NOW_MS + hop)
    said = {"contact": "ann", "email": "ann@example.com", "site": site, "level": "gold", "status": "enabled", "decided_ms": NOW_MS + hop}
    return Dispatch(effect, Membership(**(said | changes)))


@asynccontextmanager
async def sites(*servers: HttpServer, timeout_ms: int = 5_000) -> AsyncIterator[Any]:
    house = House(config=Config(send_timeout_ms=timeout_ms), clock=lambda: int(time.time() * 1_000))
    block = {name: {"url": f"{server.url}/access", "secret": f"env:{name}"} for name, server in zip(SECRETS, servers, strict=False)}
    provider = make_provider("membership", block, house, SECRETS)
    try:
        yield provider
    finally:
        await provider.close()


async def send(provider: Any, *dispatches: Dispatch) -> list[Result]:
    results: dict[str, Result] = {}
    await provider.send(dispatches, lambda one, result: results.__setitem__(one.effect.id, result))
    return [results[one.effect.id] for one in dispatches]


def verified(request: dict[str, Any], secret: str) -> Any:
    verifier = Verifier(secret if secret.startswith("whsec_") else secret.encode())
    return verifier.verify(request["body"], {name.lower(): value for name, value in request["headers"].items()})


async def test_each_site_gets_what_it_is_told_with_its_own_signature() -> None:
    async with HttpServer() as academy, HttpServer() as forum, sites(academy, forum) as provider:
        one = dispatch(first_name="Ann")
        for _ in range(2):
            [result] = await send(provider, one)
            assert result.state == DELIVERED
        [result] = await send(provider, dispatch("forum", 2, email=""))
        assert result.state == DELIVERED
    told = {"contact": "ann", "email": "ann@example.com", "site": "academy", "level": "gold", "status": "enabled", "decided_ms": NOW_MS + 1}
    for request in academy.requests:
        assert verified(request, SECRETS["academy"]) == {**told, "first_name": "Ann"}
        assert (request["method"], request["path"], request["headers"]["webhook-id"]) == ("POST", "/access", f"{1:032x}")
    assert verified(forum.requests[0], SECRETS["forum"]) == {**told, "site": "forum", "email": "", "decided_ms": NOW_MS + 2}
    with pytest.raises(WebhookVerificationError):
        verified(forum.requests[0], SECRETS["academy"])


async def test_calls_about_one_level_arrive_in_the_order_of_their_decisions() -> None:
    async with HttpServer() as server, sites(server) as provider:
        server.behave = "slow"
        statuses = ["enabled", "suspended", "enabled", "disabled"]
        results = await send(provider, *(dispatch(hop=hop, status=status) for hop, status in enumerate(statuses)))
    assert {result.state for result in results} == {DELIVERED}
    assert [msgspec.json.decode(request["body"])["status"] for request in server.requests] == statuses


async def test_an_older_decision_never_comes_after_a_newer_one() -> None:
    async with HttpServer() as server, sites(server) as provider:
        server.behave = (503, {}, "later")
        [result] = await send(provider, dispatch(hop=1))
        assert result.state == DEFERRED
        server.behave = ""
        results = await send(provider, dispatch(hop=2, status="disabled"), dispatch(hop=3, level="silver"))
        assert {result.state for result in results} == {DELIVERED}
        [result] = await send(provider, dispatch(hop=1))
    assert (result.state, result.reason) == (REJECTED, "superseded: a later decision about the same access came first")
    assert len(server.requests) == 3


async def test_a_refused_signature_stops_its_site_and_names_it() -> None:
    async with HttpServer() as academy, HttpServer() as forum, sites(academy, forum) as provider:
        academy.behave = (401, {}, "bad signature")
        results = await send(provider, dispatch(), dispatch("forum", 2))
    assert [(result.state, result.blames) for result in results] == [(CREDENTIALS, DEST), (DELIVERED, "message")]
    assert results[0].reason.startswith("academy: 401")


@pytest.mark.parametrize("status", [302, 403, 404, 410, 422])
async def test_a_refusal_is_of_this_message(status: int) -> None:
    async with HttpServer() as server, sites(server) as provider:
        server.behave = (status, {"Location": "http://127.0.0.1:1/"}, "no")
        [result] = await send(provider, dispatch())
    assert result.state == REJECTED
    assert str(status) in result.reason


async def test_what_waits_for_an_earlier_call_was_not_sent() -> None:
    async with HttpServer() as server, sites(server, timeout_ms=300) as provider:
        server.behave = "silence"
        first, second = await asyncio.gather(send(provider, dispatch(hop=1)), send(provider, dispatch(hop=2)))
    assert [first[0].state, second[0].state, second[0].counts] == [UNKNOWN, DEFERRED, False]
    assert len(server.requests) == 1


async def test_a_site_that_is_gone_from_the_settings_may_come_back() -> None:
    async with HttpServer() as server, sites(server) as provider:
        [result] = await send(provider, dispatch("old"))
    assert (result.state, result.blames) == (DEFERRED, "message")
    assert "no membership site 'old'" in result.reason


@pytest.mark.parametrize(
    ("block", "says"),
    [
        ({"url": "ftp://x.y", "secret": "s"}, "academy: url must be an http or https URL"),
        ({"url": "https://x.y", "secret": ""}, "academy: secret is empty"),
        ({"url": "https://x.y"}, "academy: Object missing required field `secret`"),
        ({"url": "https://x.y", "secret": "env:NOBODY"}, "the environment variable NOBODY is not set"),
        ({"url": "https://x.y", "secret": "s", "sercet": "s"}, "unknown setting 'sercet' (did you mean \"secret\"?)"),
    ],
)
async def test_settings_that_cannot_work_say_why(block: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        make_provider("membership", {"academy": block}, House(config=Config(), clock=lambda: 0), {})
    assert says in str(caught.value)
