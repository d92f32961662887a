"""Twilio at a server that answers as its API does."""

from __future__ import annotations

from typing import Any

import msgspec

from actions.messages import Message, Sms
from tests.conformance.benches.bench import EVIL, HttpBench


class TwilioBench(HttpBench):
    name, channel, action, code = "twilio", "sms", "send_sms", "21211"
    faults = {
        "rejected": (400, {}, '{"code": 21211, "message": "Invalid To"}'),
        "deferred": (503, {"Retry-After": "7"}, '{"code": 20503, "message": "Later"}'),
        "silent": "silence",
        "slow": "slow",
        "dropped after": "drop",
        "credentials": (401, {}, '{"code": 20003, "message": "Authenticate"}'),
        "evil": (400, {}, msgspec.json.encode({"code": 1, "message": EVIL}).decode()),
    }

    def __init__(self) -> None:
        super().__init__({"sid": "SM1"})

    def block(self) -> dict[str, Any]:
        return {"provider": "twilio", "base_url": self.server.url, "account": "AC1", "token": "env:SECRET", "from": "+12025550100"}

    def message(self, text: str) -> Message:
        return Sms(to="+12025550199", sender="+12025550100", text=text)
