"""Payments through the whole ring at localstripe: cancelled once, charged once, whatever dies between; its signed webhooks received for real."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.counterparts.localstripe import DECLINING_CARD, GOOD_CARD, KEY, LocalStripe, start
from tests.counterparts.needs import needs
from tests.counterparts.proofs import proves
from tests.end_to_end.ring import Ring, running, until
from tests.end_to_end.test_ring_sending import Deaf

pytestmark = needs("localstripe")

WEBHOOK_SECRET = "whsec_of_the_test"
FIRED = ("order.opened", "order.cancelled", "transaction.charged", "transaction.declined")


@pytest.fixture
def stripe() -> Iterator[LocalStripe]:
    with start() as running_one:
        yield running_one


def counting(event: str) -> dict[str, Any]:
    """A map that counts an event, and writes down what it was about."""
    name = event.replace(".", "_")
    path = [{"update_contact": {"increase": {name: 1}, "set": {f"{name}_said": "{{ event.amount }} {{ event.currency }} {{ event.reason }}"}}}, "exit"]
    return {"map": event.replace(".", "-"), "reentry": "parallel", "triggers": [{"event": event}], "path": path}


async def publish(ring: Ring, stripe: LocalStripe, delivery: str = "at_least_once") -> None:
    """`stop` cancels, `try` recharges; every event that matters is counted on the contact."""
    payments = {"provider": "stripe", "base_url": stripe.url, "key": KEY, "webhook_secret": WEBHOOK_SECRET}
    stop = {"map": "stop", "reentry": "parallel", "triggers": [{"event": "stop"}], "path": ["cancel_open_orders", "exit"]}
    again = {"map": "again", "reentry": "parallel", "triggers": [{"event": "try"}], "path": ["recharge_transactions", "exit"]}
    documents = {"maps": [stop, again, *map(counting, FIRED)], "limits": {"delivery": {"payments": delivery}}}
    await ring.publish({"providers": {**ring.providers, "payments": payments}, **documents})
    ring.start_shard()


async def happen(ring: Ring, name: str, **data: Any) -> None:
    await ring.accepted("/v1/events", {"contact": "ann", "name": name, "data": data})
    await ring.read_on()


async def settled_by_a_dying_pool(ring: Ring) -> None:
    """A pool hands one effect over, and dies before anybody hears what became of it; another one takes over."""
    deaf = Deaf(ring.store.outbox)
    await ring.start_pools("payments", outbox=deaf)  # type: ignore[arg-type]
    await until(lambda: bool(deaf.unheard), "Stripe has answered")
    await ring.kill_pools()


@proves(
    "recharge_transactions",
    "localstripe",
    "an invoice is paid exactly once through a crash between payment and settling; a decline is not tried again; both come back as triggers",
)
async def test_an_invoice_is_paid_exactly_once_through_a_crash(stripe: LocalStripe) -> None:
    paying, broke = stripe.customer("ann@example.com", DECLINING_CARD), stripe.customer("ann2@example.com", DECLINING_CARD)
    good, bad = stripe.unpaid_invoice(paying, 2_550), stripe.unpaid_invoice(broke, 700)
    stripe.give_card(paying, GOOD_CARD)
    assert (stripe.charges(paying), stripe.charges(broke)) == (["failed"], ["failed"])
    async with running(claim_lease_ms=2_000, send_timeout_ms=1_500) as ring:
        await publish(ring, stripe)
        for invoice in (good, bad):
            await happen(ring, "transaction.collections", transaction=invoice, invoice=invoice, amount=9.99, currency="usd")
        await happen(ring, "try")
        await settled_by_a_dying_pool(ring)
        assert (await ring.contact("ann"))["transactions"][good]["recharging"] is True
        await happen(ring, "try")  # while it is under way: nothing is decided
        await ring.start_pools("payments")
        await ring.carried("payments")
        assert (stripe.charges(paying), stripe.charges(broke)) == (["failed", "succeeded"], ["failed", "failed"])
        assert stripe.call("GET", f"/v1/invoices/{good}")["status"] == "paid"
        assert [stripe.asked(f"POST /v1/invoices/{invoice}/pay") for invoice in (good, bad)] == [1, 1], "neither was asked for twice"
        shown = await ring.contact("ann")
        assert [shown["transactions"][invoice]["status"] for invoice in (good, bad)] == ["charged", "collections"]
        assert (shown["fields"]["transaction_charged"], shown["fields"]["transaction_declined"]) == (1, 1)
        assert shown["fields"]["transaction_charged_said"].startswith("25.5 usd"), "what was really paid"
        assert "card_declined" in shown["fields"]["transaction_declined_said"]
        assert await ring.effects("payments") == {"decided": 1, "delivered": 1}
        # and once more, now that there is money
        stripe.give_card(broke, GOOD_CARD)
        await happen(ring, "try")
        await ring.carried("payments")
        assert stripe.charges(broke) == ["failed", "failed", "succeeded"]
        assert (await ring.contact("ann"))["fields"]["transaction_charged"] == 2
        await ring.conserved()


async def test_at_most_once_lists_what_it_does_not_know_and_an_operator_may_let_it_go_on(stripe: LocalStripe) -> None:
    customer = stripe.customer("ann@example.com", DECLINING_CARD)
    invoice = stripe.unpaid_invoice(customer, 2_000)
    stripe.give_card(customer, GOOD_CARD)
    async with running(claim_lease_ms=1_200, send_timeout_ms=1_000) as ring:
        await publish(ring, stripe, "at_most_once")
        await happen(ring, "transaction.collections", transaction=invoice)
        await happen(ring, "try")
        await settled_by_a_dying_pool(ring)
        await ring.start_pools("payments")
        await ring.carried("payments")
        assert await ring.effects("payments") == {"decided": 1, "unknown": 1}
        await ring.call("POST", "/v1/unknown/resolve", {"into": "pending"})
        await ring.carried("payments")
        assert stripe.charges(customer) == ["failed", "succeeded"], "Stripe said that the invoice is paid"
        shown = await ring.contact("ann")
        assert (shown["transactions"][invoice]["status"], shown["fields"]["transaction_charged"]) == ("charged", 1)


@proves(
    "cancel_open_orders",
    "localstripe",
    "a subscription that its signed webhook opened is cancelled exactly once through a crash; the webhook of that fires nothing a second time",
)
async def test_a_subscription_is_opened_by_a_webhook_and_cancelled_exactly_once_through_a_crash(stripe: LocalStripe) -> None:
    async with running(claim_lease_ms=2_000, send_timeout_ms=1_500) as ring:
        await publish(ring, stripe)
        await ring.accepted("/v1/contacts", {"contact": "ann", "fields": {"email": "ann@example.com"}})
        await ring.read_on()
        stripe.announce(f"{ring.client._base_url}/v1/callbacks/stripe", WEBHOOK_SECRET)
        customer = stripe.customer("ann@example.com", GOOD_CARD)
        number = stripe.subscription(customer, {"wayfare_contact": "ann", "product": "course"})

        async def opened() -> bool:
            fields = (await ring.contact("ann"))["fields"]
            return fields.get("order_opened") == 1 and fields.get("transaction_charged") == 1

        await until(opened, "both webhooks are on record: of the subscription by its metadata, of the invoice by the customer's address")
        order = (await ring.contact("ann"))["orders"][number]
        assert (order["status"], order["product"], order["amount"], order["subscription"]) == ("open", "course", 15, number)

        await happen(ring, "stop")
        assert (await ring.contact("ann"))["orders"][number]["status"] == "cancelled"
        await settled_by_a_dying_pool(ring)
        assert stripe.call("GET", f"/v1/subscriptions/{number}")["status"] == "canceled"
        await ring.start_pools("payments")
        await ring.carried("payments")
        assert stripe.asked(f"DELETE /v1/subscriptions/{number}") == 1
        await until(lambda: any('"customer.subscription.deleted" successfully delivered' in line for line in stripe.log()), "the webhook of the cancellation")
        await ring.read_on()
        shown = await ring.contact("ann")
        assert (shown["orders"][number]["status"], shown["fields"]["order_cancelled"]) == ("cancelled", 1)
        assert "cancelling" not in shown["orders"][number]
        await happen(ring, "stop")
        assert await ring.effects("payments") == {"decided": 1, "delivered": 1}
        await ring.conserved()


async def test_a_webhook_with_another_secret_is_refused(stripe: LocalStripe) -> None:
    async with running() as ring:
        await publish(ring, stripe)
        stripe.announce(f"{ring.client._base_url}/v1/callbacks/stripe", "whsec_of_somebody_else")
        customer = stripe.customer("ann@example.com", GOOD_CARD)
        stripe.subscription(customer, {"wayfare_contact": "ann"})
        await until(lambda: any('"customer.subscription.created" failed with response code 403' in line for line in stripe.log()), "it is refused")
        await ring.read_on()
        assert await ring.contact("ann") == {}
