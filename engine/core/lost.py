"""A map version that nobody knows any more: contacts that stand on it stay there, parked, and say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.core.compiled import STOP, CompiledMap

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
        self.ids = _Everywhere("?")
        self.words = _Everywhere("?")
        self.runs = _Everywhere(_park)
        self.after = _Everywhere(STOP)
        self.counters += [f"el:{map_id}:?:in", f"el:{map_id}:?:out"]
        self.ins = _Everywhere(len(self.counters) - 2)
        self.outs = _Everywhere(len(self.counters) - 1)


def _park(turn: CoreTurn) -> int:
    turn.park(turn.enrollment, turn.position, "map version lost")
    return STOP
