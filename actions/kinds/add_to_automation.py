"""`add_to_automation`: the contact into another map, as a call: the position holds until every position there has ended."""

from __future__ import annotations

from typing import ClassVar

from actions.enrolling import OnMap
from engine.core.action_kind import Turn


class AddToAutomation(OnMap, frozen=True, kw_only=True):
    """To go on at once, put a fork before it."""

    kind: ClassVar[str] = "add_to_automation"

    def run(self, turn: Turn, map_id: str) -> None:
        turn.call(map_id)
