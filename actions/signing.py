"""Signatures of Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`, symmetric scheme `v1`."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode

from engine.core.errors import InvalidConfig

PREFIX = "whsec_"


def webhook_key(secret: str) -> bytes:
    """The key of a secret: `whsec_` and base64, or any other text as it is. Raises InvalidConfig, which never shows it."""
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        key = b64decode(secret[len(PREFIX) :] + "==", validate=False)
    except ValueError:
        raise InvalidConfig("secret: what follows whsec_ is not base64") from None
    if not key:
        raise InvalidConfig("secret: nothing follows whsec_")
    return key


def webhook_headers(key: bytes, identity: str, seconds: int, body: bytes) -> dict[str, str]:
    """The three headers. `identity` stays the same at every attempt, `seconds` is the time of this one; without a key there is no signature."""
    headers = {"webhook-id": identity, "webhook-timestamp": str(seconds)}
    if key:
        digest = hmac.digest(key, f"{identity}.{seconds}.".encode() + body, "sha256")
        headers["webhook-signature"] = f"v1,{b64encode(digest).decode()}"
    return headers
