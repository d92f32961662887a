"""What Stripe's webhooks say, as events of a contact: subscriptions are orders, invoices are transactions.

Which contact is meant stands in the metadata (`wayfare_contact`, or `contact`) of the object or of its subscription; else it is the customer's
address. Objects are read in the shape of old and new versions of the API, since an account chooses which one its webhooks have.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from actions.feedback import Heard
from actions.providers.provider import Inbound, Unreadable, Unsigned, clean
from actions.stripe_api import id_of, in_main_unit, is_id, mapping, text, things

HEADER_CHARS_MAX = 2_048
SIGNATURES_MAX = 8
CANCELLED = frozenset({"canceled", "incomplete_expired"})

Object = Mapping[str, Any]
Fact = tuple[str, dict[str, Any]]


def check_signature(secret: str, inbound: Inbound, now_s: int, tolerance_s: int) -> None:
    """Raises Unsigned unless one of the `v1` signatures of `Stripe-Signature` holds for the body, and its time is within the tolerance."""
    header = inbound.headers.get("stripe-signature", "")
    if not secret:
        raise Unsigned("providers.yaml has no webhook_secret, so nothing can be checked")
    if not header or len(header) > HEADER_CHARS_MAX or not header.isascii():
        raise Unsigned("there is no Stripe-Signature that can be read")
    parts = [part.strip().partition("=") for part in header.split(",")]
    stamp = next((value for name, _, value in parts if name == "t"), "")
    signatures = [value for name, _, value in parts if name == "v1"][:SIGNATURES_MAX]
    if not stamp.isdigit() or len(stamp) > 12:
        raise Unsigned("Stripe-Signature has no time")
    right = hmac.digest(secret.encode(), stamp.encode() + b"." + inbound.body, "sha256").hex()
    if not any([hmac.compare_digest(right, signature) for signature in signatures]):  # noqa: C419 - all are compared, so the time says nothing
        raise Unsigned("the signature does not hold")
    if abs(now_s - int(stamp)) > tolerance_s:
        raise Unsigned("the signature is too old, or from the future")


def read(body: bytes) -> dict[str, Any]:
    """The event of a body. Raises Unreadable."""
    try:
        event = mapping(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unreadable("the body is no JSON") from None
    if not text(event.get("id")) or not text(event.get("type")):
        raise Unreadable("the body is no event of Stripe's")
    return event


def heard_of(event: Object, contact_chars_max: int) -> list[Heard]:
    """The notices of an event; none where it says nothing about orders or transactions."""
    thing = mapping(mapping(event.get("data")).get("object"))
    facts_of = FACTS.get(text(event.get("type")))
    facts = facts_of(thing) if facts_of is not None else []
    created = event.get("created")
    time = created * 1_000 if isinstance(created, int) and 0 < created < 10**11 else None
    contact = _contact(thing, contact_chars_max)
    email = "" if contact else _email(thing)
    number = text(event.get("id"))
    return [
        Heard(channel="payments", contact=contact, email=email, event=name, data=_without_empty(data), id=f"stripe:{number}:{name}", time=time)
        for name, data in facts
    ]


def customer_of(event: Object) -> str:
    """The id of the customer whom an event is about, "" where there is none."""
    customer = id_of(mapping(mapping(event.get("data")).get("object")).get("customer"))
    return customer if is_id(customer) else ""


# -- orders ------------------------------------------------------------------------------------------------------------


def _order(thing: Object) -> dict[str, Any]:
    metadata = _metadata(thing)
    item = next(iter(things(thing.get("items"))), {})
    price = mapping(item.get("price")) or mapping(item.get("plan")) or mapping(thing.get("plan"))
    currency = text(price.get("currency"))
    units, quantity = price.get("unit_amount", price.get("amount")), item.get("quantity", thing.get("quantity"))
    quantity = quantity if isinstance(quantity, int) else 1
    return {
        "order": text(metadata.get("order")) or id_of(thing),
        "product": text(metadata.get("product")) or id_of(price.get("product")),
        "kind": text(metadata.get("kind")) or ("trial" if thing.get("status") == "trialing" else "subscription"),
        "amount": in_main_unit(units, currency) * quantity,
        "currency": currency,
        "subscription": id_of(thing),
        "customer": id_of(thing.get("customer")),
    }


def _opened(thing: Object) -> list[Fact]:
    return [("order.opened", _order(thing))]


def _updated(thing: Object) -> list[Fact]:
    return _cancelled(thing) if thing.get("status") in CANCELLED else [("order.updated", _order(thing))]


def _cancelled(thing: Object) -> list[Fact]:
    reason = text(mapping(thing.get("cancellation_details")).get("reason"))
    return [("order.cancelled", {**_order(thing), "reason": reason})]


# -- transactions ------------------------------------------------------------------------------------------------------


def _invoice(thing: Object, units: Any) -> dict[str, Any]:
    metadata, currency = _metadata(thing), text(thing.get("currency"))
    subscription = id_of(thing.get("subscription")) or id_of(_details(thing).get("subscription"))
    return {
        "transaction": text(metadata.get("transaction")) or id_of(thing),
        "invoice": id_of(thing),
        "order": text(metadata.get("order")) or subscription,
        "product": text(metadata.get("product")),
        "amount": in_main_unit(units, currency),
        "currency": currency,
        "customer": id_of(thing.get("customer")),
    }


def _paid(thing: Object) -> list[Fact]:
    """An invoice over nothing, as a trial begins with, is no charge."""
    return [("transaction.charged", _invoice(thing, thing.get("amount_paid")))] if thing.get("amount_paid") else []


def _failed(thing: Object) -> list[Fact]:
    """A decline; where Stripe will not try again by itself, the transaction is in collections."""
    data = _invoice(thing, thing.get("amount_due"))
    last = "next_payment_attempt" in thing and thing["next_payment_attempt"] is None
    return [("transaction.declined", data), *([("transaction.collections", data)] if last else [])]


def _collections(thing: Object) -> list[Fact]:
    return [("transaction.collections", _invoice(thing, thing.get("amount_due")))]


def _voided(thing: Object) -> list[Fact]:
    return [("transaction.voided", _invoice(thing, thing.get("amount_due")))]


def _refunded(thing: Object) -> list[Fact]:
    invoice, currency = id_of(thing.get("invoice")), text(thing.get("currency"))
    transaction = _transaction(thing) or invoice or id_of(thing)
    refunded = in_main_unit(thing.get("amount_refunded"), currency)
    return [("transaction.refunded", {"transaction": transaction, "invoice": invoice, "refunded": refunded, "currency": currency})]


def _intent(event: str) -> Callable[[Object], list[Fact]]:
    """A payment without an invoice, where its metadata names the transaction; those of invoices come as invoices."""

    def facts(thing: Object) -> list[Fact]:
        transaction, currency = _transaction(thing), text(thing.get("currency"))
        error = mapping(thing.get("last_payment_error"))
        data = {"transaction": transaction, "amount": in_main_unit(thing.get("amount"), currency), "currency": currency}
        said = {"customer": id_of(thing.get("customer")), "reason": clean(text(error.get("message")))}
        return [(event, {**data, **said})] if transaction and not thing.get("invoice") else []

    return facts


FACTS: Mapping[str, Callable[[Object], list[Fact]]] = {
    "customer.subscription.created": _opened,
    "customer.subscription.updated": _updated,
    "customer.subscription.deleted": _cancelled,
    "invoice.paid": _paid,
    "invoice.payment_succeeded": _paid,
    "invoice.payment_failed": _failed,
    "invoice.marked_uncollectible": _collections,
    "invoice.voided": _voided,
    "charge.refunded": _refunded,
    "payment_intent.succeeded": _intent("transaction.charged"),
    "payment_intent.payment_failed": _intent("transaction.declined"),
}
"""What each type of event says; `invoice.paid` and `invoice.payment_succeeded` come both, and the second is no news."""


# -- who ---------------------------------------------------------------------------------------------------------------


def _details(thing: Object) -> dict[str, Any]:
    """What an invoice says about its subscription; newer versions of the API have it under `parent`."""
    return mapping(thing.get("subscription_details")) or mapping(mapping(thing.get("parent")).get("subscription_details"))


def _metadata(thing: Object) -> dict[str, Any]:
    return {**mapping(_details(thing).get("metadata")), **mapping(thing.get("metadata"))}


def _contact(thing: Object, chars_max: int) -> str:
    """The contact that the metadata names; "" for what can't be the id of one (it may be a customer's own text)."""
    metadata = _metadata(thing)
    contact = text(metadata.get("wayfare_contact")) or text(metadata.get("contact"))
    return contact if len(contact) <= chars_max and contact.isprintable() else ""


def _transaction(thing: Object) -> str:
    metadata = _metadata(thing)
    return text(metadata.get("wayfare_transaction")) or text(metadata.get("transaction"))


def _email(thing: Object) -> str:
    """The customer's address, where the object has it."""
    customer, billing = mapping(thing.get("customer")), mapping(thing.get("billing_details"))
    return text(customer.get("email")) or text(thing.get("customer_email")) or text(thing.get("receipt_email")) or text(billing.get("email"))


def _without_empty(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if value not in ("", 0)}
