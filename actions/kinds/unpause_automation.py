"""`unpause_automation`: the contact goes on in a map that was paused."""

from __future__ import annotations

from typing import ClassVar

from actions.enrolling import OnMap
from engine.core.action_kind import Turn


class UnpauseAutomation(OnMap, frozen=True, kw_only=True):
    """What was kept is applied in the order of its times."""

    kind: ClassVar[str] = "unpause_automation"

    def run(self, turn: Turn, map_id: str) -> None:
        turn.unpause(map_id)
