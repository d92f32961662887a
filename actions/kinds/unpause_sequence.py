"""`unpause_sequence`: the contact goes on in a sequence that was paused."""

from __future__ import annotations

from typing import ClassVar

from actions.enrolling import OnSequence
from engine.core.action_kind import Turn


class UnpauseSequence(OnSequence, frozen=True, kw_only=True):
    """What was kept is applied in the order of its times."""

    kind: ClassVar[str] = "unpause_sequence"

    def run(self, turn: Turn, map_id: str) -> None:
        turn.unpause(map_id)
