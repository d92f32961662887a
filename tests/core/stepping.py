"""A small bench for tests of the step: a workspace, contacts, and what their steps decided."""

from typing import Any

import msgspec

from actions.registry import load_registry
from engine.codec import decode_contact, encode
from engine.config import Config
from engine.core.contact import FORMAT, Contact
from engine.core.effects import Changes
from engine.core.records import Record
from engine.core.step import step
from engine.core.workspace import Workspace, compile_workspace

NOW = 1_772_323_200_000  # 2026-03-01T00:00:00Z, a Sunday
HOUR = 3_600_000
DAY = 24 * HOUR


def workspace_of(*maps: dict[str, Any], bounds: Config | None = None, versions: Any = None, **documents: Any) -> Workspace:
    return compile_workspace({"maps": list(maps), **documents}, load_registry(), bounds or Config(), versions=versions, simulation=True)


class Bench:
    """Steps contacts as a shard does: through their encoded bytes, with one set of changes."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.stored: dict[str, bytes] = {}
        self.changes = Changes()
        self.now = NOW
        self.totals: dict[str, int] = {}

    def contact(self, name: str = "ann") -> Contact:
        return decode_contact(self.stored[name]) if name in self.stored else Contact(FORMAT, name, 7)

    def step(self, record: Record | None, *, at: int = 0, full: frozenset[str] = frozenset(), name: str = "ann") -> Contact:
        """Step at `at` ms after NOW; what was decided is in `changes` until the next step."""
        self.now = NOW + at
        self.changes = Changes()
        contact = self.contact(record.contact if record is not None else name)
        step(contact, record, self.now, self.workspace, self.changes, full)
        self.stored[contact.id] = encode(contact)
        for counter, difference in self.changes.counters.items():
            self.totals[counter] = self.totals.get(counter, 0) + difference
        return self.contact(contact.id)

    def places(self, name: str = "ann") -> dict[str, list[str]]:
        """Map → the elements of its positions."""
        found: dict[str, list[str]] = {}
        for enrollment in self.contact(name).enrollments:
            ids = self.workspace.map_of(enrollment).ids
            found.setdefault(enrollment.map, []).extend(ids[position.at] for position in enrollment.positions)
        return found


def same(left: Any, right: Any) -> bool:
    return msgspec.msgpack.encode(left) == msgspec.msgpack.encode(right)
