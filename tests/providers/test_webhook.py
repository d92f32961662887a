"""Webhooks: signatures that Standard Webhooks' own library accepts, and no way into our own network."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from actions.http_client import is_public, retry_after_ms
from actions.messages import Request
from actions.providers.provider import DEFERRED, DELIVERED, REJECTED, Dispatch, House, Result
from actions.providers.registry import make_provider
from engine.config import Config
from engine.core.effects import Effect
from engine.core.errors import InvalidConfig
from tests.providers.http_server import HttpServer

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def dispatch(url: str, number: int = 1, **changes: Any) -> Dispatch:
    effect = Effect(f"{number:032x}", "ann", "send_webhook", "webhook", "b", "127.0.0.1", "m", 1, "e", 1, 1, 1, 1, 1_767_603_600_000)
    return Dispatch(effect, Request(**({"method": "POST", "url": url, "body": '{"a": "\u00e4"}'} | changes)))


@asynccontextmanager
async def webhook(*, secret: str = SECRET, private: bool = True, timeout_ms: int = 5_000) -> AsyncIterator[Any]:
    house = House(config=Config(send_timeout_ms=timeout_ms), clock=lambda: int(time.time() * 1_000))
    provider = make_provider("webhook", {"secret": "env:HOOK", "allow_private": private}, house, {"HOOK": secret})
    try:
        yield provider
    finally:
        await provider.close()


async def send(provider: Any, *dispatches: Dispatch) -> list[Result]:
    results: dict[str, Result] = {}
    await provider.send(dispatches, lambda one, result: results.__setitem__(one.effect.id, result))
    return [results[one.effect.id] for one in dispatches]


@pytest.mark.parametrize("secret", [SECRET, "any other text"])
async def test_the_signature_holds_and_the_id_stays(secret: str) -> None:
    async with HttpServer() as server, webhook(secret=secret) as provider:
        for _ in range(2):
            [result] = await send(provider, dispatch(f"{server.url}/hook?x=1"))
            assert result.state == DELIVERED
    for request in server.requests:
        headers = {name.lower(): value for name, value in request["headers"].items()}
        verifier = Verifier(secret if secret.startswith("whsec_") else secret.encode())
        assert verifier.verify(request["body"], headers) == {"a": "\u00e4"}
        assert headers["webhook-id"] == f"{1:032x}"
        assert headers["content-type"] == "application/json"
        assert request["path"] == "/hook?x=1"
        with pytest.raises(WebhookVerificationError):
            verifier.verify(request["body"] + b" ", headers)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_every_method_with_headers_and_body(method: str) -> None:
    async with HttpServer() as server, webhook() as provider:
        [result] = await send(provider, dispatch(f"{server.url}/", method=method, headers={"X-Shop": "one", "content-type": "text/plain"}, body="hi"))
    assert result.state == DELIVERED
    request = server.requests[0]
    assert (request["method"], request["body"], request["headers"]["X-Shop"]) == (method, b"hi", "one")
    assert [value for name, value in request["headers"].items() if name.lower() == "content-type"] == ["text/plain"]


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (200, DELIVERED),
        (204, DELIVERED),
        (301, REJECTED),
        (400, REJECTED),
        (401, REJECTED),
        (404, REJECTED),
        (410, REJECTED),
        (408, DEFERRED),
        (425, DEFERRED),
        (429, DEFERRED),
        (500, DEFERRED),
        (502, DEFERRED),
        (503, DEFERRED),
    ],
)
async def test_what_a_status_means(status: int, state: str) -> None:
    async with HttpServer() as server, webhook() as provider:
        server.behave = (status, {"Location": f"{server.url}/elsewhere", "Retry-After": "3"}, "")
        [result] = await send(provider, dispatch(f"{server.url}/hook"))
    assert result.state == state
    assert len(server.requests) == 1, "a redirect is not followed"
    assert result.retry_after_ms == (3_000 if state == DEFERRED else 0)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://[::1]/",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
        "http://192.168.1.1/",
        "http://[::ffff:127.0.0.1]/",
        "http://2130706433/",
        "http://127.1/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://0.0.0.0/",
        "http://[::]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[fe80::1%25lo]/",
        "http://[fd00:ec2::254]/",
        "http://224.0.0.1/",
        "http://user@127.0.0.1/",
        "http://LOCALHOST/",
        "file:///etc/passwd",
        "ftp://example.com/",
        "//example.com/",
        "http://",
        "http:///x",
        "javascript:alert(1)",
        "http://[::1",
        "not a url",
        "",
    ],
)
async def test_our_own_network_is_out_of_reach(url: str) -> None:
    async with HttpServer() as server, webhook(private=False) as provider:
        with_port = (
            url.replace("127.0.0.1/", f"127.0.0.1:{server.port}/").replace("localhost/", f"localhost:{server.port}/").replace("127.1/", f"127.1:{server.port}/")
        )
        [result] = await send(provider, dispatch(with_port))
    assert result.state == REJECTED, result
    assert not server.requests


async def test_a_name_that_points_inside_is_refused_when_it_is_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """A public name with a private address, also when it changes between the check and the connection."""
    from actions import http_client

    async with HttpServer() as server, webhook(private=False) as provider:
        resolver = provider._session.connector._resolver
        inside = [{"hostname": "hooks.example", "host": "127.0.0.1", "port": server.port, "family": 2, "proto": 6, "flags": 0}]

        async def inner(host: str, port: int, family: Any) -> list[dict[str, Any]]:
            return inside

        monkeypatch.setattr(resolver._inner, "resolve", inner)
        [first] = await send(provider, dispatch(f"http://hooks.example:{server.port}/"))
        monkeypatch.setattr(resolver, "resolve", inner)  # past the resolver: the socket is the last guard
        [second] = await send(provider, dispatch(f"http://other.example:{server.port}/"))
        monkeypatch.setattr(http_client, "is_public", lambda _: True)
        [third] = await send(provider, dispatch(f"http://third.example:{server.port}/"))
    assert [first.state, second.state, third.state] == [REJECTED, REJECTED, DELIVERED], "the third shows that the way was open"
    assert "not a public address" in first.reason


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("100.64.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
        ("no address", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil"},
        {"X": "a\r\nY: b"},
        {"X\r\nY": "b"},
        {"Content-Length": "0"},
        {"webhook-id": "mine"},
        {"": "x"},
        {"X": "a\x00"},
        {"Transfer-Encoding": "chunked"},
    ],
)
async def test_headers_that_would_change_the_request_are_refused(headers: dict[str, str]) -> None:
    async with HttpServer() as server, webhook() as provider:
        [result] = await send(provider, dispatch(f"{server.url}/", headers=headers))
    assert result.state == REJECTED
    assert not server.requests


@pytest.mark.parametrize("path", ["/in/../admin", "/in/%2e%2e/admin", "/..", "/in/./x", "/in/.%2E/x?y"])
async def test_a_merge_field_cannot_choose_another_path(path: str) -> None:
    async with HttpServer() as server, webhook() as provider:
        [result, fine] = await send(provider, dispatch(f"{server.url}{path}"), dispatch(f"{server.url}/in/a..b/.x?to=../y", 2))
    assert (result.state, fine.state) == (REJECTED, DELIVERED)
    assert "`..`" in result.reason
    assert [request["path"] for request in server.requests] == ["/in/a..b/.x?to=../y"]


async def test_an_answer_without_end_is_not_read() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while not writer.is_closing():
                writer.write(b"x" * 65_536)
                await writer.drain()
        except ConnectionError:
            pass

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    async with webhook() as provider:
        [result] = await asyncio.wait_for(send(provider, dispatch(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")), 5)
    server.close()
    assert result.state == DELIVERED


async def test_an_answer_cut_off_after_its_status_counts() -> None:
    async with HttpServer() as server, webhook() as provider:
        server.behave = "half"
        assert [result.state for result in await send(provider, dispatch(f"{server.url}/"))] == [DELIVERED]


async def test_no_such_host_is_tried_again() -> None:
    async with webhook() as provider:
        [result] = await send(provider, dispatch("http://no-such-host.invalid/"))
    assert (result.state, result.blames) == (DEFERRED, "dest")


def test_retry_after_as_seconds_date_or_nonsense() -> None:
    assert retry_after_ms("120", 0) == 120_000
    assert retry_after_ms("Mon, 05 Jan 2026 09:00:10 GMT", 1_767_603_600_000) == 10_000
    assert retry_after_ms("Mon, 05 Jan 2020 09:00:10 GMT", 1_767_603_600_000) == 0
    assert [retry_after_ms(value, 0) for value in (None, "", "soon", "-5", "1e9", "\u00b2")] == [0] * 6
    assert retry_after_ms("9" * 50, 0) == 10**12


@pytest.mark.parametrize("secret", ["whsec_", "whsec_\u00e4", "whsec_a"])
def test_a_secret_that_is_none_is_said_without_showing_it(secret: str) -> None:
    with pytest.raises(InvalidConfig, match="secret") as error:
        make_provider("webhook", {"secret": "env:HOOK"}, House(config=Config(), clock=lambda: 0), {"HOOK": secret})
    assert secret not in str(error.value).replace("whsec_ is", "").replace("follows whsec_", "")
