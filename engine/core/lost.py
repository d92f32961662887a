"""A map version that nobody knows any more: contacts that stand on it stay there, parked, and say so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engine.core.compiled import COUNTED, STOP, CompiledMap

if TYPE_CHECKING:
    from engine.core.turn import CoreTurn


class _Everywhere(list[Any]):
    """The same answer at every index."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value

    def __getitem__(self, index: Any) -> Any:
        return self.value


class LostMap(CompiledMap):
    """Stands in for a version that is not in the snapshot, or that this release cannot read."""

    def __init__(self, map_id: str, version: int) -> None:
        super().__init__(map_id, version, 0)
        self.words = _Everywhere("?")
        self.branches = _Everywhere(None)
        self.runs = _Everywhere(_park)
        self.after = _Everywhere(STOP)
        self.ids = ["?"]
        self.name_counters()
        self.ids, self.ins, self.outs, self.passes = _Everywhere("?"), _Everywhere(self.ins[0]), _Everywhere(self.outs[0]), _Everywhere(self.passes[0])

    def counted(self, tally: list[int]) -> Iterator[tuple[str, int]]:
        """All elements are one."""
        for place, what in enumerate(COUNTED):
            yield f"map:{self.id}:{what}", tally[place]
        yield f"el:{self.id}:?:in", tally[self.ins[0]]
        yield f"el:{self.id}:?:out", tally[self.outs[0]]


def _park(turn: CoreTurn) -> int:
    turn.park(turn.enrollment, turn.position, "map version lost")
    return STOP
