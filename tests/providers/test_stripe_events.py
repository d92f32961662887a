"""Stripe's webhooks: the signature, and what each event says of whom. Objects in the shape of old and new versions of its API."""

from __future__ import annotations

import hmac
from typing import Any

import msgspec
import pytest

from actions.feedback import Heard
from actions.providers.provider import House, Inbound, Unreadable, Unsigned
from actions.providers.stripe import Stripe, StripeSettings
from engine.config import Config
from engine.core.errors import Unavailable
from tests.providers.stripe_server import StripeServer

NOW_S = 1_767_603_600
SECRET = "whsec_1"


def signature(body: bytes, secret: str = SECRET, at_s: int = NOW_S) -> str:
    return hmac.digest(secret.encode(), f"{at_s}.".encode() + body, "sha256").hex()


async def hear(body: bytes | dict[str, Any], header: str | None = None, url: str = "http://127.0.0.1:1", secret: str = SECRET) -> list[Heard]:
    """What is heard of a webhook; signed well unless a header is given."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    header = f"t={NOW_S},v1={signature(raw)}" if header is None else header
    settings = StripeSettings(key="sk_1", webhook_secret=secret, base_url=url)
    inbound = Inbound(url="https://x/v1/callbacks/stripe", headers={"stripe-signature": header} if header else {}, body=raw)
    house = House(config=Config(send_timeout_ms=500), clock=lambda: NOW_S * 1_000)
    return (await Stripe.receive(settings, inbound, house)).heard


def event(kind: str, thing: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "evt_1", "type": kind, "created": NOW_S - 5, "data": {"object": thing}, **more}


SUBSCRIPTION = {
    "id": "sub_1",
    "customer": "cus_1",
    "status": "active",
    "metadata": {"wayfare_contact": "ann", "product": "course"},
    "items": {"data": [{"price": {"unit_amount": 1_500, "currency": "usd", "product": "prod_1"}, "quantity": 2}]},
}
INVOICE = {
    "id": "in_1",
    "customer": "cus_1",
    "customer_email": "ann@example.com",
    "currency": "usd",
    "amount_due": 3_000,
    "amount_paid": 3_000,
    "subscription": "sub_1",
    "next_payment_attempt": NOW_S + 9,
}
NEW_INVOICE = {key: value for key, value in INVOICE.items() if key != "subscription"} | {
    "parent": {"type": "subscription_details", "subscription_details": {"subscription": "sub_1", "metadata": {"contact": "ann"}}}
}

ORDER = {"order": "sub_1", "product": "course", "kind": "subscription", "amount": 30, "currency": "usd", "subscription": "sub_1", "customer": "cus_1"}
CHARGE = {"transaction": "in_1", "invoice": "in_1", "order": "sub_1", "amount": 30, "currency": "usd", "customer": "cus_1"}


@pytest.mark.parametrize(
    ("kind", "thing", "facts"),
    [
        ("customer.subscription.created", SUBSCRIPTION, [("order.opened", ORDER)]),
        ("customer.subscription.created", {**SUBSCRIPTION, "status": "trialing"}, [("order.opened", {**ORDER, "kind": "trial"})]),
        ("customer.subscription.updated", SUBSCRIPTION, [("order.updated", ORDER)]),
        ("customer.subscription.updated", {**SUBSCRIPTION, "status": "canceled"}, [("order.cancelled", ORDER)]),
        (
            "customer.subscription.deleted",
            {**SUBSCRIPTION, "cancellation_details": {"reason": "payment_failed"}},
            [("order.cancelled", {**ORDER, "reason": "payment_failed"})],
        ),
        ("invoice.paid", INVOICE, [("transaction.charged", CHARGE)]),
        ("invoice.payment_succeeded", NEW_INVOICE, [("transaction.charged", CHARGE)]),
        ("invoice.paid", {**INVOICE, "amount_paid": 0}, []),
        ("invoice.payment_failed", INVOICE, [("transaction.declined", CHARGE)]),
        ("invoice.payment_failed", {**INVOICE, "next_payment_attempt": None}, [("transaction.declined", CHARGE), ("transaction.collections", CHARGE)]),
        ("invoice.marked_uncollectible", INVOICE, [("transaction.collections", CHARGE)]),
        ("invoice.voided", INVOICE, [("transaction.voided", CHARGE)]),
        (
            "charge.refunded",
            {"id": "ch_1", "invoice": "in_1", "amount_refunded": 1_000, "currency": "usd", "billing_details": {"email": "ann@example.com"}},
            [("transaction.refunded", {"transaction": "in_1", "invoice": "in_1", "refunded": 10, "currency": "usd"})],
        ),
        (
            "payment_intent.payment_failed",
            {
                "id": "pi_1",
                "amount": 500,
                "currency": "jpy",
                "metadata": {"wayfare_transaction": "t-1", "contact": "ann"},
                "last_payment_error": {"message": "no"},
            },
            [("transaction.declined", {"transaction": "t-1", "amount": 500, "currency": "jpy", "reason": "no"})],
        ),
        ("payment_intent.succeeded", {"id": "pi_1", "amount": 500, "currency": "usd", "customer": "cus_1"}, []),
        ("customer.created", {"id": "cus_1"}, []),
    ],
)
async def test_what_each_event_says(kind: str, thing: dict[str, Any], facts: list[Any]) -> None:
    heard = await hear(event(kind, thing))
    assert [(one.event, one.data) for one in heard] == facts
    assert {one.contact or one.email for one in heard} <= {"ann", "ann@example.com"}
    assert len({one.id for one in heard}) == len(heard)
    assert all(one.id.startswith("stripe:evt_1:") and one.time == (NOW_S - 5) * 1_000 for one in heard)


async def test_the_contact_is_found_by_the_customers_address_where_nothing_names_it() -> None:
    nameless = event("customer.subscription.deleted", {**SUBSCRIPTION, "metadata": {}})
    async with StripeServer() as server:
        [heard] = await hear(nameless, url=server.url)
        assert (heard.contact, heard.email, server.asked()) == ("", "ann@example.com", ["GET /v1/customers/cus_1"])
        server.customers.clear()
        [heard] = await hear(nameless, url=server.url)
        assert heard.email == ""
        await hear(event("invoice.paid", INVOICE), url=server.url)
        await hear(event("customer.subscription.deleted", SUBSCRIPTION), url=server.url)
        assert len(server.requests) == 2, "only where it must"
    with pytest.raises(Unavailable, match="cus_1"):  # then Stripe sends it again
        await hear(nameless, url=server.url)


@pytest.mark.parametrize("name", ["\x00fulfillment:kits", "a\nb", "x" * 257, "", 7, ["ann"]])
async def test_what_cannot_be_a_contact_is_none(name: Any) -> None:
    [heard] = await hear(event("invoice.paid", {**INVOICE, "metadata": {"wayfare_contact": name}}))
    assert (heard.contact, heard.email) == ("", "ann@example.com")


BODY = msgspec.json.encode(event("customer.subscription.deleted", SUBSCRIPTION))


async def test_one_good_signature_among_several_is_enough() -> None:
    assert await hear(BODY, f"t={NOW_S},v1={'0' * 64}, v1={signature(BODY)},v0=x")
    assert await hear(BODY, f"t={NOW_S - 300},v1={signature(BODY, at_s=NOW_S - 300)}")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        f"t={NOW_S}",
        f"v1={signature(BODY)}",
        f"t=x,v1={signature(BODY)}",
        f"t={NOW_S},v0={signature(BODY)}",
        f"t={NOW_S},v1={'0' * 64}",
        f"t={NOW_S},v1=é",
        f"t={NOW_S},v1={signature(BODY, 'other')}",
        f"t={NOW_S + 1},v1={signature(BODY)}",
        f"t={NOW_S - 301},v1={signature(BODY, at_s=NOW_S - 301)}",
        f"t={NOW_S + 301},v1={signature(BODY, at_s=NOW_S + 301)}",
        f"t={NOW_S},{'v1=0,' * 400}v1={signature(BODY)}",
        f"t={NOW_S},{'v1=0,' * 8}v1={signature(BODY)}",
    ],
)
async def test_what_is_not_signed_is_not_heard(header: str) -> None:
    with pytest.raises(Unsigned) as error:
        await hear(BODY, header)
    assert signature(BODY) not in str(error.value)


async def test_without_a_secret_nothing_is_heard() -> None:
    with pytest.raises(Unsigned, match="webhook_secret"):
        await hear(BODY, f"t={NOW_S},v1={signature(BODY, '')}", secret="")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"id": "evt_1"}', b'{"type": "invoice.paid"}', b'"x"'])
async def test_what_is_no_event_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        await hear(body)


@pytest.mark.parametrize(
    "thing", [None, [], {}, {"metadata": []}, {"items": {"data": [7]}}, {"items": []}, {"items": {"data": 5}}, {"id": 7, "currency": 7, "amount_paid": "x"}]
)
@pytest.mark.parametrize("kind", ["customer.subscription.created", "invoice.paid", "invoice.payment_failed", "charge.refunded", "payment_intent.succeeded"])
async def test_a_strange_object_breaks_nothing(kind: str, thing: Any) -> None:
    heard = await hear({"id": "evt_1", "type": kind, "created": "x", "data": {"object": thing}})
    assert all(not one.contact for one in heard)
