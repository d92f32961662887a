"""`update_facebook_audience`: the contact joins or leaves a custom audience at Meta, under hashes of what it can be matched by.

The hashes are made at the decision, so nothing that can be read stands in the outbox. Consent of the messaging channels does not apply;
an erased contact is refused by the guard.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from actions.action import Action, Rendering
from actions.audience import keys_of, matches
from actions.messages import AudienceChange
from engine.core.action_kind import Act, Site, Turn
from engine.core.documents import suggest
from engine.core.effects import Effect

CHANNEL = "facebook"
NO_KEYS = "nothing to be matched by: no email, no phone, no full name with a city or zip"


class UpdateFacebookAudience(Action, frozen=True, kw_only=True):
    """`audience` is the id of a custom audience, or a name that the provider's block gives one."""

    kind: ClassVar[str] = "update_facebook_audience"
    channel: ClassVar[str] = CHANNEL

    audience: str | int
    action: Literal["add", "remove"]

    def prepare(self, site: Site) -> Act:
        audience, action = str(self.audience), self.action
        self._check(site, audience)

        def act(turn: Turn) -> None:
            keys = keys_of(turn.contact.id, turn.contact.fields)
            known = matches(keys) or action == "remove"  # who was added under an address that is gone is still known by our id
            params = {"audience": audience, "action": action, "keys": keys}
            turn.emit(CHANNEL, params, to=audience if known else "", missing=NO_KEYS, dest=audience)

        return act

    def _check(self, site: Site, audience: str) -> None:
        block = site.provider(CHANNEL)
        names = (block or {}).get("audiences")
        known = names if isinstance(names, dict) else {}
        if not audience or (block is not None and audience not in known and not (audience.isascii() and audience.isdigit())):
            remedy = suggest(audience, known) or "name it under `audiences` in providers.yaml, or write the id of the audience"
            site.problem(f'there is no audience "{audience[:100]}"', key="audience", remedy=remedy)

    @classmethod
    def render(cls, effect: Effect, workspace: Rendering) -> AudienceChange:
        return AudienceChange(**effect.params)
