"""Lob: what each of its answers means, and what its webhooks bring back. That requests are what it documents is checked at Prism."""

from __future__ import annotations

import hmac
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actions.feedback import about, read_about
from actions.lob_events import FIRST_KEY, VALUE_CHARS_MAX, metadata_of, token_in
from actions.messages import Postcard
from actions.providers.lob import Lob, LobSettings
from actions.providers.provider import CREDENTIALS, DEFERRED, DELIVERED, REJECTED, UNKNOWN, Dispatch, House, Inbound, Result, Unreadable, Unsigned
from actions.providers.registry import make_provider
from engine.config import Config
from engine.core.effects import Effect
from engine.core.errors import InvalidConfig
from tests.conformance.benches.lob import error
from tests.providers.http_server import HttpServer

NOW_MS = 1_767_603_600_000
NOW_S = NOW_MS // 1_000
HOUSE = House(config=Config(send_timeout_ms=2_000), clock=lambda: NOW_MS, secret="link-secret")
TO = {"name": "Ann Lee", "address1": "210 King St", "city": "San Francisco", "state": "CA", "zip": "94107", "country": "US"}


def effect(contact: str = "ann") -> Effect:
    return Effect("e" * 32, contact, "send_postcard", "postcard", "b", "", "m", 1, "card", 7, 1, 1, 1, NOW_MS)


@asynccontextmanager
async def lob(**settings: Any) -> AsyncIterator[Any]:
    provider = make_provider("postcard", {"provider": "lob", "key": "env:KEY", **settings}, HOUSE, {"KEY": "test_k3y"})
    try:
        yield provider
    finally:
        await provider.close()


async def send(url: str, card: Postcard | None = None, **settings: Any) -> Result:
    results: list[Result] = []
    async with lob(base_url=url, **settings) as provider:
        dispatch = Dispatch(effect(), card or Postcard(to=TO, front="<b>front</b>", back="tmpl_1", size="6x9"))
        await provider.send([dispatch], lambda _, result: results.append(result))
    return results[0]


async def test_the_request() -> None:
    async with HttpServer({"id": "psc_1", "expected_delivery_date": "2026-01-12"}) as server:
        result = await send(f"{server.url}/", **{"from": {"name": "Shop", "address1": "1 Main", "city": "Reno", "state": "NV", "zip": 89501}})
    assert (result.state, result.data) == (DELIVERED, {"postcard": "psc_1", "expected": "2026-01-12"})
    [request] = server.requests
    assert (request["method"], request["path"]) == ("POST", "/v1/postcards")
    assert b64decode(request["headers"]["Authorization"].removeprefix("Basic ")) == b"test_k3y:"
    assert request["headers"]["Idempotency-Key"] == "e" * 32
    body = json.loads(request["body"])
    assert body["to"] == {
        "name": "Ann Lee",
        "address_line1": "210 King St",
        "address_city": "San Francisco",
        "address_state": "CA",
        "address_zip": "94107",
        "address_country": "US",
    }
    assert body["from"]["address_line1"] == "1 Main"
    assert (body["front"], body["back"], body["size"], body["use_type"]) == ("<b>front</b>", "tmpl_1", "6x9", "marketing")
    found = read_about("link-secret", token_in(body["metadata"]))
    assert found is not None
    assert (found.contact, found.effect, found.element, found.enrollment) == ("ann", "e" * 32, "card", 7)


@pytest.mark.parametrize(
    ("status", "headers", "code", "state", "counts", "wait_ms"),
    [
        (429, {"Retry-After": "3"}, "rate_limit_exceeded", DEFERRED, False, 3_000),
        (429, {"X-Rate-Limit-Reset": str(NOW_S + 20)}, "rate_limit_exceeded", DEFERRED, False, 20_000),
        (429, {"RateLimit-Reset": str(NOW_S + 5)}, "rate_limit_exceeded", DEFERRED, False, 5_000),
        (429, {"X-Rate-Limit-Reset": str(NOW_S - 20)}, "rate_limit_exceeded", DEFERRED, False, 0),
        (429, {"X-Rate-Limit-Reset": "soon"}, "rate_limit_exceeded", DEFERRED, False, 0),
        (503, {}, "service_unavailable", DEFERRED, True, 0),
        (500, {}, "internal_server_error", UNKNOWN, True, 0),
        (502, {}, "", UNKNOWN, True, 0),
        (408, {}, "", UNKNOWN, True, 0),
        (401, {}, "unauthorized", CREDENTIALS, True, 0),
        (403, {}, "forbidden", CREDENTIALS, True, 0),
        (422, {}, "failed_deliverability_strictness", REJECTED, True, 0),
        (404, {}, "not_found", REJECTED, True, 0),
        (302, {"Location": "http://127.0.0.1:1/"}, "", REJECTED, True, 0),
    ],
)
async def test_answers(status: int, headers: dict[str, str], code: str, state: str, counts: bool, wait_ms: int) -> None:
    async with HttpServer() as server:
        server.behave = (status, headers, error(code, "says why", status) if code else "<html>")
        result = await send(server.url)
    assert (result.state, result.counts, result.retry_after_ms) == (state, counts, wait_ms)
    assert code in result.reason
    assert str(status) in result.reason
    assert len(server.requests) == 1


async def test_an_answer_that_breaks_off_after_its_status_is_a_delivery() -> None:
    async with HttpServer() as server:
        server.behave = "half"
        assert (await send(server.url)).state == DELIVERED


