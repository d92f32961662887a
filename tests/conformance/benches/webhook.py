"""Webhooks at any server."""

from __future__ import annotations

from typing import Any

from actions.messages import Message, Request
from tests.conformance.benches.bench import EVIL, HttpBench


class WebhookBench(HttpBench):
    name, channel, action, code, blames = "webhook", "webhook", "send_webhook", "410", "dest"
    faults = {
        "rejected": (410, {}, "gone"),
        "deferred": (503, {"Retry-After": "7"}, "later"),
        "silent": "silence",
        "slow": "slow",
        "dropped after": "drop",
        "evil": (400, {}, EVIL),
    }

    def block(self) -> dict[str, Any]:
        return {"secret": "env:SECRET", "allow_private": True}

    def message(self, text: str) -> Message:
        return Request(method="POST", url=f"{self.server.url}/hook", body=text)
