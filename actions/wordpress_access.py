"""What `give_wordpress_access` and `remove_wordpress_access` have in common: who, where, which level."""

from __future__ import annotations

from typing import Any, ClassVar

from actions.action import Action, Rendering
from actions.addresses import NO_EMAIL, email_of_contact
from actions.messages import Access
from actions.sites import check_level, names_of
from engine.core.action_kind import Act, Site, Turn
from engine.core.effects import Effect


class WordpressAccess(Action, frozen=True, kw_only=True):
    """The contact is the site's user with its email address. `level` is a key of the site's `levels` in providers.yaml."""

    channel: ClassVar[str] = "wordpress"
    give: ClassVar[bool]

    site: str
    level: str

    def prepare(self, site: Site) -> Act:
        check_level(site, self.channel, self.site, self.level)

        def act(turn: Turn) -> None:
            to = email_of_contact(turn)
            params = {"site": self.site, "level": self.level, "email": to, **(names_of(turn) if self.give else {})}
            turn.emit(self.channel, params, to=to, missing=NO_EMAIL, dest=self.site)

        return act

    @classmethod
    def render(cls, effect: Effect, workspace: Rendering) -> Access:
        return Access(give=cls.give, **effect.params)

    @classmethod
    def detail(cls, effect: Effect, workspace: Rendering) -> dict[str, Any]:
        return dict(effect.params)
