"""What one effect does at Stripe, item by item: cancels subscriptions, pays invoices, charges customers.

Every item is done once, whatever breaks between. A request carries a key made of the effect and the item's place. Before an item is tried
again Stripe is asked what became of it, because keys are forgotten after a day: what is paid is charged, a charge that failed since the
decision is declined, and only what is still open is requested again. An invoice is paid at most once by Stripe itself; a charge without an
invoice carries the transaction in its metadata, and none is made before the customer's payments were searched for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from actions.messages import Cancellation, Charge, Recharge
from actions.providers.provider import Dispatch, clean
from actions.stripe_api import Answer, Halt, StripeApi, id_of, in_main_unit, is_id, mapping, smallest, text, things

CHARGED, DECLINED, PENDING, VOIDED = "transaction.charged", "transaction.declined", "transaction.pending", "transaction.voided"
ENDED = frozenset({"canceled", "incomplete_expired", "completed"})  # of subscriptions and of schedules; one that was released goes on
METADATA_CHARS_MAX = 500
EARLIER_MAX = 100  # payments of a customer that are searched for an earlier attempt, newest first

Verdict = tuple[str, dict[str, Any]]
"""The event of one transaction, and what it says besides the transaction."""


class Work:
    """One dispatch under way. `events` are the facts that are certain so far, `refused` why items can't be done at all."""

    def __init__(self, api: StripeApi, dispatch: Dispatch, limit_s: float) -> None:
        self._api, self._effect, self._message = api, dispatch.effect, dispatch.message
        self._again, self._attempt = dispatch.attempt > 1, dispatch.attempt
        self._limit_s = limit_s
        self._end = asyncio.get_running_loop().time() + limit_s
        self.begun = False  # whether anything may have been accepted
        self.events: list[list[Any]] = []
        self.refused: list[str] = []

    async def run(self) -> None:
        """Do what is left to do. Raises Halt."""
        message = self._message
        if isinstance(message, Cancellation):
            await self._each([(order, subscription) for order, subscription in message.orders.items() if subscription], self._cancel)
        elif isinstance(message, Recharge):
            await self._each(message.transactions, self._recharge)
        else:
            raise TypeError(f"{type(message).__name__} is nothing for a payment provider")

    async def _each(self, items: Sequence[Any], do: Callable[[int, Any], Awaitable[None]]) -> None:
        for number, item in enumerate(items):
            if number and self._left_s() < self._limit_s / 2:
                raise Halt("busy", f"{number} of {len(items)} are done, the others are next", counts=False)
            await do(number, item)

    # -- cancelling ----------------------------------------------------------------------------------------------------

    async def _cancel(self, number: int, item: tuple[str, str]) -> None:
        order, subscription = item
        if not is_id(subscription):
            self.refused.append(f"{subscription[:60]!r} is no id of Stripe's")
            return
        scheduled = subscription.startswith("sub_sched_")
        path = f"/v1/{'subscription_schedules' if scheduled else 'subscriptions'}/{subscription}"
        if self._again and await self._is_ended(path):
            answer = None
        elif scheduled:
            answer = await self._post(f"{path}/cancel", {}, number)
        else:
            answer = await self._call("DELETE", path)
        if answer is None or answer.good or await self._is_ended(path):
            self.events.append(["order.cancelled", {"order": order, "subscription": subscription}])
        else:
            self.refused.append(f"{subscription}: {answer.reason}")

    async def _is_ended(self, path: str) -> bool:
        return text((await self._call("GET", path)).body.get("status")) in ENDED

    # -- charging ------------------------------------------------------------------------------------------------------

    async def _recharge(self, number: int, charge: Charge) -> None:
        invoice = charge.invoice or (charge.transaction if charge.transaction.startswith("in_") else "")
        amount = smallest(charge.amount, charge.currency)
        verdict: Verdict | str
        if invoice:
            verdict = await self._pay(number, invoice) if is_id(invoice) else f"{invoice[:60]!r} is no id of Stripe's"
        elif is_id(charge.customer) and amount and is_id(charge.currency):
            verdict = await self._charge(number, charge, amount)
        else:
            verdict = f"the transaction {charge.transaction[:60]!r} has no invoice, and no customer and amount"
        if isinstance(verdict, str):
            self.refused.append(verdict)
            return
        event, said = verdict
        known = {name: value for name in Charge.__struct_fields__ if (value := getattr(charge, name))}
        self.events.append([event, {**known, **said, "recharge": self._effect.id}])

    async def _pay(self, number: int, invoice: str) -> Verdict | str:
        """Pay an open invoice; why it can't be paid at all where it can't."""
        path = f"/v1/invoices/{invoice}"
        if self._again and (verdict := of_invoice((await self._look(path)).body, self._effect.decided_ms // 1_000)):
            return verdict
        answer = await self._post(f"{path}/pay", {}, number)
        if answer.declined:
            return _declined(answer)
        if answer.good and answer.body.get("status") == "paid":
            return _charged(answer.body)
        found = await self._look(path)
        if not found.good:
            return f"{invoice}: {found.reason}"
        return of_invoice(found.body, 0) or _not_paid(answer, found.body)

    async def _charge(self, number: int, charge: Charge, amount: int) -> Verdict | str:
        """Charge a customer's default payment method, unless an earlier attempt is found."""
        query = {"customer": charge.customer, "limit": str(EARLIER_MAX)}
        earlier = await self._call("GET", "/v1/payment_intents", query)
        if not earlier.good:
            return earlier.reason
        for intent in things(earlier.body):
            if verdict := self._earlier(intent, charge.transaction):
                return verdict
        customer = (await self._call("GET", f"/v1/customers/{charge.customer}")).body
        method = id_of(mapping(customer.get("invoice_settings")).get("default_payment_method")) or id_of(customer.get("default_source"))
        if not method:
            return DECLINED, {"code": "no_payment_method", "reason": "the customer has no default payment method"}
        answer = await self._post("/v1/payment_intents", self._form(charge, amount, method), number)
        if answer.declined:
            return _declined(answer)
        return of_intent(answer.body) or (DECLINED, {"reason": "not paid"}) if answer.good else answer.reason

    def _form(self, charge: Charge, amount: int, method: str) -> dict[str, str]:
        return {
            "amount": str(amount),
            "currency": charge.currency.lower(),
            "customer": charge.customer,
            "payment_method": method,
            "confirm": "true",
            "off_session": "true",  # nobody is there to answer the bank
            **{f"metadata[{name}]": value for name, value in self._metadata(charge.transaction).items()},
        }

    def _earlier(self, intent: Mapping[str, Any], transaction: str) -> Verdict | None:
        """The verdict of an earlier attempt: any that charged this transaction, or one of this effect's."""
        metadata, ours = mapping(intent.get("metadata")), self._metadata(transaction)
        if metadata.get("wayfare_transaction") != ours["wayfare_transaction"]:
            return None
        verdict = of_intent(intent)
        return verdict if verdict and (verdict[0] != DECLINED or metadata.get("wayfare_effect") == self._effect.id) else None

    def _metadata(self, transaction: str) -> dict[str, str]:
        values = {"wayfare_contact": self._effect.contact, "wayfare_transaction": transaction, "wayfare_effect": self._effect.id}
        return {name: value.encode(errors="replace").decode()[:METADATA_CHARS_MAX] for name, value in values.items()}

    # -- requests ------------------------------------------------------------------------------------------------------

    def _left_s(self) -> float:
        return self._end - asyncio.get_running_loop().time()

    async def _call(self, method: str, path: str, form: Mapping[str, str] | None = None, key: str = "") -> Answer:
        try:
            answer = await self._api.call(method, path, self._left_s(), form, key)
        except Halt as halt:
            self.begun = self.begun or halt.stage == "answer"
            raise
        self.begun = self.begun or method != "GET"
        return answer

    async def _look(self, path: str) -> Answer:
        """An invoice, with the payment under way and its last charge."""
        return await self._call("GET", path, {"expand[]": "payment_intent.latest_charge"})

    async def _post(self, path: str, form: Mapping[str, str], number: int) -> Answer:
        """A request under the item's key; under a new one where Stripe remembers that the first ended in a fault and, as was looked up, in nothing."""
        key = f"wayfare-{self._effect.id}-{number}"
        try:
            return await self._call("POST", path, form, key)
        except Halt as halt:
            if not (halt.ended and self._again):
                raise
            return await self._call("POST", path, form, f"{key}-{self._attempt}")


def of_invoice(invoice: Mapping[str, Any], since_s: int) -> Verdict | None:
    """What an invoice says about its payment; None where it waits for one. A charge that failed before `since_s` (epoch) says nothing."""
    status, intent = invoice.get("status"), mapping(invoice.get("payment_intent"))
    if status == "paid":
        return _charged(invoice)
    if status == "void":
        return VOIDED, {"reason": "the invoice is void"}
    charge = mapping(intent.get("latest_charge"))
    created = charge.get("created") if charge else intent.get("created")
    return of_intent(intent) if isinstance(created, int) and created >= since_s else None


def of_intent(intent: Mapping[str, Any]) -> Verdict | None:
    """What a payment intent says; None where nothing was tried yet."""
    status, error = intent.get("status"), mapping(intent.get("last_payment_error"))
    if status == "succeeded":
        return _charged(intent)
    if status == "processing":
        return PENDING, {}
    if status in ("requires_action", "requires_source_action"):
        return DECLINED, {"code": "authentication_required", "reason": "the bank wants the customer to confirm"}
    if error or status == "canceled":
        code = text(error.get("decline_code")) or text(error.get("code")) or "canceled"
        return DECLINED, {"code": code, "reason": clean(f"{code} {text(error.get('message'))}")}
    return None


def _charged(thing: Mapping[str, Any]) -> Verdict:
    """A charge, with what was really paid of an invoice or an intent."""
    currency = text(thing.get("currency"))
    amount = in_main_unit(thing.get("amount_paid", thing.get("amount_received")), currency)
    return CHARGED, {"amount": amount, "currency": currency} if amount and currency else {}


def _declined(answer: Answer) -> Verdict:
    return DECLINED, {"code": answer.code, "reason": answer.reason}


def _not_paid(answer: Answer, invoice: Mapping[str, Any]) -> Verdict:
    """Stripe did not charge, as when the customer has no card: a decline too."""
    return (DECLINED, {"reason": f"the invoice is {text(invoice.get('status'))}"}) if answer.good else _declined(answer)
