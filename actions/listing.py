"""What the kinds that put contacts on a fulfillment list, or take them off, have in common: one row of the list's table in the contact's partition."""

from __future__ import annotations

from typing import Any

from actions.action import Action
from engine.core.action_kind import Act, Site, Turn
from engine.core.fulfillment import table_of


class Listing(Action, frozen=True, kw_only=True):
    """Subclasses say what the row becomes; None deletes it."""

    list: str

    def row(self, turn: Turn) -> dict[str, Any] | None:
        raise NotImplementedError

    def prepare(self, site: Site) -> Act:
        site.need("fulfillment", self.list, key="list")
        table = table_of(self.list)

        def act(turn: Turn) -> None:
            turn.did({"list": self.list})
            turn.row(table, turn.contact.id, self.row(turn))

        return act
