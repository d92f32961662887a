"""`notify_sms`: an SMS to a team member or partner. The contact's consent does not matter."""

from __future__ import annotations

from typing import ClassVar

from actions.action import Action, Rendering
from actions.addresses import NO_PHONE, notice_to
from actions.messages import Sms
from actions.rendering import render_sms, sms_params
from engine.core.action_kind import Act, Site, Turn
from engine.core.effects import Effect


class NotifySms(Action, frozen=True, kw_only=True):
    """`to` is `owner`, `user:ID` or a number."""

    kind: ClassVar[str] = "notify_sms"
    channel: ClassVar[str] = "sms"

    to: str
    text: str = ""
    template: str = ""

    def prepare(self, site: Site) -> Act:
        number = notice_to(site, self.to, "phone")
        params = sms_params(site, self.kind, self.text, self.template)

        def act(turn: Turn) -> None:
            to = number(turn)
            turn.emit("sms", {"to": to, **params(turn)}, to=to, missing=NO_PHONE)

        return act

    @classmethod
    def render(cls, effect: Effect, workspace: Rendering) -> Sms:
        return render_sms(effect, workspace)
