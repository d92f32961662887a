"""Twilio: the request that its API expects, and what each of its answers means."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from actions.feedback import read_about
from actions.messages import Sms
from actions.providers.provider import CREDENTIALS, DEFERRED, DELIVERED, REJECTED, UNKNOWN, Dispatch, House, Result
from actions.providers.registry import make_provider
from engine.config import Config
from engine.core.effects import Effect
from engine.core.errors import InvalidConfig
from tests.providers.http_server import HttpServer


def dispatch(text: str = "Hello \u00e4 & b=c", sender: str = "+12025550100") -> Dispatch:
    effect = Effect("e" * 32, "ann", "send_sms", "sms", "b", "", "m", 1, "e", 1, 1, 1, 1, 1_767_603_600_000)
    return Dispatch(effect, Sms(to="+12025550199", sender=sender, text=text))


@asynccontextmanager
async def twilio(url: str) -> AsyncIterator[Any]:
    house = House(config=Config(send_timeout_ms=2_000), clock=lambda: 0)
    provider = make_provider("sms", {"provider": "twilio", "base_url": url + "/", "account": "AC1", "token": "env:TOKEN"}, house, {"TOKEN": "t0ken"})
    try:
        yield provider
    finally:
        await provider.close()


async def send(provider: Any, one: Dispatch) -> Result:
    results: list[Result] = []
    await provider.send([one], lambda _, result: results.append(result))
    [result] = results
    return result


async def test_the_request_is_the_one_of_the_api() -> None:
    async with HttpServer({"sid": "SM123", "status": "queued"}) as server, twilio(server.url) as provider:
        result = await send(provider, dispatch())
        await send(provider, dispatch(sender="MG" + "0" * 32))
    assert (result.state, result.data) == (DELIVERED, {"sid": "SM123"})
    first, second = server.requests
    assert (first["method"], first["path"]) == ("POST", "/2010-04-01/Accounts/AC1/Messages.json")
    assert b64decode(first["headers"]["Authorization"].removeprefix("Basic ")) == b"AC1:t0ken"
    assert first["headers"]["Content-Type"] == "application/x-www-form-urlencoded"
    assert parse_qs(first["body"].decode()) == {"To": ["+12025550199"], "From": ["+12025550100"], "Body": ["Hello \u00e4 & b=c"]}
    assert parse_qs(second["body"].decode())["MessagingServiceSid"] == ["MG" + "0" * 32]


@pytest.mark.parametrize(
    ("status", "code", "state"),
    [
        (400, 21211, REJECTED),
        (400, 21610, REJECTED),
        (400, 21614, REJECTED),
        (400, 0, REJECTED),
        (301, 0, REJECTED),
        (401, 20003, CREDENTIALS),
        (403, 20003, CREDENTIALS),
        (403, 20005, CREDENTIALS),
        (404, 20404, CREDENTIALS),
        (429, 20429, DEFERRED),
        (400, 21611, DEFERRED),
        (500, 20500, DEFERRED),
        (503, 0, DEFERRED),
        (502, 0, UNKNOWN),
        (504, 0, UNKNOWN),
    ],
)
async def test_what_an_answer_means(status: int, code: int, state: str) -> None:
    async with HttpServer() as server, twilio(server.url) as provider:
        server.behave = (status, {"Retry-After": "5"}, f'{{"code": {code}, "message": "said so"}}' if code else "<html>")
        result = await send(provider, dispatch())
    assert result.state == state
    assert result.retry_after_ms == (5_000 if state == DEFERRED else 0)
    assert str(code or status) in result.reason
    assert result.counts is (code not in {20429, 21611}), "our own pace is no failed attempt of a message"


async def test_a_text_that_twilio_never_takes_is_not_sent() -> None:
    async with HttpServer() as server, twilio(server.url) as provider:
        assert (await send(provider, dispatch("x" * 1_601))).state == REJECTED
    assert not server.requests


@pytest.mark.parametrize(
    "settings", [{"base_url": "ftp://x"}, {"base_url": ""}, {"connections": 0}, {"account": "a:b"}, {"token": "a\nb"}, {"account": None}, {"tokn": "x"}]
)
def test_settings_that_cannot_work_are_said(settings: dict[str, Any]) -> None:
    block = {"provider": "twilio", "account": "AC1", "token": "t0ken", **settings}
    with pytest.raises(InvalidConfig, match=r"providers\.yaml: sms: ") as error:
        make_provider("sms", block, House(config=Config(), clock=lambda: 0), {})
    assert "t0ken" not in str(error.value)


async def test_its_status_is_called_back_where_the_public_address_is_known() -> None:
    house = House(config=Config(public_url="https://shop.example.com/"), clock=lambda: 0, secret="s3cret")
    async with HttpServer({"sid": "SM123"}) as server:
        provider = make_provider("sms", {"provider": "twilio", "base_url": server.url, "account": "AC1", "token": "t"}, house, {})
        await send(provider, dispatch())
        await provider.close()
    url = urlsplit(parse_qs(server.requests[0]["body"].decode())["StatusCallback"][0])
    assert (url.scheme, url.netloc, url.path) == ("https", "shop.example.com", "/v1/callbacks/twilio")
    found = read_about("s3cret", parse_qs(url.query)["about"][0])
    assert found is not None
    assert (found.contact, found.effect) == ("ann", "e" * 32)


@pytest.mark.parametrize(("consent", "facts"), [("sms", [["unsubscribed", {"channel": "sms"}]]), ("", None)])
async def test_who_opted_out_at_twilio_is_unsubscribed(consent: str, facts: Any) -> None:
    one = dispatch()
    one.effect.consent = consent  # "": a notice to the team, whose number says nothing about the contact
    async with HttpServer() as server, twilio(server.url) as provider:
        server.behave = (400, {}, '{"code": 21610, "message": "unsubscribed recipient"}')
        result = await send(provider, one)
    assert (result.state, result.data.get("events")) == (REJECTED, facts)
