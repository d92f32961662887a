"""What the actions on other maps and on sequences share: one name, looked up at publish, and one verb of the turn."""

from __future__ import annotations

from actions.action import Action
from engine.core.action_kind import Act, Site, Turn


class OnMap(Action, frozen=True, kw_only=True):
    """An action on the contact's enrollments in a map."""

    map: str

    def run(self, turn: Turn, map_id: str) -> None:
        """Do it."""
        raise NotImplementedError

    def prepare(self, site: Site) -> Act:
        site.need("maps", self.map, key="map")

        def act(turn: Turn) -> None:
            turn.did({"map": self.map})
            self.run(turn, self.map)

        return act


class OnSequence(Action, frozen=True, kw_only=True):
    """An action on the contact's enrollments in a sequence, which is the map `sequence:ID`."""

    sequence: str

    def run(self, turn: Turn, map_id: str) -> None:
        """Do it."""
        raise NotImplementedError

    def prepare(self, site: Site) -> Act:
        site.need("sequences", self.sequence, key="sequence")
        map_id = f"sequence:{self.sequence}"

        def act(turn: Turn) -> None:
            turn.did({"sequence": self.sequence})
            self.run(turn, map_id)

        return act
