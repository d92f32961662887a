"""`remove_from_automation`: all enrollments of the contact in a map end."""

from __future__ import annotations

from typing import ClassVar

from actions.enrolling import OnMap
from engine.core.action_kind import Turn


class RemoveFromAutomation(OnMap, frozen=True, kw_only=True):
    """Of one's own map too: it ends the enrollment here."""

    kind: ClassVar[str] = "remove_from_automation"

    def run(self, turn: Turn, map_id: str) -> None:
        turn.remove(map_id)
