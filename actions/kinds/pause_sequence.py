"""`pause_sequence`: the contact stays on its step of a sequence until it is unpaused."""

from __future__ import annotations

from typing import ClassVar

from actions.enrolling import OnSequence
from engine.core.action_kind import Turn


class PauseSequence(OnSequence, frozen=True, kw_only=True):
    """The clocks of its delays run on."""

    kind: ClassVar[str] = "pause_sequence"

    def run(self, turn: Turn, map_id: str) -> None:
        turn.pause(map_id)
