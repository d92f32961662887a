"""What SendGrid's Event Webhook says of messages after they were sent, into notices. Pure.

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from actions.bounces import BLOCK, HARD, SOFT, classify
from actions.feedback import Heard
from actions.providers.provider import clean

ARGUMENT = "wayfare_about"  # the custom argument that carries the token out and back

_SUPPRESSED = {"bounced address": "bounced", "spam reporting address": "complained", "unsubscribed address": "transactional_only"}


class _Event(msgspec.Struct):
    """One event; custom arguments stand beside the rest."""

    event: str = ""
    email: str = ""
    timestamp: int = 0  # epoch seconds
    sg_event_id: str = ""
    reason: str = ""
    response: str = ""
    status: str = ""
    type: str = ""
    url: str = ""
    sg_machine_open: bool = False
    wayfare_about: str = ""


_events = msgspec.json.Decoder(list[dict[str, Any]])


def heard_of_sendgrid(body: bytes) -> list[Heard]:
    """The notices of an array of events. Raises MsgspecError where it is none; one event that can't be read costs only itself."""
    notices = []
    for raw in _events.decode(body):
        try:
            event = msgspec.convert({name: value for name, value in raw.items() if value is not None}, _Event, strict=False)
        except msgspec.ValidationError:
            continue
        read = _READERS.get(event.event)
        if read is not None:
            said = f"sendgrid:{event.sg_event_id}" if event.sg_event_id else ""
            notices.append(replace(read(event), channel="email", about=event.wayfare_about, email=event.email, id=said, time=event.timestamp * 1_000 or None))
    return notices


def _bounced(event: _Event) -> Heard:
    """`bounce` is for ever, `blocked` is not, whatever code the receiver gave."""
    kind = HARD if event.type != "blocked" else BLOCK if classify(0, event.status, event.reason) == BLOCK else SOFT
    data = {"class": kind, "status": event.status}
    return Heard(status="bounced", reason=clean(event.reason), data=data, consent={"email": "bounced"} if kind == HARD else {})


def _dropped(event: _Event) -> Heard:
    """Not sent at all: mostly because SendGrid keeps lists of its own of those who bounced, complained or left."""
    known = _SUPPRESSED.get(event.reason.strip().lower(), "")
    reason = clean(f"dropped: {event.reason}")
    if known == "bounced":
        return Heard(status="bounced", reason=reason, data={"class": HARD}, consent={"email": "bounced"})
    if known == "complained":
        return Heard(status="complained", reason=reason, consent={"email": "complained"})
    return Heard(status="rejected", reason=reason, data={"class": "other"}, consent={"email": known} if known else {})


def _delayed(event: _Event) -> Heard:
    reason = clean(event.response or event.reason)
    return Heard(event="email.delayed", reason=reason, data={"class": SOFT, "status": event.status})


def _left(event: _Event) -> Heard:
    """Unsubscribed at SendGrid's own link, from everything or from a group of its; here it is the channel."""
    return Heard(consent={"email": "transactional_only"})


_READERS: dict[str, Callable[[_Event], Heard]] = {
    "delivered": lambda event: Heard(status="delivered"),
    "bounce": _bounced,
    "dropped": _dropped,
    "deferred": _delayed,
    "spamreport": lambda event: Heard(status="complained", reason="spam report", consent={"email": "complained"}),
    "unsubscribe": _left,
    "group_unsubscribe": _left,
    "open": lambda event: Heard(status="opened", data={"machine": True} if event.sg_machine_open else {}),
    "click": lambda event: Heard(status="clicked", data={"url": event.url}),
}
