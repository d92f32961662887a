"""Tokens of one-click unsubscribe links (RFC 8058): who unsubscribes from what, signed, in a text that fits a URL.

A token is `payload.signature`, both base64url without padding; the payload is `channel NUL contact`, the signature the first
16 bytes of HMAC-SHA256. It never expires, because a mail may be read years later, and it reveals no more than the mail itself.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

TOKEN_CHARS_MAX = 2_048
SIGNATURE_BYTES = 16


def _signature(secret: str, payload: bytes) -> bytes:
    # The prefix keeps these signatures apart from anything else that the same secret signs.
    return hmac.digest(secret.encode(), b"unsubscribe\x00" + payload, "sha256")[:SIGNATURE_BYTES]


def make_token(secret: str, contact: str, channel: str) -> str:
    """The token with which `contact` leaves `channel`."""
    payload = f"{channel}\x00{contact}".encode()
    return f"{urlsafe_b64encode(payload).rstrip(b'=').decode()}.{urlsafe_b64encode(_signature(secret, payload)).rstrip(b'=').decode()}"


def read_token(secret: str, token: str) -> tuple[str, str] | None:
    """(contact, channel) of a token that `secret` signed; None for anything else."""
    if not secret or len(token) > TOKEN_CHARS_MAX or not token.isascii():
        return None
    head, _, tail = token.partition(".")
    try:
        payload = urlsafe_b64decode(head + "=" * (-len(head) % 4))
        signature = urlsafe_b64decode(tail + "=" * (-len(tail) % 4))
    except ValueError:
        return None
    if not hmac.compare_digest(signature, _signature(secret, payload)):
        return None
    channel, _, contact = payload.decode(errors="replace").partition("\x00")
    return contact, channel
