"""`send_to_fulfillment`: the contact onto a fulfillment list, with the fields that it has now."""

from __future__ import annotations

from typing import Any, ClassVar

from actions.listing import Listing
from engine.core.action_kind import Turn


class SendToFulfillment(Listing, frozen=True, kw_only=True):
    """Who is on the list already gets a new row: the fields of now."""

    kind: ClassVar[str] = "send_to_fulfillment"

    def row(self, turn: Turn) -> dict[str, Any]:
        return {"contact": turn.contact.id, "added_ms": turn.now_ms, "fields": dict(turn.contact.fields)}
