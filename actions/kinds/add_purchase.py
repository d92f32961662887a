"""`add_purchase`: a purchase for the history; fires `purchased`."""

from __future__ import annotations

from math import isfinite
from typing import Any, ClassVar

from actions.action import Action
from engine.core.action_kind import Act, Site, Turn


class AddPurchase(Action, frozen=True, kw_only=True):
    """`price` is for one piece, and the product's own where it is left out. Both numbers may be `{value_of: …}`."""

    kind: ClassVar[str] = "add_purchase"

    product: str
    quantity: Any = 1
    price: Any = None

    def prepare(self, site: Site) -> Act:
        listed = _number(site.need("products", self.product, key="product").get("price"), 0)
        for key, raw in (("quantity", self.quantity), ("price", self.price)):
            if raw is not None and not isinstance(raw, dict) and _number(raw, -1) < 0:
                site.problem(f"`{key}` must be a number of at least 0", key=key, remedy="write a number or `{value_of: event.quantity}`")
        quantity_of = site.value(self.quantity, key="quantity")
        price_of = site.value(self.price, key="price")

        def act(turn: Turn) -> None:
            quantity, price = _number(quantity_of(turn), 1), _number(price_of(turn), listed)
            turn.did({"product": self.product, "quantity": quantity, "price": price})
            turn.add_purchase(self.product, quantity, price)

        return act


def _number(raw: Any, otherwise: float) -> float:
    """`raw` where it is a number of at least 0, else `otherwise`."""
    good = isinstance(raw, int | float) and not isinstance(raw, bool) and raw >= 0 and isfinite(raw)
    return raw if good else otherwise
