"""`change_tags`: add and remove tags; those that change fire `tag_added` and `tag_removed`."""

from __future__ import annotations

from typing import ClassVar

from actions.action import Action
from engine.core.action_kind import Act, Site, Turn


class ChangeTags(Action, frozen=True, kw_only=True):
    """Tags are texts, and may hold merge fields; one that comes out empty is left out."""

    kind: ClassVar[str] = "change_tags"

    add: list[str] = []
    remove: list[str] = []

    def prepare(self, site: Site) -> Act:
        if not self.add and not self.remove:
            site.problem("`change_tags` changes nothing", remedy="write `change_tags: {add: [vip]}`")
        if any("{" in tag for tag in (*self.add, *self.remove)):
            return self._rendered(site)
        add, remove = list(self.add), list(self.remove)
        detail = {key: tags for key, tags in (("add", add), ("remove", remove)) if tags}

        def act(turn: Turn) -> None:
            turn.did(detail)
            turn.change_tags(add, remove)

        return act

    def _rendered(self, site: Site) -> Act:
        adds = [site.text(tag, key="add") for tag in self.add]
        removes = [site.text(tag, key="remove") for tag in self.remove]

        def act(turn: Turn) -> None:
            add = [tag for text in adds if (tag := text(turn))]
            remove = [tag for text in removes if (tag := text(turn))]
            turn.did({key: tags for key, tags in (("add", add), ("remove", remove)) if tags})
            turn.change_tags(add, remove)

        return act
