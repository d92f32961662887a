"""Stripe: the requests that its API expects, what its answers mean, and that no fault charges or cancels anything twice."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actions.messages import Cancellation, Charge, Message, Recharge
from actions.providers.provider import CREDENTIALS, DEFERRED, DELIVERED, REJECTED, UNKNOWN, Dispatch, House, Result
from actions.providers.registry import make_provider
from actions.settling import settle_of
from actions.stripe_api import API_VERSION, in_main_unit, smallest
from engine.config import Config
from engine.core.effects import Effect
from engine.core.errors import InvalidConfig
from engine.ports import Claim
from tests.providers.stripe_server import StripeServer

DECIDED_MS = 1_767_603_600_000


def dispatch(message: Message, attempt: int = 1, effect: str = "e" * 32) -> Dispatch:
    return Dispatch(Effect(effect, "ann", "recharge_transactions", "payments", "t", "", "m", 1, "e", 1, 1, 1, 1, DECIDED_MS), message, attempt)


def recharge(*invoices: str) -> Recharge:
    return Recharge(transactions=[Charge(transaction=f"t-{invoice}", invoice=invoice, product="course") for invoice in invoices])


DIRECT = Recharge(transactions=[Charge(transaction="t-1", customer="cus_1", amount=19.99, currency="usd")])


@asynccontextmanager
async def stripe(server: StripeServer, timeout_ms: int = 2_000) -> AsyncIterator[Any]:
    house = House(config=Config(send_timeout_ms=timeout_ms), clock=lambda: DECIDED_MS)
    provider = make_provider("payments", {"provider": "stripe", "base_url": server.url + "/", "key": "env:KEY"}, house, {"KEY": "sk_test_1"})
    try:
        yield provider
    finally:
        await provider.close()


async def send(server: StripeServer, one: Dispatch) -> Result:
    results: list[Result] = []
    async with stripe(server) as provider:
        await provider.send([one], lambda _, result: results.append(result))
    [result] = results
    return result


def events(result: Result) -> list[tuple[str, str]]:
    """(event, transaction or order) of a result."""
    return [(name, data.get("transaction") or data["order"]) for name, data in result.data["events"]]


async def test_the_requests_are_those_of_the_api() -> None:
    async with StripeServer() as server:
        server.invoice("in_1")
        server.subscriptions["sub_1"] = "active"
        result = await send(server, dispatch(recharge("in_1")))
        await send(server, dispatch(Cancellation(orders={"o1": "sub_1", "o2": ""})))
        await send(server, dispatch(DIRECT))
    said = {"transaction": "t-in_1", "product": "course", "invoice": "in_1", "amount": 20, "currency": "usd", "recharge": "e" * 32}
    assert (result.state, result.data) == (DELIVERED, {"events": [["transaction.charged", said]]})
    assert server.asked() == [
        "POST /v1/invoices/in_1/pay",
        "DELETE /v1/subscriptions/sub_1",
        "GET /v1/payment_intents",
        "GET /v1/customers/cus_1",
        "POST /v1/payment_intents",
    ]
    headers = server.requests[0][2]
    assert (headers["Authorization"], headers["Stripe-Version"], headers["Idempotency-Key"]) == ("Bearer sk_test_1", API_VERSION, f"wayfare-{'e' * 32}-0")
    assert "Idempotency-Key" not in server.requests[1][2], "Stripe takes none with a DELETE"
    assert server.requests[4][3] == {
        "amount": "1999",
        "currency": "usd",
        "customer": "cus_1",
        "payment_method": "pm_1",
        "confirm": "true",
        "off_session": "true",
        "metadata[wayfare_contact]": "ann",
        "metadata[wayfare_transaction]": "t-1",
        "metadata[wayfare_effect]": "e" * 32,
    }


@pytest.mark.parametrize("code", ["insufficient_funds", "expired_card", "do_not_honor", "stolen_card"])
async def test_a_decline_is_a_result(code: str) -> None:
    async with StripeServer() as server:
        server.invoice("in_1"), server.invoice("in_2")
        server.faults = [code, "", code]
        result = await send(server, dispatch(recharge("in_1", "in_2")))
        direct = await send(server, dispatch(DIRECT))
    assert (result.state, events(result)) == (DELIVERED, [("transaction.declined", "t-in_1"), ("transaction.charged", "t-in_2")])
    said = result.data["events"][0][1]
    assert (said["code"], code in said["reason"]) == (code, True)
    assert (direct.state, events(direct)) == (DELIVERED, [("transaction.declined", "t-1")])
    assert server.charges == ["in_2"]


@pytest.mark.parametrize("fault", ["lost", "done 500"])
@pytest.mark.parametrize("forgotten", [False, True], ids=["key known", "key forgotten"])
@pytest.mark.parametrize("message", [recharge("in_1"), DIRECT], ids=["invoice", "direct"])
async def test_a_lost_answer_after_charging_never_charges_again(fault: str, message: Recharge, *, forgotten: bool) -> None:
    async with StripeServer() as server:
        server.invoice("in_1")
        server.faults = [fault]
        first = await send(server, dispatch(message))
        assert (first.state, first.data["events"]) == (UNKNOWN, [])
        if forgotten:
            server.keys.clear()
        second = await send(server, dispatch(message, attempt=2))
    assert (second.state, [name for name, _ in events(second)]) == (DELIVERED, ["transaction.charged"])
    assert len(server.charges) == 1
    assert second.data["events"][0][1]["amount"] == pytest.approx(20, abs=0.02)


@pytest.mark.parametrize("message", [recharge("in_1"), DIRECT], ids=["invoice", "direct"])
async def test_an_operators_replay_as_a_first_attempt_does_not_charge_again(message: Recharge) -> None:
    """Dead letters and unknown effects that an operator lets go again have no attempts behind them."""
    async with StripeServer() as server:
        server.invoice("in_1")
        server.faults = ["lost"]
        await send(server, dispatch(message))
        server.keys.clear()
        again = await send(server, dispatch(message))
        another = await send(server, dispatch(message, effect="f" * 32))
    assert [name for name, _ in events(again) + events(another)] == ["transaction.charged"] * 2
    assert len(server.charges) == 1, "not by another effect either"


@pytest.mark.parametrize("message", [recharge("in_1"), DIRECT], ids=["invoice", "direct"])
async def test_what_never_arrived_is_charged_by_the_next_attempt(message: Recharge) -> None:
    async with StripeServer() as server:
        server.invoice("in_1")
        server.faults = ["drop"]
        assert (await send(server, dispatch(message))).state == UNKNOWN
        second = await send(server, dispatch(message, attempt=2))
    assert (second.state, len(server.charges)) == (DELIVERED, 1)


@pytest.mark.parametrize("message", [recharge("in_1"), DIRECT], ids=["invoice", "direct"])
async def test_a_fault_that_stripe_remembers_is_got_round_with_a_new_key(message: Recharge) -> None:
    async with StripeServer() as server:
        server.invoice("in_1")
        server.faults = ["500"]
        assert (await send(server, dispatch(message))).state == UNKNOWN
        second = await send(server, dispatch(message, attempt=2))
        third = await send(server, dispatch(message, attempt=3))
    assert [second.state, third.state] == [DELIVERED, DELIVERED]
    assert len(server.charges) == 1
    keys = [headers["Idempotency-Key"] for method, _, headers, _ in server.requests if method == "POST"]
    assert keys == [f"wayfare-{'e' * 32}-0", f"wayfare-{'e' * 32}-0", f"wayfare-{'e' * 32}-0-2"]


@pytest.mark.parametrize("forgotten", [False, True], ids=["key known", "key forgotten"])
async def test_a_partly_done_effect_goes_on_where_it_was(*, forgotten: bool) -> None:
    async with StripeServer() as server:
        for number in range(4):
            server.invoice(f"in_{number}")
        server.faults = ["", "insufficient_funds", "lost"]
        message = recharge("in_0", "in_1", "in_2", "in_3")
        first = await send(server, dispatch(message))
        told = [("transaction.charged", "t-in_0"), ("transaction.declined", "t-in_1")]
        assert (first.state, events(first)) == (UNKNOWN, told)
        if forgotten:
            server.keys.clear()
        server.requests.clear()
        second = await send(server, dispatch(message, attempt=2))
    assert (second.state, events(second)) == (DELIVERED, [*told, ("transaction.charged", "t-in_2"), ("transaction.charged", "t-in_3")])
    assert server.charges == ["in_0", "in_2", "in_3"]
    assert server.asked("POST") == ["POST /v1/invoices/in_3/pay"], "a decline is not tried again either"


async def test_a_decline_of_before_the_decision_does_not_count_for_ours() -> None:
    async with StripeServer() as server:
        old = {"status": "failed", "created": DECIDED_MS // 1_000 - 60}
        intent = {"id": "pi_1", "status": "requires_payment_method", "latest_charge": old, "last_payment_error": {"code": "card_declined"}}
        server.invoice("in_1", payment_intent=intent)
        result = await send(server, dispatch(recharge("in_1"), attempt=2))
    assert (events(result), server.charges) == ([("transaction.charged", "t-in_1")], ["in_1"])


@pytest.mark.parametrize(
    ("status", "intent", "event"),
    [
        ("paid", None, "transaction.charged"),
        ("void", None, "transaction.voided"),
        ("open", {"status": "processing", "created": DECIDED_MS // 1_000}, "transaction.pending"),
        ("open", {"status": "requires_action", "created": DECIDED_MS // 1_000}, "transaction.declined"),
        ("uncollectible", None, "transaction.charged"),
    ],
)
async def test_what_an_invoice_says_decides(status: str, intent: Any, event: str) -> None:
    async with StripeServer() as server:
        server.invoice("in_1", status, payment_intent=intent, amount_paid=2_000)
        result = await send(server, dispatch(recharge("in_1"), attempt=2))
        first = await send(server, dispatch(recharge("in_1")))
    assert (result.state, events(result)) == (DELIVERED, [(event, "t-in_1")])
    assert first.state == DELIVERED
    assert len(server.charges) <= 1


FAULTS = ["", "", "", "lost", "drop", "500", "done 500", "409", "429", "insufficient_funds"]


@pytest.mark.parametrize("seed", range(40))
async def test_whatever_breaks_everything_is_charged_once_or_declined(seed: int) -> None:
    """Faults, forgotten keys, operators' replays and second effects, as chance has it: what is told is what was done."""
    chance = random.Random(seed)
    async with StripeServer() as server, stripe(server) as provider:
        items = [Charge(transaction=server.invoice(f"in_{number}"), invoice=f"in_{number}") for number in range(3)]
        items += [Charge(transaction=f"t-{number}", customer="cus_1", amount=5, currency="usd") for number in range(3)]
        chance.shuffle(items)
        results: list[Result] = []
        attempt = 0
        while not results or results[-1].state != DELIVERED:
            attempt = 1 if chance.random() < 0.15 else attempt + 1
            server.faults = chance.choices(FAULTS, k=chance.randrange(8))
            if chance.random() < 0.3:
                server.keys.clear()
            await provider.send([dispatch(Recharge(transactions=items), attempt)], lambda _, result: results.append(result))
        told = events(results[-1])
        assert [transaction for _, transaction in told] == [item.transaction for item in items]
        assert sorted(server.charges) == sorted(transaction for event, transaction in told if event == "transaction.charged")
        # another effect takes what was declined, and whatever else somebody puts into collections by mistake
        server.faults = []
        await provider.send([dispatch(Recharge(transactions=items), effect="f" * 32)], lambda _, result: results.append(result))
        assert {event for event, _ in events(results[-1])} == {"transaction.charged"}
    assert sorted(server.charges) == sorted(item.transaction for item in items)


