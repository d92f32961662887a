"""`send_to_fulfillment`: the contact onto a fulfillment list, with the fields that it has now."""

from __future__ import annotations

from typing import ClassVar

from actions.action import Action
from engine.core.action_kind import Act, Site, Turn


class SendToFulfillment(Action, frozen=True, kw_only=True):
    """A row in the table `fulfillment:LIST` of the contact's partition; the list is the union over the partitions."""

    kind: ClassVar[str] = "send_to_fulfillment"

    list: str

    def prepare(self, site: Site) -> Act:
        site.need("fulfillment", self.list, key="list")
        table = f"fulfillment:{self.list}"

        def act(turn: Turn) -> None:
            turn.did({"list": self.list})
            contact = turn.contact
            turn.row(table, contact.id, {"contact": contact.id, "added_ms": turn.now_ms, "fields": dict(contact.fields)})

        return act
