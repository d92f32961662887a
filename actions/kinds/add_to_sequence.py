"""`add_to_sequence`: the contact through all steps of a sequence, as a call."""

from __future__ import annotations

from typing import ClassVar

from actions.enrolling import OnSequence
from engine.core.action_kind import Turn


class AddToSequence(OnSequence, frozen=True, kw_only=True):
    """Returns only if the sequence unsubscribes after its last step."""

    kind: ClassVar[str] = "add_to_sequence"

    def run(self, turn: Turn, map_id: str) -> None:
        turn.call(map_id)