async def test_nothing_is_charged_where_earlier_payments_cannot_be_searched() -> None:
    async with StripeServer() as server:
        server.searchable = False
        result = await send(server, dispatch(DIRECT))
    assert (result.state, server.charges) == (REJECTED, [])


async def test_a_customer_without_a_card_is_a_decline() -> None:
    async with StripeServer() as server:
        server.customers["cus_1"] = {"id": "cus_1", "invoice_settings": {"default_payment_method": None}, "default_source": None}
        result = await send(server, dispatch(DIRECT))
    assert (result.state, result.data["events"][0][1]["code"], server.charges) == (DELIVERED, "no_payment_method", [])


@pytest.mark.parametrize(
    ("fault", "state", "counts", "wait_ms"),
    [("401", CREDENTIALS, True, 0), ("409", DEFERRED, True, 3_000), ("429", DEFERRED, False, 3_000), ("500", UNKNOWN, True, 0), ("drop", UNKNOWN, True, 0)],
)
async def test_what_stripe_says_of_itself(fault: str, state: str, wait_ms: int, *, counts: bool) -> None:
    async with StripeServer() as server:
        server.invoice("in_1")
        server.faults = [fault]
        result = await send(server, dispatch(recharge("in_1")))
    assert (result.state, result.counts, result.retry_after_ms, result.data) == (state, counts, wait_ms, {"events": []})


