"""The endpoint of a membership site."""

from __future__ import annotations

from itertools import count
from typing import Any

from actions.messages import Membership, Message
from tests.conformance.benches.bench import EVIL, HttpBench


class MembershipBench(HttpBench):
    name, channel, action, code, blames = "membership", "membership", "update_membership", "410", "dest"
    faults = {
        "rejected": (410, {}, "gone"),
        "deferred": (503, {"Retry-After": "7"}, "later"),
        "silent": "silence",
        "slow": "slow",
        "dropped after": "drop",
        "credentials": (401, {}, "bad signature"),
        "evil": (400, {}, EVIL),
    }

    def __init__(self) -> None:
        super().__init__()
        self._numbers = count(1)

    def block(self) -> dict[str, Any]:
        return {"academy": {"url": f"{self.server.url}/access", "secret": "env:SECRET"}}

    def message(self, text: str) -> Message:
        """Of another contact each, since one after the other would be another test. The kind bounds what is cut here."""
        contact = f"{text[:200]}-{next(self._numbers)}"
        return Membership(contact=contact, email=text[:320], site="academy", level=text[:100], status="enabled", decided_ms=1, name=text)

    def dest(self) -> str:
        return "academy"
