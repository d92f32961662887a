"""Tokens of one-click unsubscribe links (RFC 8058): who unsubscribes from what.

A token never expires, because a mail may be read years later, and it reveals no more than the mail itself.
"""

from __future__ import annotations

from actions.tokens import sign, verify
from engine.core.effects import Effect

PURPOSE = "unsubscribe"


def make_token(secret: str, contact: str, channel: str) -> str:
    """The token with which `contact` leaves `channel`."""
    return sign(secret, PURPOSE, f"{channel}\x00{contact}".encode())


def unsubscribe_url(public_url: str, secret: str, effect: Effect) -> str:
    """The link with which the contact of a message leaves its channel."""
    return f"{public_url}/u/{make_token(secret, effect.contact, effect.consent or effect.channel)}"


def one_click_headers(url: str) -> dict[str, str]:
    """The two headers of RFC 8058, for providers that take headers by name; none without a link."""
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"} if url else {}


def read_token(secret: str, token: str) -> tuple[str, str] | None:
    """(contact, channel) of a token that `secret` signed; None for anything else."""
    payload = verify(secret, PURPOSE, token)
    if payload is None:
        return None
    channel, _, contact = payload.decode(errors="replace").partition("\x00")
    return contact, channel