async def test_abroad_needs_a_return_address() -> None:
    card = Postcard(to={**TO, "country": "DE"}, front="<b>", back="<b>")
    async with HttpServer() as server:
        result = await send(server.url, card)
        assert (result.state, result.reason) == (REJECTED, "Lob needs `from` in providers.yaml for addresses outside the US")
        assert (await send(server.url, card, **{"from": "adr_1"})).state == DELIVERED
    assert [json.loads(request["body"])["from"] for request in server.requests] == ["adr_1"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"base_url": "ftp://x"}, "base_url"),
        ({"key": "a\nb"}, "key"),
        ({"connections": 0}, "connections"),
        ({"countries": ["USA"]}, "two letters"),
        ({"countries": "US"}, "array"),
        ({"from": "Shop <shop@example.com>"}, "adr_"),
        ({"from": {"name": "Shop"}}, "address1"),
        ({"from": {"name": "S", "address1": "1", "city": "R", "state": "NV", "zip": "1", "line3": "x"}}, "line3"),
        ({"use_type": "fun"}, "use_type"),
        ({"keys": 1}, "unknown setting"),
    ],
)
async def test_settings_that_cannot_work(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidConfig, match=says) as raised:
        async with lob(**settings):
            pass
    assert "k3y" not in str(raised.value)


def test_a_token_of_any_length_travels_in_metadata() -> None:
    for contact in ("ann", "ü" * 256):
        token = about("link-secret", effect(contact))
        metadata = metadata_of(token)
        assert all(len(value) <= VALUE_CHARS_MAX and not set(value) & set('"\\') for value in metadata.values())
        assert token_in({**metadata, "other": "x"}) == token
    assert len(metadata) > 1
    assert token_in({}) == token_in({"other": "x"}) == ""


# -- what comes back -------------------------------------------------------------------------------------------------------

SETTINGS = LobSettings(key="k", webhook_secret="hook-secret")
TOKEN = about("link-secret", effect())


def event(kind: str, metadata: dict[str, str] | None = None) -> bytes:
    body = {"id": "psc_1", "metadata": {FIRST_KEY: TOKEN} if metadata is None else metadata}
    return json.dumps({"id": "evt_1", "event_type": {"id": kind}, "date_created": "2026-01-05T09:00:00.000Z", "body": body}).encode()


def inbound(body: bytes, *, secret: str = "hook-secret", stamp_ms: int = NOW_MS, **headers: str) -> Inbound:
    digest = hmac.new(secret.encode(), f"{stamp_ms}.".encode() + body, "sha256").hexdigest()
    found = {"lob-signature": digest, "lob-signature-timestamp": str(stamp_ms), **headers}
    return Inbound(url="https://x/v1/callbacks/lob", headers=found, body=body)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("postcard.mailed", "postcard.mailed"),
        ("postcard.processed_for_delivery", "postcard.arriving"),
        ("postcard.delivered", "postcard.delivered"),
        ("postcard.re-routed", "postcard.rerouted"),
        ("postcard.returned_to_sender", "postcard.returned"),
        ("postcard.failed", "postcard.failed"),
        ("postcard.viewed", "postcard.viewed"),
    ],
)
async def test_an_event_is_told_to_its_contact(kind: str, name: str) -> None:
    [heard] = (await Lob.receive(SETTINGS, inbound(event(kind)), HOUSE)).heard
    assert (heard.about, heard.event, heard.id, heard.time) == (TOKEN, name, "lob:evt_1", NOW_MS)
    assert heard.data == {"postcard": "psc_1", "provider_event": kind}
    assert not heard.status, "the effect was settled when Lob took it"


@pytest.mark.parametrize(
    "body",
    [
        event("postcard.rendered_pdf"),
        event("letter.mailed"),
        event("postcard.mailed", {}),
        event("postcard.mailed").replace(b'{"wayfare', b'null, "x": {"wayfare'),
        event("postcard.mailed", {"campaign": "x"}),
    ],
)
async def test_what_is_no_news_is_acknowledged(body: bytes) -> None:
    assert (await Lob.receive(SETTINGS, inbound(body), HOUSE)).heard == []


@pytest.mark.parametrize(
    "wrong",
    [
        inbound(event("postcard.mailed"), secret="other"),
        inbound(event("postcard.mailed"), stamp_ms=NOW_MS - 6 * 60_000),
        inbound(event("postcard.mailed"), stamp_ms=NOW_MS + 6 * 60_000),
        inbound(event("postcard.mailed"), **{"lob-signature": "é"}),
        inbound(event("postcard.mailed"), **{"lob-signature-timestamp": "now"}),
        Inbound(url="", headers={}, body=event("postcard.mailed")),
    ],
)
async def test_what_lob_did_not_sign_is_refused(wrong: Inbound) -> None:
    with pytest.raises(Unsigned) as raised:
        await Lob.receive(SETTINGS, wrong, HOUSE)
    assert "hook-secret" not in str(raised.value)


async def test_without_a_secret_nothing_is_believed() -> None:
    with pytest.raises(Unsigned):
        await Lob.receive(LobSettings(key="k"), inbound(event("postcard.mailed"), secret=""), HOUSE)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"id": 5}', b'{"id": "evt_1", "event_type": "postcard.mailed"}', b"\xff"])
async def test_what_cannot_be_read_is_said_so(body: bytes) -> None:
    with pytest.raises(Unreadable):
        await Lob.receive(SETTINGS, inbound(body), HOUSE)
