"""Meta's custom audiences at a strict server of our own."""

from __future__ import annotations

from typing import Any

from actions.audience import keys_of
from actions.messages import AudienceChange, Message
from tests.conformance.benches.bench import EVIL, HttpBench
from tests.providers.graph_server import GraphServer, graph_error


class FacebookBench(HttpBench):
    name, channel, action, code = "facebook", "facebook", "update_facebook_audience", "100.33"
    faults = {
        "rejected": (400, {}, graph_error(100, "Unsupported post request", error_subcode=33)),
        "deferred": (503, {"Retry-After": "7"}, graph_error(2, "Service temporarily unavailable", is_transient=True)),
        "silent": "silence",
        "slow": "slow",
        "dropped after": "drop",
        "credentials": (400, {}, graph_error(190, "Error validating access token", error_subcode=463)),
        "evil": (400, {}, graph_error(100, EVIL)),
    }

    def __init__(self) -> None:
        self.server = GraphServer("sw0rdfish")

    def block(self) -> dict[str, Any]:
        return {"base_url": self.server.url, "token": "env:SECRET", "gather_ms": 20}

    def message(self, text: str) -> Message:
        keys = keys_of(text, {"email": "ann@example.com", "first_name": text, "last_name": text, "city": text, "zip": text, "country": text})
        return AudienceChange(audience=self.dest(), action="add", keys=keys)

    def dest(self) -> str:
        return "23847777777777777"

    def received(self) -> int:
        return sum(self.server.sizes)

    def performed(self) -> int:
        """Members, since to add somebody twice changes nothing."""
        return sum(len(members) for members in self.server.members.values())
