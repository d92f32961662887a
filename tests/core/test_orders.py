"""Orders and transactions: what is kept, what is no news, what the two actions decide, and that nothing is charged twice."""

from __future__ import annotations

from typing import Any

import pytest

from actions.registry import load_registry
from engine.codec import encode
from engine.config import Config
from engine.core.contact import FORMAT, Contact
from engine.core.records import Erase, Event, Outcome
from engine.core.workspace import problems_of
from tests.core.stepping import DAY, HOUR, NOW, Bench, workspace_of

FIRED = ("order.opened", "order.updated", "order.cancelled", "order.cancel_failed", "transaction.charged", "transaction.declined", "transaction.collections")


def log(event: str) -> dict[str, Any]:
    """A map that writes down each event of a name: which, and of what product."""
    note = "{{ event.order }}{{ event.transaction }}:{{ event.product }}"
    path: list[Any] = [{"change_tags": {"add": [f"{event} {note}"]}}, {"update_contact": {"increase": {event.replace(".", "_"): 1}}}, "exit"]
    return {"map": event.replace(".", "-"), "reentry": "parallel", "triggers": [{"event": event}], "path": path}


def bench(*, bounds: Config | None = None, **kinds: Any) -> Bench:
    """`cancel` and `recharge` run the two actions."""
    cancel = {"map": "cancel", "reentry": "parallel", "triggers": [{"event": "cancel"}], "path": [{"cancel_open_orders": kinds}, "exit"]}
    recharge = {"map": "recharge", "reentry": "parallel", "triggers": [{"event": "recharge"}], "path": ["recharge_transactions", "exit"]}
    return Bench(workspace_of(cancel, recharge, *map(log, FIRED), bounds=bounds, products={"course": {"name": "Course"}, "club": {"name": "Club"}}))


def send(made: Bench, name: str, *, at: int = 0, time: int | None = None, **data: Any) -> Contact:
    return made.step(Event("ann", name, data, time=None if time is None else NOW + time), at=at)


def fired(made: Bench, event: str) -> int:
    count = made.contact().fields.get(event.replace(".", "_"), 0)
    assert isinstance(count, int)
    return count


def settle(made: Bench, status: str, *events: Any, at: int = 0, reason: str = "", effect: Any = None) -> Contact:
    """The outcome of the effect decided last."""
    made_of = effect or made.effect  # type: ignore[attr-defined]
    return made.step(Outcome("ann", made_of.id, made_of.kind, status, reason, data={"events": list(events)}), at=at)


def decide(made: Bench, event: str, *, at: int = 0) -> Any:
    """Run one of the two maps; the effect that it decided, None where it did not."""
    send(made, event, at=at)
    made.effect = made.changes.effects[0] if made.changes.effects else None  # type: ignore[attr-defined]
    assert len(made.changes.effects) <= 1
    return made.effect  # type: ignore[attr-defined]


def test_a_contact_without_orders_costs_two_bytes() -> None:
    contact = Contact(FORMAT, "ann")
    assert len(encode(contact.orders)) + len(encode(contact.transactions)) == 2


def test_yesterdays_checkpoint_loads() -> None:
    made = bench()
    contact = Contact(FORMAT, "ann")
    before = contact.__struct_fields__[: contact.__struct_fields__.index("orders")]
    made.stored["ann"] = encode([getattr(contact, name) for name in before])
    assert made.contact().orders == {}
    assert send(made, "order.opened", order=7, product="course", amount=20).orders["7"].amount == 20


def test_an_order_is_kept_filled_and_fired_once() -> None:
    made = bench()
    opened = {"order": "o1", "product": "course", "kind": "plan", "amount": 30, "currency": "usd", "subscription": "sub_1"}
    send(made, "order.opened", **opened)
    contact = send(made, "order.opened", at=1, **opened)
    order = contact.orders["o1"]
    assert (order.status, order.kind, order.product, order.subscription, order.amount, order.at) == ("open", "plan", "course", "sub_1", 30, NOW + 1)
    assert fired(made, "order.opened") == 1
    send(made, "order.updated", at=2, order="o1", kind="subscription")
    send(made, "order.updated", at=3, order="o1", kind="subscription")
    assert (fired(made, "order.updated"), made.contact().orders["o1"].kind) == (1, "subscription")
    send(made, "order.cancelled", at=4, order="o1")
    contact = send(made, "order.cancelled", at=5, order="o1")
    assert contact.orders["o1"].status == "cancelled"
    assert "order.cancelled o1:course" in contact.tags, "the record knows the product"
    assert fired(made, "order.cancelled") == 1
    assert send(made, "order.updated", at=6, order="o1", kind="trial").orders["o1"].status == "cancelled"


