"""What Lob tells by its webhooks: the check of their signature, and from an event to what was heard. Pure but for the secret.

Lob signs `timestamp.body` with HMAC-SHA256; the timestamp is epoch milliseconds. A postcard names its effect by our token, which travels in
its metadata; a value there has at most 500 characters, so a long token is cut into several.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import datetime

import msgspec

from actions.feedback import Heard
from actions.providers.provider import Inbound, Unreadable, Unsigned

SIGNED_WITHIN_MS = 5 * 60_000  # a callback that was signed longer ago is somebody's copy
VALUE_CHARS_MAX = 500
FIRST_KEY = "wayfare"  # what does not fit under it goes on in wayfare1, wayfare2, …

# What Lob's webhooks tell, and the event that it is to maps. Everything else (rendered, in_transit, …) is acknowledged and forgotten.
EVENTS = {
    "postcard.mailed": "postcard.mailed",
    "postcard.processed_for_delivery": "postcard.arriving",
    "postcard.delivered": "postcard.delivered",
    "postcard.re-routed": "postcard.rerouted",
    "postcard.returned_to_sender": "postcard.returned",
    "postcard.failed": "postcard.failed",
    "postcard.rejected": "postcard.failed",
    "postcard.viewed": "postcard.viewed",
}


class _Type(msgspec.Struct):
    id: str


class _Body(msgspec.Struct):
    id: str = ""
    metadata: dict[str, str] | None = None


class _Event(msgspec.Struct):
    """Of Lob's events, what we use."""

    id: str
    event_type: _Type
    date_created: str = ""
    body: _Body = msgspec.field(default_factory=_Body)


def check_signature(secret: str, inbound: Inbound, now_ms: int) -> None:
    """Raises Unsigned."""
    stamp = inbound.headers.get("lob-signature-timestamp", "")
    given = inbound.headers.get("lob-signature", "")
    if not secret:
        raise Unsigned("providers.yaml has no webhook_secret for Lob")
    if not stamp.isascii() or not stamp.isdigit() or len(stamp) > 15 or not given.isascii():
        raise Unsigned("the headers Lob-Signature and Lob-Signature-Timestamp are missing or unreadable")
    made = hmac.new(secret.encode(), f"{stamp}.".encode() + inbound.body, "sha256").hexdigest()
    if not hmac.compare_digest(made, given):
        raise Unsigned("the signature does not hold")
    if abs(now_ms - int(stamp)) > SIGNED_WITHIN_MS:
        raise Unsigned("it was signed too long ago")


def heard_in(body: bytes) -> list[Heard]:
    """What an event says; nothing where it is not of our postcards, or no news to maps. Raises Unreadable."""
    try:
        event = msgspec.json.decode(body, type=_Event)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Unreadable(f"not an event of Lob: {error}") from None
    token, name = token_in(event.body.metadata or {}), EVENTS.get(event.event_type.id)
    if not token or name is None:
        return []
    data = {"postcard": event.body.id, "provider_event": event.event_type.id}
    return [Heard(channel="postcard", about=token, event=name, data=data, id=f"lob:{event.id}", time=_epoch_ms(event.date_created))]


def metadata_of(token: str) -> dict[str, str]:
    """The metadata that carries a token."""
    pieces = [token[start : start + VALUE_CHARS_MAX] for start in range(0, len(token), VALUE_CHARS_MAX)]
    return {f"{FIRST_KEY}{number or ''}": piece for number, piece in enumerate(pieces)}


def token_in(metadata: Mapping[str, str]) -> str:
    """Our token, put together again; "" where there is none."""
    names = [FIRST_KEY, *(f"{FIRST_KEY}{number}" for number in range(1, len(metadata)))]
    return "".join(metadata.get(name, "") for name in names)


def _epoch_ms(text: str) -> int | None:
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1_000)
    except ValueError:
        return None
