"""`send_email`: an email to the contact, from a template. Promotional unless it says `transactional: true`."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from actions.action import Action, Rendering
from actions.addresses import NO_EMAIL, email_of_contact
from actions.messages import Email
from actions.rendering import email_values, render_email, sender_of, with_sender
from engine.core.action_kind import Act, Site, Turn
from engine.core.effects import Effect


class SendEmail(Action, frozen=True, kw_only=True):
    """Decided with what the template reads, rendered in the pool."""

    kind: ClassVar[str] = "send_email"
    channel: ClassVar[str] = "email"

    template: str
    sender: str = msgspec.field(default="", name="from")
    transactional: bool = False

    def prepare(self, site: Site) -> Act:
        values = email_values(site, self.template)
        sender = sender_of(site, self.sender)

        def act(turn: Turn) -> None:
            to = email_of_contact(turn)
            params = with_sender({"to": to, "template": self.template, "values": values(turn)}, sender(turn))
            turn.emit("email", params, consent="email", transactional=self.transactional, to=to, missing=NO_EMAIL)

        return act

    @classmethod
    def render(cls, effect: Effect, workspace: Rendering) -> Email:
        return render_email(effect, workspace)
