"""WordPress's users, at a server that answers as its REST API does; a user of its own for each message."""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec

from actions.messages import Access, Message
from tests.conformance.benches.bench import EVIL, HttpBench
from tests.providers.wordpress_server import WordpressServer


class WordpressBench(HttpBench):
    name, channel, action, code, blames = "wordpress", "wordpress", "give_wordpress_access", "rest_invalid_param", "dest"
    faults = {
        "rejected": (400, {}, '{"code": "rest_invalid_param", "message": "Invalid parameter(s): email", "data": {"status": 400}}'),
        "deferred": (503, {"Retry-After": "7"}, "<h1>Briefly unavailable for scheduled maintenance.</h1>"),
        "silent": "silence",
        "slow": "slow",
        "dropped after": "drop",
        "credentials": (401, {}, '{"code": "rest_forbidden_context", "message": "Sorry, you are not allowed to edit users.", "data": {"status": 401}}'),
        "evil": (400, {}, msgspec.json.encode({"code": "x", "message": EVIL}).decode()),
    }

    def __init__(self) -> None:
        self.server = WordpressServer()
        self._numbers = count(1)

    def block(self) -> dict[str, Any]:
        return {"members": {"base_url": self.server.url, "username": "bot", "password": "env:SECRET", "levels": {"gold": "member_gold"}}}

    def message(self, text: str) -> Message:
        return Access(site="members", level="gold", email=f"ann{next(self._numbers)}@example.com", give=True, first_name=text)

    def dest(self) -> str:
        return "members"

    def received(self) -> int:
        return int(self.server.writes)
