"""`pause_automation`: the contact stays on its elements in a map until it is unpaused."""

from __future__ import annotations

from typing import ClassVar

from actions.enrolling import OnMap
from engine.core.action_kind import Turn


class PauseAutomation(OnMap, frozen=True, kw_only=True):
    """The clocks of its waits run on, unless the map stops them."""

    kind: ClassVar[str] = "pause_automation"

    def run(self, turn: Turn, map_id: str) -> None:
        turn.pause(map_id)
