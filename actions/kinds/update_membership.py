"""`update_membership`: a contact's access to a membership site, changed on record at once and told to the site's signed endpoint.

Without `level` it means every level that the contact has on record there, or the level `default` where there is none. Each level is an
effect of its own, so a receiver only ever hears of one level and its status.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from actions.action import Action, Rendering
from actions.addresses import email_of_contact
from actions.messages import Membership
from actions.sites import check_site, names_of
from engine.core.action_kind import Act, Site, Turn
from engine.core.contact import DEFAULT_LEVEL
from engine.core.effects import Effect
from engine.core.names import name_fault


class UpdateMembership(Action, frozen=True, kw_only=True):
    """`site` is a key of `membership` in providers.yaml. The site hears also of what stands on record already, and of contacts without an email."""

    kind: ClassVar[str] = "update_membership"
    channel: ClassVar[str] = "membership"

    site: str
    status: Literal["enabled", "suspended", "disabled"]
    level: str = ""

    def prepare(self, site: Site) -> Act:
        check_site(site, self.channel, self.site)
        for key, name in (("site", self.site), ("level", self.level or DEFAULT_LEVEL)):
            if fault := name_fault(name):
                site.problem(f"`{key}` {fault}", key=key)

        def act(turn: Turn) -> None:
            person = {"email": email_of_contact(turn), **names_of(turn)}
            for level in [self.level] if self.level else list(turn.contact.memberships.get(self.site, ())) or [DEFAULT_LEVEL]:
                params = {**person, "site": self.site, "level": level, "status": self.status}
                if not turn.emit(self.channel, params, to=turn.contact.id, dest=self.site):
                    return  # parked before its first effect, or suppressed: then nothing is changed
                turn.set_membership(self.site, level, self.status)

        return act

    @classmethod
    def render(cls, effect: Effect, workspace: Rendering) -> Membership:
        return Membership(contact=effect.contact, decided_ms=effect.decided_ms, **effect.params)

    @classmethod
    def detail(cls, effect: Effect, workspace: Rendering) -> dict[str, Any]:
        return {name: value for name, value in effect.params.items() if value}
