"""SendGrid at a server that answers as its API does."""

from __future__ import annotations

from typing import Any

import msgspec

from actions.messages import Email, Message
from tests.conformance.benches.bench import EVIL, HttpBench


def error(message: str) -> str:
    return msgspec.json.encode({"errors": [{"message": message, "field": None, "help": None}]}).decode()


class SendGridBench(HttpBench):
    name, channel, action, code = "sendgrid", "email", "send_email", "valid address"
    faults = {
        "rejected": (400, {}, error("Does not contain a valid address.")),
        "deferred": (503, {"Retry-After": "7"}, error("Service Unavailable")),
        "silent": "silence",
        "slow": "slow",
        "dropped after": "drop",
        "credentials": (401, {}, error("The provided authorization grant is invalid, expired, or revoked")),
        "evil": (400, {}, error(EVIL)),
    }

    def block(self) -> dict[str, Any]:
        return {"provider": "sendgrid", "base_url": self.server.url, "key": "env:SECRET", "from": "Shop <shop@example.com>"}

    def message(self, text: str) -> Message:
        return Email(to="Ann <ann@example.com>", sender="shop@example.com", subject=text[:1_500], html=f"<p>{text}</p>", text=text)
