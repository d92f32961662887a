"""`send_sms`: an SMS to the contact, a text or a template. Promotional unless it says `transactional: true`."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from actions.action import Action, Rendering
from actions.addresses import NO_PHONE, phone_of_contact
from actions.messages import Sms
from actions.rendering import render_sms, sender_of, sms_params, with_sender
from engine.core.action_kind import Act, Site, Turn
from engine.core.effects import Effect


class SendSms(Action, frozen=True, kw_only=True):
    """A text that stands in the map is rendered at the decision, a template in the pool."""

    kind: ClassVar[str] = "send_sms"
    channel: ClassVar[str] = "sms"

    text: str = ""
    template: str = ""
    sender: str = msgspec.field(default="", name="from")
    transactional: bool = False

    def prepare(self, site: Site) -> Act:
        params = sms_params(site, self.kind, self.text, self.template)
        sender = sender_of(site, self.sender)

        def act(turn: Turn) -> None:
            to = phone_of_contact(turn)
            turn.emit("sms", with_sender({"to": to, **params(turn)}, sender(turn)), consent="sms", transactional=self.transactional, to=to, missing=NO_PHONE)

        return act

    @classmethod
    def render(cls, effect: Effect, workspace: Rendering) -> Sms:
        return render_sms(effect, workspace)
