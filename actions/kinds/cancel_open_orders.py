"""`cancel_open_orders`: the contact's payment plans, subscriptions and trials are cancelled, on record and at the payment provider."""

from __future__ import annotations

from typing import ClassVar

from actions.action import Action, Rendering
from actions.messages import Cancellation
from engine.core.action_kind import Act, Site, Turn
from engine.core.effects import Effect


class CancelOpenOrders(Action, frozen=True, kw_only=True):
    """Of one product, or all where it is left out. Each fires `order.cancelled`."""

    kind: ClassVar[str] = "cancel_open_orders"
    channel: ClassVar[str] = "payments"

    product: str = ""

    def prepare(self, site: Site) -> Act:
        if self.product:
            site.need("products", self.product, key="product")

        def act(turn: Turn) -> None:
            turn.cancel_orders(self.product)

        return act

    @classmethod
    def render(cls, effect: Effect, workspace: Rendering) -> Cancellation:
        return Cancellation(orders=effect.params["orders"])
