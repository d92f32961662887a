"""Postcards at Prism, which checks each request against what Lob documents (lob.openapi.yaml, a transcription), and beside Lob's official client."""

from __future__ import annotations

import asyncio
import hmac
import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from actions.feedback import about
from actions.messages import Postcard
from actions.providers.provider import DELIVERED, REJECTED, Dispatch, House, Provider, Result
from actions.providers.registry import make_provider
from engine.codec import decode_contact
from engine.config import Config
from engine.core.effects import Effect, effect_id
from tests.counterparts.needs import needs, path_of
from tests.counterparts.prism import Prism, start
from tests.counterparts.proofs import proves
from tests.end_to_end.ring import Ring, running, until
from tests.providers.http_server import HttpServer

pytestmark = needs("prism")

DOCUMENT = Path(__file__).with_name("lob.openapi.yaml")
TO = {"name": "Ann Lee", "address1": "210 King St", "address2": "# 6100", "city": "San Francisco", "state": "CA", "zip": "94107-1702", "country": "US"}
ABROAD = {"name": "Zoë Ångström", "address1": "Straße 5", "city": "Berlin", "zip": "10115", "country": "DE"}
SHOP = {"name": "Shop", "address1": "1 Main St", "city": "Reno", "state": "NV", "zip": "89501"}
HTML = "<html><body>Hello</body></html>"


@pytest.fixture(scope="module")
def prism() -> Iterator[Prism]:
    with start(DOCUMENT) as running_prism:
        yield running_prism


@asynccontextmanager
async def lob(url: str, **settings: Any) -> Any:
    house = House(config=Config(), clock=lambda: int(time.time() * 1_000), secret="link-secret")
    provider = make_provider("postcard", {"provider": "lob", "base_url": url, "key": "test_key", "from": SHOP, **settings}, house, {})
    try:
        yield provider
    finally:
        await provider.close()


def effect(number: int, contact: str = "ann") -> Effect:
    return Effect(f"{number:032x}", contact, "send_postcard", "postcard", "b", "", "m", 1, "e", 1, 1, 1, 1, 1_767_603_600_000)


async def sent(provider: Provider, cards: Sequence[Postcard], contact: str = "ann") -> list[Result]:
    results: list[Result] = []
    await provider.send([Dispatch(effect(number, contact), card) for number, card in enumerate(cards)], lambda _, result: results.append(result))
    return results


def card(side: str = HTML, size: str = "4x6", **to: str) -> Postcard:
    return Postcard(to={**TO, **to}, front=side, back=side, size=size)


