"""Stripe's webhooks through the gateway: signed, in the log before they are answered, addressed by metadata or by the customer's address."""

from __future__ import annotations

import hmac
from typing import Any

import msgspec
import pytest

from engine.core.index import entries
from engine.core.records import Event
from tests.gateway.conftest import NOW_MS
from tests.providers.stripe_server import StripeServer

SECRET = "whsec_1"
SUBSCRIPTION = {"id": "sub_1", "customer": "cus_1", "status": "active", "metadata": {"wayfare_contact": "ann"}}


async def publish(gateway: Any, url: str = "http://127.0.0.1:1") -> None:
    payments = {"provider": "stripe", "key": "sk_1", "webhook_secret": SECRET, "base_url": url}
    assert (await gateway.call("PUT", "/v1/workspace", {"maps": [], "providers": {"payments": payments}})).status == 200
    gateway.commit("bob", index=dict.fromkeys(entries("bob", {"email": "ann@example.com"}), True))


async def call(gateway: Any, thing: dict[str, Any], secret: str = SECRET) -> Any:
    body = msgspec.json.encode({"id": "evt_1", "type": "customer.subscription.deleted", "created": NOW_MS // 1_000, "data": {"object": thing}})
    signed = hmac.digest(secret.encode(), f"{NOW_MS // 1_000}.".encode() + body, "sha256").hex()
    headers = {"Authorization": "", "Content-Type": "application/json; charset=utf-8", "Stripe-Signature": f"t={NOW_MS // 1_000},v1={signed}"}
    return await gateway.call("POST", "/v1/callbacks/stripe", body, headers=headers)


def said(gateway: Any) -> list[Any]:
    return [record for record in gateway.records() if record.contact]


DATA = {"order": "sub_1", "kind": "subscription", "subscription": "sub_1", "customer": "cus_1"}


async def test_an_event_is_in_the_log_under_stripes_id(gateway: Any) -> None:
    await publish(gateway)
    assert (await call(gateway, SUBSCRIPTION)).status == 200
    assert said(gateway) == [Event("ann", "order.cancelled", DATA, "stripe:evt_1:order.cancelled:e", NOW_MS)]


async def test_without_metadata_the_customers_address_says_who(gateway: Any) -> None:
    async with StripeServer() as server:
        await publish(gateway, server.url)
        assert (await call(gateway, {**SUBSCRIPTION, "metadata": {}})).status == 200
    assert [record.contact for record in said(gateway)] == ["bob"]


async def test_where_stripe_cannot_be_asked_it_is_to_send_it_again(gateway: Any) -> None:
    await publish(gateway)
    answer = await call(gateway, {**SUBSCRIPTION, "metadata": {}})
    assert (answer.status, "Retry-After" in answer.headers) == (503, True)
    assert "sk_1" not in await answer.text()
    assert said(gateway) == []


@pytest.mark.parametrize("secret", ["", "whsec_2"])
async def test_a_forged_event_is_refused(gateway: Any, secret: str) -> None:
    await publish(gateway)
    assert (await call(gateway, SUBSCRIPTION, secret)).status == 403
    assert said(gateway) == []
