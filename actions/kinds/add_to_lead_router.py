"""`add_to_lead_router`: a new owner, chosen where the router lives; the position holds until the owner is known."""

from __future__ import annotations

from typing import ClassVar

from actions.action import Action
from engine.core.action_kind import Act, Site, Turn


class AddToLeadRouter(Action, frozen=True, kw_only=True):
    """The router is an entity with a home partition, so that round robin is exact across shards."""

    kind: ClassVar[str] = "add_to_lead_router"

    router: str

    def prepare(self, site: Site) -> Act:
        site.need("routers", self.router, key="router")
        home = f"router:{self.router}"

        def act(turn: Turn) -> None:
            turn.did({"router": self.router})
            turn.post(home, "route", {"router": self.router})

        return act
