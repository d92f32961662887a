"""`remove_from_sequence`: the contact leaves a sequence."""

from __future__ import annotations

from typing import ClassVar

from actions.enrolling import OnSequence
from engine.core.action_kind import Turn


class RemoveFromSequence(OnSequence, frozen=True, kw_only=True):
    """A position that holds on the sequence goes on."""

    kind: ClassVar[str] = "remove_from_sequence"

    def run(self, turn: Turn, map_id: str) -> None:
        turn.remove(map_id)
