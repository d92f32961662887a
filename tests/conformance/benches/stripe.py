"""Stripe at a server that answers as its API does. Each message recharges one transaction, whose invoice is paid."""

from __future__ import annotations

from typing import Any

import msgspec

from actions.messages import Charge, Message, Recharge
from tests.conformance.benches.bench import EVIL, HttpBench


class StripeBench(HttpBench):
    name, channel, action, code = "stripe", "payments", "recharge_transactions", "resource_missing"
    faults = {
        "rejected": (404, {}, '{"error": {"type": "invalid_request_error", "code": "resource_missing", "message": "No such invoice: \'in_1\'"}}'),
        "deferred": (409, {"Retry-After": "7"}, '{"error": {"type": "idempotency_error", "message": "still at work"}}'),
        "silent": "silence",
        "slow": "slow",
        "dropped after": "drop",
        "credentials": (401, {}, '{"error": {"type": "invalid_request_error", "message": "Invalid API Key provided"}}'),
        "evil": (404, {}, msgspec.json.encode({"error": {"type": "invalid_request_error", "message": EVIL}}).decode()),
    }

    def __init__(self) -> None:
        super().__init__({"id": "in_1", "status": "paid", "amount_paid": 2000, "currency": "usd"})

    def block(self) -> dict[str, Any]:
        return {"provider": "stripe", "base_url": self.server.url, "key": "env:SECRET", "webhook_secret": "env:SECRET"}

    def message(self, text: str) -> Message:
        return Recharge(transactions=[Charge(transaction=text, order=text, product=text, invoice="in_1")])
