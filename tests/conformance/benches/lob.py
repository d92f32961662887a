"""Lob at a server that answers as its API does."""

from __future__ import annotations

from typing import Any

import msgspec

from actions.messages import Message, Postcard
from tests.conformance.benches.bench import EVIL, HttpBench


def error(code: str, message: str, status: int) -> str:
    """An error as Lob words it."""
    return msgspec.json.encode({"error": {"message": message, "status_code": status, "code": code}}).decode()


class LobBench(HttpBench):
    name, channel, action, code = "lob", "postcard", "send_postcard", "address_length_exceeds_limit"
    faults = {
        "rejected": (422, {}, error("address_length_exceeds_limit", "to.name must be shorter", 422)),
        "deferred": (503, {"Retry-After": "7"}, error("service_unavailable", "Later", 503)),
        "silent": "silence",
        "slow": "slow",
        "dropped after": "drop",
        "credentials": (401, {}, error("unauthorized", "Your API key is not valid.", 401)),
        "evil": (422, {}, error("bad_request", EVIL, 422)),
    }

    def __init__(self) -> None:
        super().__init__({"id": "psc_1", "expected_delivery_date": "2026-01-12"})

    def block(self) -> dict[str, Any]:
        return {"provider": "lob", "base_url": self.server.url, "key": "env:SECRET", "from": "adr_1"}

    def message(self, text: str) -> Message:
        to = {"name": text[:200], "address1": "210 King St", "city": text[:200], "state": "CA", "zip": "94107", "country": "US"}
        return Postcard(to=to, front=f"<p>{text}</p>", back=text)