def test_what_comes_late_does_not_undo_what_came_after_it() -> None:
    made = bench()
    send(made, "order.cancelled", at=DAY, time=2 * HOUR, order="o1")
    send(made, "order.opened", at=DAY, time=HOUR, order="o1")
    assert made.contact().orders["o1"].status == "cancelled"
    send(made, "order.opened", at=DAY, time=3 * HOUR, order="o1")
    assert made.contact().orders["o1"].status == "open", "but it may be opened again"
    send(made, "transaction.collections", at=DAY, time=2 * HOUR, transaction="t1")
    send(made, "transaction.declined", at=DAY, time=HOUR, transaction="t1")
    assert (made.contact().transactions["t1"].status, fired(made, "transaction.declined")) == ("collections", 0)
    send(made, "transaction.charged", at=DAY, time=HOUR, transaction="t1")
    assert made.contact().transactions["t1"].status == "charged", "money that came in is news however late"
    send(made, "transaction.declined", at=2 * DAY, transaction="t1")
    assert made.contact().transactions["t1"].status == "charged"
    assert send(made, "transaction.refunded", at=2 * DAY, transaction="t1").transactions["t1"].status == "refunded"


def test_what_is_no_news_still_fills_blanks() -> None:
    """The shop tells of an order at once, and the provider's own notice, which is older, brings the id that cancelling needs."""
    made = bench()
    send(made, "order.opened", at=5_000, order="o1", product="course")
    send(made, "order.opened", at=6_000, time=4_000, order="o1", product="prod_1", subscription="sub_1")
    order = made.contact().orders["o1"]
    assert (order.product, order.subscription, fired(made, "order.opened")) == ("course", "sub_1", 1)
    send(made, "transaction.collections", at=5_000, transaction="t1")
    send(made, "transaction.declined", at=6_000, time=4_000, transaction="t1", invoice="in_1")
    assert (made.contact().transactions["t1"].invoice, fired(made, "transaction.declined")) == ("in_1", 0)


def test_a_clock_that_is_ahead_does_not_shut_out_what_comes_next() -> None:
    made = bench()
    send(made, "transaction.collections", time=DAY, transaction="t1")
    assert made.contact().transactions["t1"].at == NOW
    assert send(made, "transaction.voided", at=1, transaction="t1").transactions["t1"].status == "void"


@pytest.mark.parametrize("name", ["transaction.failed", "transaction.declined"])
def test_a_decline_has_one_name_and_leaves_collections_as_they_are(name: str) -> None:
    made = bench()
    send(made, name, transaction="t1", order="o1")
    assert (made.contact().transactions["t1"].status, fired(made, "transaction.declined")) == ("declined", 1)
    send(made, "transaction.collections", at=1, transaction="t1")
    send(made, "transaction.collections", at=2, transaction="t1")
    send(made, name, at=3, transaction="t1")
    assert (made.contact().transactions["t1"].status, fired(made, "transaction.collections")) == ("collections", 1)
    assert fired(made, "transaction.declined") == 2, "each decline is a fact"


@pytest.mark.parametrize("key", [None, "", True, 1.5, {"a": 1}, "x" * 256, 10**18])
def test_facts_without_a_usable_id_are_events_and_are_not_kept(key: Any) -> None:
    made = bench()
    contact = send(made, "transaction.failed", transaction=key, product="course")
    send(made, "order.opened", order=key)
    assert (contact.transactions, made.contact().orders) == ({}, {})
    assert (fired(made, "transaction.declined"), fired(made, "order.opened")) == (1, 1)


def test_hostile_values_are_left_out() -> None:
    contact = send(bench(), "order.opened", order="o1", product=["x"], kind="k" * 300, amount=float("inf"), currency=None, subscription={"a": 1})
    assert (contact.orders["o1"].product, contact.orders["o1"].kind, contact.orders["o1"].amount, contact.orders["o1"].subscription) == ("", "", 0, "")


