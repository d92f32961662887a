"""Amazon SES at a server that answers as its API does."""

from __future__ import annotations

from typing import Any

import msgspec

from actions.messages import Email, Message
from tests.conformance.benches.bench import EVIL, HttpBench


class SesBench(HttpBench):
    name, channel, action, code = "ses", "email", "send_email", "MessageRejected"
    faults = {
        "rejected": (400, {"x-amzn-ErrorType": "MessageRejected"}, '{"message": "Virus detected"}'),
        "deferred": (503, {"Retry-After": "7"}, "<html>"),
        "silent": "silence",
        "slow": "slow",
        "dropped after": "drop",
        "credentials": (403, {"x-amzn-ErrorType": "UnrecognizedClientException"}, '{"message": "The security token is invalid."}'),
        "evil": (400, {}, msgspec.json.encode({"__type": "x#BadRequestException", "message": EVIL}).decode()),
    }

    def __init__(self) -> None:
        super().__init__({"MessageId": "0100"})

    def block(self) -> dict[str, Any]:
        key = {"region": "eu-west-1", "access_key": "AKIA1", "secret_key": "env:SECRET"}
        return {"provider": "ses", "base_url": self.server.url, **key, "from": "Shop <shop@example.com>"}

    def message(self, text: str) -> Message:
        return Email(to="Ann <ann@example.com>", sender="shop@example.com", subject=text[:1_500], html=f"<p>{text}</p>", text=text)