async def test_busy_after_something_was_done_counts_so_that_the_next_attempt_looks() -> None:
    async with StripeServer() as server:
        server.invoice("in_1"), server.invoice("in_2")
        server.faults = ["", "429"]
        result = await send(server, dispatch(recharge("in_1", "in_2")))
    assert (result.state, result.counts, events(result)) == (DEFERRED, True, [("transaction.charged", "t-in_1")])


async def test_what_does_not_exist_or_has_no_id_is_refused_and_the_others_are_done() -> None:
    async with StripeServer() as server:
        server.invoice("in_1")
        items = [Charge(transaction="a", invoice="in_none"), Charge(transaction="b", invoice="in_1"), Charge(transaction="c")]
        items += [Charge(transaction="d", invoice=evil) for evil in ("../customers/cus_1", "in_1?expand=x", "in_1\r\nX: y", "..", "é")]
        items += [Charge(transaction="e", customer="cus_1", amount=amount, currency="usd") for amount in (0.001, 1e9)]
        items += [Charge(transaction="in_1"), Charge(transaction="f", customer="cus_1", amount=5, currency="$&a=b")]
        result = await send(server, dispatch(Recharge(transactions=items)))
        assert (result.state, events(result)) == (REJECTED, [("transaction.charged", "b"), ("transaction.charged", "in_1")])
        assert "No such invoices" in result.reason
        assert {path for path in server.asked() if "in_1" not in path and "in_none" not in path} == set()


