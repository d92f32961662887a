"""`notify_email`: an email to a team member or partner. The contact's consent does not matter."""

from __future__ import annotations

from typing import ClassVar

from actions.action import Action, Rendering
from actions.addresses import NO_EMAIL, notice_to
from actions.messages import Email
from actions.rendering import email_values, render_email
from engine.core.action_kind import Act, Site, Turn
from engine.core.effects import Effect


class NotifyEmail(Action, frozen=True, kw_only=True):
    """`to` is `owner`, `user:ID` or an address."""

    kind: ClassVar[str] = "notify_email"
    channel: ClassVar[str] = "email"

    to: str
    template: str

    def prepare(self, site: Site) -> Act:
        address = notice_to(site, self.to, "email")
        values = email_values(site, self.template)

        def act(turn: Turn) -> None:
            to = address(turn)
            turn.emit("email", {"to": to, "template": self.template, "values": values(turn)}, to=to, missing=NO_EMAIL)

        return act

    @classmethod
    def render(cls, effect: Effect, workspace: Rendering) -> Email:
        return render_email(effect, workspace)