def test_what_is_over_and_oldest_is_dropped_first() -> None:
    made = bench(bounds=Config(orders_max=3, transactions_max=2))
    for number in range(3):
        send(made, "order.opened", at=number, order=f"o{number}")
    send(made, "order.cancelled", at=3, order="o1")
    assert set(send(made, "order.opened", at=4, order="o3").orders) == {"o0", "o2", "o3"}
    assert set(send(made, "order.opened", at=5, order="o4").orders) == {"o2", "o3", "o4"}
    send(made, "transaction.collections", at=6, transaction="t0", invoice="in_0")
    decide(made, "recharge", at=7)
    send(made, "transaction.collections", at=8, transaction="t1")
    assert set(send(made, "transaction.collections", at=9, transaction="t2").transactions) == {"t0", "t2"}, "not what is under way"


def test_cancelling_is_one_effect_and_one_event_for_each_order() -> None:
    made = bench()
    send(made, "order.opened", order="o1", product="course", subscription="sub_1")
    send(made, "order.opened", order="o2", product="club", subscription="sub_2")
    send(made, "order.opened", order="o3", product="club")
    effect = decide(made, "cancel", at=1)
    assert (effect.kind, effect.channel, effect.lane) == ("cancel_open_orders", "payments", "t")
    assert effect.params == {"orders": {"o1": "sub_1", "o2": "sub_2", "o3": ""}}
    assert {order.status for order in made.contact().orders.values()} == {"cancelled"}
    assert fired(made, "order.cancelled") == 3
    assert decide(made, "cancel", at=2) is None
    assert made.totals["map:cancel:suppressed"] == 1
    # the provider's own notice is no news
    assert fired(made, "order.cancelled") == 3
    send(made, "order.cancelled", at=10_000, time=2_000, order="o1")
    assert fired(made, "order.cancelled") == 3


def test_cancelling_of_one_product_leaves_the_others() -> None:
    made = bench(product="club")
    send(made, "order.opened", order="o1", product="course", subscription="sub_1")
    assert decide(made, "cancel", at=1) is None
    send(made, "order.opened", order="o2", product="club")
    assert decide(made, "cancel", at=2) is None, "nothing stands at the provider"
    assert [order.status for order in made.contact().orders.values()] == ["open", "cancelled"]
    assert made.totals["map:cancel:suppressed"] == 1


def test_an_order_that_the_provider_does_not_cancel_is_open_again() -> None:
    made = bench()
    send(made, "order.opened", order="o1", product="course", subscription="sub_1")
    send(made, "order.opened", order="o2", subscription="sub_2")
    effect = decide(made, "cancel", at=1)
    settle(made, "rejected", ["order.cancelled", {"order": "o2", "subscription": "sub_2"}], at=2, reason="no such subscription")
    orders = made.contact().orders
    assert [(order.status, order.by) for order in orders.values()] == [("open", ""), ("cancelled", "")]
    assert (fired(made, "order.cancel_failed"), fired(made, "order.cancelled")) == (1, 2)
    # somebody replays the dead letter
    settle(made, "delivered", ["order.cancelled", {"order": "o1"}], at=3, effect=effect)
    assert made.contact().orders["o1"].status == "cancelled"


def test_a_full_outbox_parks_and_nothing_is_cancelled_meanwhile() -> None:
    made = bench()
    send(made, "order.opened", order="o1", subscription="sub_1")
    made.step(Event("ann", "cancel"), full=frozenset({"payments/"}))
    assert (made.contact().orders["o1"].status, made.changes.effects) == ("open", [])
    assert made.changes.parked == [("payments/", "ann")]


def collections(made: Bench, *names: str) -> None:
    for name in names:
        send(made, "transaction.collections", transaction=name, invoice=f"in_{name}", amount=20, currency="usd", product="course")


