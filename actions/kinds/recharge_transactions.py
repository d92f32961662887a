"""`recharge_transactions`: all the contact's transactions in collections are charged once more; each outcome comes back as a trigger."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from actions.action import Action, Rendering
from actions.messages import Charge, Recharge
from engine.core.action_kind import Act, Site, Turn
from engine.core.effects import Effect


class RechargeTransactions(Action, frozen=True, kw_only=True):
    """Transactions that are being recharged already are left alone, so nothing is charged twice."""

    kind: ClassVar[str] = "recharge_transactions"
    channel: ClassVar[str] = "payments"

    def prepare(self, site: Site) -> Act:
        def act(turn: Turn) -> None:
            turn.recharge()

        return act

    @classmethod
    def render(cls, effect: Effect, workspace: Rendering) -> Recharge:
        return Recharge(transactions=msgspec.convert(effect.params["transactions"], list[Charge]))
