"""`remove_from_fulfillment`: the contact off a fulfillment list."""

from __future__ import annotations

from typing import ClassVar

from actions.listing import Listing
from engine.core.action_kind import Turn


class RemoveFromFulfillment(Listing, frozen=True, kw_only=True):
    """What was mailed already stays mailed."""

    kind: ClassVar[str] = "remove_from_fulfillment"

    def row(self, turn: Turn) -> None:
        return None