def test_recharging_takes_what_is_in_collections_once() -> None:
    made = bench()
    assert decide(made, "recharge") is None
    collections(made, "a", "b")
    send(made, "transaction.declined", transaction="c", invoice="in_c")
    effect = decide(made, "recharge", at=1)
    assert (effect.kind, effect.channel) == ("recharge_transactions", "payments")
    told = {"product": "course", "currency": "usd", "amount": 20}
    assert effect.params == {"transactions": [{"transaction": name, "invoice": f"in_{name}", **told} for name in ("a", "b")]}
    assert decide(made, "recharge", at=2) is None, "one is under way"
    collections(made, "d")
    second = decide(made, "recharge", at=3)
    assert [one["transaction"] for one in second.params["transactions"]] == ["d"]
    declined = ["transaction.declined", {"transaction": "b", "recharge": effect.id, "reason": "card_declined"}]
    settle(made, "delivered", ["transaction.charged", {"transaction": "a", "recharge": effect.id}], declined, at=4, effect=effect)
    assert [(one.status, bool(one.by)) for one in made.contact().transactions.values()] == [
        ("charged", False),
        ("collections", False),
        ("declined", False),
        ("collections", True),
    ]
    assert "transaction.charged a:course" in made.contact().tags
    third = decide(made, "recharge", at=5)
    assert [one["transaction"] for one in third.params["transactions"]] == ["b"]


def test_what_an_effect_told_before_is_not_told_again() -> None:
    """A partly done effect tells what it knows, is tried again, and tells all of it."""
    made = bench()
    collections(made, "a", "b", "c")
    effect = decide(made, "recharge", at=1)
    known = [
        ["transaction.charged", {"transaction": "a", "recharge": effect.id}],
        ["transaction.declined", {"transaction": "b", "recharge": effect.id}],
    ]
    settle(made, "deferred", *known, at=2)
    assert (fired(made, "transaction.charged"), fired(made, "transaction.declined")) == (1, 2 - 1)
    assert made.contact().transactions["c"].by == effect.id, "not settled"
    settle(made, "delivered", *known, ["transaction.declined", {"transaction": "c", "recharge": effect.id}], at=3)
    assert (fired(made, "transaction.charged"), fired(made, "transaction.declined")) == (1, 2)


@pytest.mark.parametrize("status", ["rejected", "dead", "unknown", "delivered"])
def test_every_outcome_frees_the_transactions(status: str) -> None:
    made = bench()
    collections(made, "a")
    decide(made, "recharge", at=1)
    settle(made, status, at=2)
    assert decide(made, "recharge", at=3) is not None


def test_an_effect_without_an_outcome_holds_no_longer_than_effects_live() -> None:
    made = bench(bounds=Config(effect_life_ms=10 * HOUR))
    collections(made, "a")
    decide(made, "recharge", at=0)
    assert decide(made, "recharge", at=10 * HOUR - 1) is None
    assert decide(made, "recharge", at=10 * HOUR) is not None


def test_the_providers_notice_of_our_own_attempt_is_no_second_decline() -> None:
    made = bench()
    collections(made, "a")
    effect = decide(made, "recharge", at=1_000)
    send(made, "transaction.declined", at=3_000, time=2_000, transaction="a")
    assert fired(made, "transaction.declined") == 0, "the outcome will tell"
    settle(made, "delivered", ["transaction.declined", {"transaction": "a", "recharge": effect.id}], at=4_000)
    send(made, "transaction.declined", at=5_000, time=2_000, transaction="a")
    assert fired(made, "transaction.declined") == 1
    send(made, "transaction.declined", at=DAY, time=DAY - 1_000, transaction="a")
    assert fired(made, "transaction.declined") == 2, "the provider tried again by itself"


def test_a_notice_of_the_charge_before_the_outcome_tells_once() -> None:
    made = bench()
    collections(made, "a")
    effect = decide(made, "recharge", at=1_000)
    send(made, "transaction.charged", at=3_000, time=2_000, transaction="a")
    settle(made, "delivered", ["transaction.charged", {"transaction": "a", "recharge": effect.id}], at=4_000)
    assert (fired(made, "transaction.charged"), made.contact().transactions["a"].status) == (1, "charged")


def test_what_cannot_work_is_said_at_publish() -> None:
    path = [{"cancel_open_orders": {"product": "curse"}}, {"recharge_transactions": {"all": True}}, "exit"]
    documents = {"maps": [{"map": "m", "path": path}], "products": {"course": {"name": "Course"}}}
    said = [problem.message for problem in problems_of(documents, load_registry(), Config())]
    assert sum("needs a provider for the channel payments" in message for message in said) == 2
    assert any('no product "curse"' in message for message in said)
    assert any('no parameter "all"' in message for message in said)


def test_erasure_forgets_them() -> None:
    made = bench()
    collections(made, "a")
    send(made, "order.opened", order="o1")
    contact = made.step(Erase("ann"))
    assert (contact.orders, contact.transactions) == ({}, {})
