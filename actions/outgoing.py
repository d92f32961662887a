"""What every email gets on its way out, whoever carries it: the link to unsubscribe, tracking, the token that a bounce brings back, DKIM.

All of it is made of the effect and the settings alone, so a message is the same at every attempt; what is not switched on costs nothing.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from actions.dkim import Signer
from actions.feedback import about
from actions.messages import Email
from actions.mime import Mail, MimeFault, build, mailbox
from actions.providers import provider
from actions.providers.provider import CHANNEL, CREDENTIALS, MESSAGE, Dispatch, House, Provider, Result, clean
from actions.tracking import Track, tracked
from actions.unsubscribe import unsubscribe_url
from engine.core.effects import Effect
from engine.core.errors import InvalidConfig


class DkimSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`key` is a PEM text (`env:NAME`) or the path of a PEM file."""

    domain: str
    selector: str
    key: str

    def __repr__(self) -> str:
        return f"DkimSettings({self.selector}._domainkey.{self.domain})"


class EmailSettings(provider.Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the blocks of all email providers have."""

    track: Track = Track()


class Outgoing:
    """What is added to the messages of one provider.

    `dkim` signs what we write ourselves, without the headers in `unsigned` (those that the carrier replaces); `about` adds the token's
    header, and `return_path` is where bounces shall go. Raises InvalidConfig.
    """

    def __init__(
        self,
        settings: EmailSettings,
        house: House,
        *,
        dkim: DkimSettings | None = None,
        unsigned: Collection[str] = (),
        about_header: bool = False,
        return_path: str = "",
    ) -> None:
        if not house.secret:
            raise InvalidConfig("signing_secret is empty, so links to unsubscribe could be forged")
        self._default = _checked("from", settings.from_)
        self._return_path = _checked("return_path", return_path)
        self._secret, self._public_url = house.secret, house.public_url
        self._track = settings.track if settings.track.opens or settings.track.clicks else None
        self._about_header = about_header
        self._signer = Signer.load(dkim.domain, dkim.selector, dkim.key, unsigned) if dkim else None

    def unverified(self, kind: type[Provider], dispatch: Dispatch, reason: str) -> Result:
        """A sender that the provider does not know as ours: nobody can send, or only this template can't, which waits until it is verified."""
        email = dispatch.message
        assert isinstance(email, Email)
        if mailbox(email.sender).address == self._default:  # the one of providers.yaml, so it is no single template's fault
            return Result(state=CREDENTIALS, reason=clean(reason), blames=CHANNEL)
        return kind.failed("sender", reason, blames=MESSAGE)

    def about(self, effect: Effect) -> str:
        """The token that names the effect when something comes back."""
        return about(self._secret, effect)

    def unsubscribe_url(self, dispatch: Dispatch) -> str:
        """The one-click link of a promotional message; "" where it has none."""
        email = dispatch.message
        assert isinstance(email, Email)
        return unsubscribe_url(self._public_url, self._secret, dispatch.effect) if email.promotional else ""

    def html(self, dispatch: Dispatch) -> str:
        """The HTML of a message. Only what goes to the contact is tracked, never what goes to the team."""
        email = dispatch.message
        assert isinstance(email, Email)
        if self._track is None or not email.html or not dispatch.effect.consent:
            return email.html
        return tracked(email.html, self._track, dispatch.effect, self._public_url, self._secret)

    def mail(self, dispatch: Dispatch) -> Mail:
        """The message's bytes, made just before they are sent. Raises MimeFault."""
        email, effect = dispatch.message, dispatch.effect
        assert isinstance(email, Email)
        if self._track is not None:
            email = msgspec.structs.replace(email, html=self.html(dispatch))
        mail = build(email, effect.id, effect.decided_ms, self.unsubscribe_url(dispatch), self.about(effect) if self._about_header else "")
        if self._signer is None and not self._return_path:
            return mail
        data = mail.data if self._signer is None else self._signer.sign(mail.data, effect.decided_ms // 1_000)
        return Mail(self._return_path or mail.sender, mail.to, data, mail.utf8)


def _checked(name: str, text: str) -> str:
    """The address of a setting, "" where it is empty."""
    try:
        return mailbox(text).address if text else ""
    except MimeFault as fault:
        raise InvalidConfig(f"{name}: {fault}") from None
