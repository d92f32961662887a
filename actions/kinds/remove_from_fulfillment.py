"""`remove_from_fulfillment`: the contact off a fulfillment list."""

from __future__ import annotations

from typing import ClassVar

from actions.action import Action
from engine.core.action_kind import Act, Site, Turn


class RemoveFromFulfillment(Action, frozen=True, kw_only=True):
    """Deletes the row that `send_to_fulfillment` wrote."""

    kind: ClassVar[str] = "remove_from_fulfillment"

    list: str

    def prepare(self, site: Site) -> Act:
        site.need("fulfillment", self.list, key="list")
        table = f"fulfillment:{self.list}"

        def act(turn: Turn) -> None:
            turn.did({"list": self.list})
            turn.row(table, turn.contact.id, None)

        return act
