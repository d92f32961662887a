"""Tokens of one-click unsubscribe links (RFC 8058): who unsubscribes from what.

A token never expires, because a mail may be read years later, and it reveals no more than the mail itself.
"""

from __future__ import annotations

from actions.tokens import sign, verify

PURPOSE = "unsubscribe"


def make_token(secret: str, contact: str, channel: str) -> str:
    """The token with which `contact` leaves `channel`."""
    return sign(secret, PURPOSE, f"{channel}\x00{contact}".encode())


def read_token(secret: str, token: str) -> tuple[str, str] | None:
    """(contact, channel) of a token that `secret` signed; None for anything else."""
    payload = verify(secret, PURPOSE, token)
    if payload is None:
        return None
    channel, _, contact = payload.decode(errors="replace").partition("\x00")
    return contact, channel
