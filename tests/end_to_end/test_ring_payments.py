"""Payments through the whole ring at a server that counts charges: what is certain is told at once, and the rest is resumed."""

from __future__ import annotations

from typing import Any

from tests.end_to_end.ring import running, until
from tests.providers.stripe_server import StripeServer


def counting(event: str) -> dict[str, Any]:
    path = [{"update_contact": {"increase": {event.replace(".", "_"): 1}}}, "exit"]
    return {"map": event.replace(".", "-"), "reentry": "parallel", "triggers": [{"event": event}], "path": path}


MAPS = [
    {"map": "again", "triggers": [{"event": "try"}], "path": ["recharge_transactions", "exit"]},
    {"map": "stop", "triggers": [{"event": "stop"}], "path": ["cancel_open_orders", "exit"]},
    *map(counting, ("transaction.charged", "transaction.declined", "order.cancelled", "order.cancel_failed")),
]


async def test_a_partly_done_recharge_tells_what_is_certain_and_goes_on_after_a_crash() -> None:
    async with running(retry_ms_min=2_000, retry_ms_max=2_000) as ring, StripeServer() as server:
        payments = {"provider": "stripe", "key": "sk_1", "base_url": server.url}
        await ring.publish({"maps": MAPS, "providers": {**ring.providers, "payments": payments}})
        ring.start_shard()
        for number in range(3):
            await ring.accepted("/v1/events", {"contact": "ann", "name": "transaction.collections", "data": {"transaction": server.invoice(f"in_{number}")}})
        await ring.accepted("/v1/events", {"contact": "ann", "name": "try"})
        await ring.read_on()
        server.now_s = 2**31  # charges that fail do so after the decision
        server.faults = ["", "expired_card", "lost"]
        await ring.start_pools("payments")

        async def two_are_told() -> bool:
            fields = (await ring.contact("ann"))["fields"]
            return (fields.get("transaction_charged"), fields.get("transaction_declined")) == (1, 1)

        await until(two_are_told, "before the effect is settled")
        assert await ring.effects("payments") == {"decided": 1, "pending": 1}
        assert [one.get("recharging", False) for one in (await ring.contact("ann"))["transactions"].values()] == [False, False, True]
        await ring.kill_pools()
        server.keys.clear()
        await ring.start_pools("payments")
        await ring.carried("payments")
        assert server.charges == ["in_0", "in_2"]
        shown = await ring.contact("ann")
        assert (shown["fields"]["transaction_charged"], shown["fields"]["transaction_declined"]) == (2, 1)
        assert [one["status"] for one in shown["transactions"].values()] == ["charged", "collections", "charged"]
        assert not any("recharging" in one for one in shown["transactions"].values())
        await ring.conserved()


async def test_an_order_that_stripe_does_not_know_is_open_again() -> None:
    async with running() as ring, StripeServer() as server:
        payments = {"provider": "stripe", "key": "sk_1", "base_url": server.url}
        await ring.publish({"maps": MAPS, "providers": {**ring.providers, "payments": payments}})
        ring.start_shard()
        server.subscriptions["sub_1"] = "active"
        for order, subscription in (("o1", "sub_1"), ("o2", "sub_none")):
            await ring.accepted("/v1/events", {"contact": "ann", "name": "order.opened", "data": {"order": order, "subscription": subscription}})
        await ring.accepted("/v1/events", {"contact": "ann", "name": "stop"})
        await ring.start_pools("payments")
        await ring.carried("payments")
        shown = await ring.contact("ann")
        assert {name: order["status"] for name, order in shown["orders"].items()} == {"o1": "cancelled", "o2": "open"}
        assert (shown["fields"]["order_cancelled"], shown["fields"]["order_cancel_failed"]) == (2, 1)
        assert (server.subscriptions["sub_1"], await ring.effects("payments")) == ("canceled", {"decided": 1, "rejected": 1})
        await ring.conserved()