async def test_subscriptions_are_cancelled_once() -> None:
    async with StripeServer() as server:
        server.subscriptions = {"sub_1": "active", "sub_2": "trialing", "sub_sched_3": "active"}
        message = Cancellation(orders={"o1": "sub_1", "o2": "sub_2", "o3": "sub_sched_3"})
        server.faults = ["", "", "lost"]
        first = await send(server, dispatch(message))
        assert (first.state, events(first)) == (UNKNOWN, [("order.cancelled", "o1"), ("order.cancelled", "o2")])
        server.requests.clear()
        second = await send(server, dispatch(message, attempt=2))
        assert (second.state, events(second)) == (DELIVERED, [("order.cancelled", order) for order in ("o1", "o2", "o3")])
        assert server.asked() == [
            *(f"GET /v1/subscriptions/sub_{number}" for number in (1, 2)),
            "GET /v1/subscription_schedules/sub_sched_3",
        ]
        again = await send(server, dispatch(message))
        assert again.state == DELIVERED, "what was cancelled already is cancelled"
    assert set(server.subscriptions.values()) == {"canceled"}


async def test_a_subscription_that_is_not_there_is_refused() -> None:
    async with StripeServer() as server:
        server.subscriptions = {"sub_1": "active", "sub_sched_1": "released"}
        result = await send(server, dispatch(Cancellation(orders={"o1": "sub_none", "o2": "sub_1", "o3": "../sub", "o4": "sub_sched_1"})))
    assert (result.state, events(result)) == (REJECTED, [("order.cancelled", "o2")])
    assert "sub_none" in result.reason
    assert "released" in result.reason, "then its subscription goes on without it"
    assert "no id" in result.reason


async def test_facts_are_told_whatever_the_effect_becomes() -> None:
    """A deferral, a dead letter and an unknown result report what is certain; so does nothing else without facts."""
    config = Config(effect_life_ms=1_000)
    data = {"events": [["transaction.charged", {"transaction": "t"}]]}
    claim = Claim(1, "t", 1, dispatch(recharge()).effect, first_ms=DECIDED_MS)
    for state, once, now_ms, settled in [
        (DEFERRED, False, DECIDED_MS, "deferred"),
        (UNKNOWN, False, DECIDED_MS, "deferred"),
        (UNKNOWN, True, DECIDED_MS, "unknown"),
        (DEFERRED, False, DECIDED_MS + 10_000, "dead"),
    ]:
        settle = settle_of(claim, Result(state=state, data=data), now_ms, config, once=once)
        assert (settle.state, settle.report, settle.data) == (settled, True, data)
        quiet = settle_of(claim, Result(state=state), now_ms, config, once=once)
        assert quiet.report is (settled == "dead")


def test_amounts_are_counted_as_stripe_does() -> None:
    assert [smallest(19.99, "usd"), smallest(0.29, "EUR"), smallest(500, "jpy"), smallest(1.234, "kwd")] == [1_999, 29, 500, 1_234]
    assert [in_main_unit(1_999, "usd"), in_main_unit(500, "JPY"), in_main_unit(1_234, "kwd"), in_main_unit(None, "usd")] == [19.99, 500, 1.234, 0]


@pytest.mark.parametrize(
    "settings", [{"base_url": "ftp://x"}, {"base_url": ""}, {"connections": 0}, {"key": "a\nb"}, {"key": ""}, {"key": "a b"}, {"kee": "x"}, {"key": None}]
)
async def test_settings_that_cannot_work_are_said(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig, match=r"providers\.yaml: payments: ") as error:
        make_provider("payments", {"provider": "stripe", "key": "sk_s3cret", **settings}, House(config=Config(), clock=lambda: 0), {})
    assert "s3cret" not in str(error.value)