async def test_every_form_of_a_postcard_is_what_lob_documents(prism: Prism) -> None:
    cards = [
        card(),
        card("tmpl_a1b2c3", "6x9"),
        card("https://cdn.example.com/art/front.pdf", "6x11"),
        Postcard(to=ABROAD, front=HTML, back=HTML),
        card('<p>\u202e\u05e9\u05dc\u05d5\u05dd 👩‍👩‍👧‍👦 "quoted" \\ \x00 \ud800</p>', name="x" * 40),
        card("<" + "x" * 9_999, address1="x" * 64, address2="x" * 64, city="x" * 200),
        Postcard(to={"name": "Ann", "address1": "1 Main St", "city": "Reno", "state": "NV", "zip": "89501", "country": "US"}, front=HTML, back=HTML),
    ]
    for sender in (SHOP, "adr_210a8d4b0b76d77b"):
        async with lob(prism.url, **{"from": sender, "use_type": "operational"}) as provider:
            results = await sent(provider, cards, contact="ü" * 256)  # the longest contact id makes the longest metadata
        assert [result.state for result in results] == [DELIVERED] * len(cards), prism.refused()
        assert all(result.data["postcard"].startswith("psc_") for result in results)
    async with lob(prism.url, **{"from": ""}) as provider:
        assert [result.state for result in await sent(provider, [card()])] == [DELIVERED], prism.refused()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (card(name="x" * 41), "the name has 41 characters; Lob prints 40"),
        (card(address1="x" * 65), "the address1 has 65 characters"),
        (card(city="x" * 201), "the city has 201 characters"),
        (card("<" + "x" * 10_000), "the front has 10001 characters of HTML; Lob takes 10000"),
        (card(" "), "the front is empty"),
        (card("https://cdn.example.com/a b.pdf"), "not a URL that can be fetched"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
async def test_what_lob_would_refuse_is_refused_here_in_words(prism: Prism, wrong: Postcard, says: str) -> None:
    async with lob(prism.url) as provider:
        await sent(provider, [card()])
        asked = prism.asked()
        [result] = await sent(provider, [wrong])
        assert result.state == REJECTED
        assert says in result.reason
        assert prism.asked() == asked, "nothing was asked"
        # and Lob's own words would have been a refusal: the same without our check
        provider._fault = lambda _: ""  # type: ignore[attr-defined]
        [result] = await sent(provider, [wrong])
        assert result.state == REJECTED
        assert result.reason.startswith("422")


@proves(
    "send_postcard",
    "Prism with a transcription of what Lob documents",
    "fields, lengths, auth, Idempotency-Key and metadata are valid; a signed webhook brings the card's fate back to its contact and moves the map on",
)
async def test_a_postcard_goes_round_the_ring_and_its_fate_comes_back(prism: Prism) -> None:
    async with running() as ring:
        before = prism.asked()
        ring.start_shard()
        await ring.publish({"providers": providers(ring, prism), **WORKSPACE})
        await ring.start_pools("postcard")
        await ring.accepted(
            "/v1/contacts", [{"contact": "ann", "fields": {**ANN, "first_name": "Ann <b>"}}, {"contact": "bob", "fields": {"first_name": "Bob"}}]
        )
        await ring.accepted("/v1/events", [{"contact": contact, "name": "order.placed", "data": {"total": 42}} for contact in ("ann", "bob")])
        await ring.carried("postcard")
        assert await ring.effects("postcard") == {"decided": 1, "delivered": 1}, prism.refused()
        assert prism.asked() == before + 1
        assert (await ring.contact("ann"))["tags"] == []

        token = about("link-secret", await decided(ring, "ann"))
        for status, headers in ((403, signed("wrong", token)), (200, signed("hook-secret", token)), (200, signed("hook-secret", token))):
            answer = await ring.call("POST", "/v1/callbacks/lob", body_of(token), **headers)
            assert answer[0] == status, answer
        await until(lambda: tagged(ring, "ann", ["arrived"]), "the delivery reached the contact")
        await ring.conserved()


WORKSPACE = {
    "templates": {
        "front.html": "<h1>Thanks, {{ first_name }}</h1>",
        "back.html": "<p>{{ event.total }} well spent</p>",
    },
    "maps": [
        {
            "map": "orders",
            "triggers": [{"event": "order.placed"}],
            "path": [
                {"id": "card", "send_postcard": {"front": "front.html", "back": "back.html", "size": "6x9"}},
                {"id": "there", "wait": {"event": "postcard.delivered", "timeout": "30d", "then": [{"change_tags": {"add": ["arrived"]}}]}},
            ],
        }
    ],
}
ANN = {"last_name": "Lee", "address1": "210 King St", "city": "San Francisco", "state": "California", "zip": 94107}


def providers(ring: Ring, prism: Prism) -> dict[str, Any]:
    return {**ring.providers, "postcard": {"provider": "lob", "base_url": prism.url, "key": "test_key", "webhook_secret": "hook-secret"}}


def body_of(token: str) -> bytes:
    card = {"id": "psc_5c002b86ce47537a", "object": "postcard", "metadata": {"wayfare": token}}
    event = {"id": "evt_d95ff8ffd2b5cfb4", "event_type": {"id": "postcard.delivered", "resource": "postcards"}, "date_created": "2026-01-12T09:00:00.000Z"}
    return json.dumps({**event, "reference_id": card["id"], "object": "event", "body": card}).encode()


def signed(secret: str, token: str) -> dict[str, str]:
    stamp = str(int(time.time() * 1_000))
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body_of(token), "sha256").hexdigest()
    return {"Lob_Signature": digest, "Lob_Signature_Timestamp": stamp}


async def decided(ring: Ring, contact: str) -> Effect:
    """The effect that the contact's path decided: its id is made of what decided it."""
    raw = await ring.store.directory.contact(contact)
    assert raw is not None
    record = decode_contact(raw)
    [enrollment] = record.enrollments
    [(_, hop, ordinal)] = enrollment.sent
    made = effect_id(record.id, record.born, enrollment.number, hop, ordinal)
    return Effect(made, contact, "send_postcard", "postcard", "b", "", "orders", 1, "card", enrollment.number, hop, ordinal, 1, 0)


async def tagged(ring: Ring, contact: str, tags: list[str]) -> bool:
    return bool((await ring.contact(contact)).get("tags") == tags)


@needs("lob-python")
async def test_the_official_client_puts_the_same_on_the_wire() -> None:
    async with HttpServer({"id": "psc_1"}) as ours, HttpServer({"id": "psc_1"}) as theirs:
        async with lob(ours.url) as provider:
            assert [result.state for result in await sent(provider, [card(size="6x9")])] == [DELIVERED]
        [request] = ours.requests
        body = json.loads(request["body"])
        asked = {"host": f"{theirs.url}/v1", "key": "test_key", "idempotency_key": request["headers"]["Idempotency-Key"], "postcard": body}
        client = [str(path_of("counterparts-python")), str(Path(__file__).with_name("lob_client.py"))]
        done = await asyncio.to_thread(subprocess.run, client, input=json.dumps(asked), capture_output=True, text=True, timeout=60, check=False)
        assert theirs.requests, done.stderr
        [official] = theirs.requests
    assert (request["method"], request["path"]) == (official["method"], official["path"])
    for header in ("Authorization", "Content-Type", "Idempotency-Key"):
        assert request["headers"][header] == official["headers"][header]
    assert body == json.loads(official["body"])
