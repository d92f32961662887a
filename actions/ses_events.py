"""What Amazon SES says of a message after it was sent: event publishing and feedback notifications, into notices. Pure.

Both formats are alike: `eventType` or `notificationType`, `mail` (with tags, and the headers of our message), and a part named after the type.
https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from actions.bounces import BLOCK, HARD, SOFT, classify
from actions.feedback import Heard
from actions.mime import ABOUT_HEADER
from actions.providers.provider import clean
from actions.tokens import SIGNATURE_CHARS

TAG = "wayfare_about"
TAG_CHARS_MAX = 256  # of a value; it may have letters, digits, `_` and `-`
RECIPIENTS_MAX = 50  # of one message, as SES has it

_NO_COMPLAINTS = frozenset({"not-spam", "virus", "auth-failure"})


def tag_of(token: str) -> str:
    """A token as the value of a tag, where the dot may not stand; "" where it does not fit."""
    value = token.replace(".", "", 1)
    return value if len(value) <= TAG_CHARS_MAX else ""


class _Recipient(msgspec.Struct, frozen=True):
    address: str = msgspec.field(name="emailAddress", default="")
    status: str = ""
    diagnostic: str = msgspec.field(name="diagnosticCode", default="")


class _Header(msgspec.Struct, frozen=True):
    name: str = ""
    value: str = ""


class _Mail(msgspec.Struct, frozen=True):
    destination: list[str] = []
    headers: list[_Header] = []
    tags: dict[str, list[str]] = {}


class _Part(msgspec.Struct, frozen=True, rename="camel"):
    """The part of any type; each type has some of these."""

    bounce_type: str = ""
    bounced_recipients: list[_Recipient] = []
    complained_recipients: list[_Recipient] = []
    delayed_recipients: list[_Recipient] = []
    complaint_feedback_type: str | None = None
    delay_type: str = ""
    bounce_sub_type: str = ""
    reason: str = ""
    link: str = ""


class _Said(msgspec.Struct, frozen=True, rename="camel"):
    event_type: str = ""
    notification_type: str = ""
    mail: _Mail = _Mail()
    bounce: _Part = _Part()
    complaint: _Part = _Part()
    reject: _Part = _Part()
    click: _Part = _Part()
    delivery_delay: _Part = _Part()


def heard_of_ses(message: str, identity: str) -> list[Heard]:
    """The notices of a message; none for what SES does not say (SNS greets with a plain text). `identity` names the message."""
    try:
        said = msgspec.json.decode(message, type=_Said)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return []
    read = _READERS.get(said.event_type or said.notification_type)
    if read is None:
        return []
    about = _about(said.mail)
    notices = read(said)[:RECIPIENTS_MAX]
    return [replace(notice, about=about, id=f"ses:{identity}:{number}") for number, notice in enumerate(notices)]


def _about(mail: _Mail) -> str:
    for value in mail.tags.get(TAG, ())[:1]:
        return f"{value[:-SIGNATURE_CHARS]}.{value[-SIGNATURE_CHARS:]}"
    return next(("".join(header.value.split()) for header in mail.headers if header.name.lower() == ABOUT_HEADER.lower()), "")


def _bounced(said: _Said) -> list[Heard]:
    """Permanent is for ever; Transient and Undetermined are not, whatever code the receiver gave."""
    notices = []
    for one in said.bounce.bounced_recipients:
        kind = HARD if said.bounce.bounce_type == "Permanent" else BLOCK if classify(0, one.status, one.diagnostic) == BLOCK else SOFT
        reason = one.diagnostic or f"{said.bounce.bounce_type} {said.bounce.bounce_sub_type}"
        data = {"class": kind, "status": one.status, "type": said.bounce.bounce_sub_type}
        consent = {"email": "bounced"} if kind == HARD else {}
        notices.append(_notice(one.address, status="bounced", reason=clean(reason), data=data, consent=consent))
    return notices


def _complained(said: _Said) -> list[Heard]:
    kind = said.complaint.complaint_feedback_type or "abuse"
    if kind in _NO_COMPLAINTS:
        return []
    consent = {"email": "complained"}
    return [_notice(one.address, status="complained", reason=clean(kind), consent=consent) for one in said.complaint.complained_recipients]


def _delayed(said: _Said) -> list[Heard]:
    kind = said.delivery_delay.delay_type
    return [
        _notice(one.address, event="email.delayed", reason=clean(one.diagnostic or kind), data={"class": SOFT, "status": one.status, "type": kind})
        for one in said.delivery_delay.delayed_recipients
    ]


def _of_all(**what: Any) -> Callable[[_Said], list[Heard]]:
    """A reader of what concerns the whole message, which has one recipient."""
    return lambda said: [_notice(address, **what) for address in said.mail.destination]


def _notice(address: str, **what: Any) -> Heard:
    return Heard(channel="email", email=address.rpartition("<")[2].rstrip(">"), **what)


_READERS: dict[str, Callable[[_Said], list[Heard]]] = {
    "Bounce": _bounced,
    "Complaint": _complained,
    "DeliveryDelay": _delayed,
    "Delivery": _of_all(status="delivered"),
    "Open": _of_all(status="opened"),
    "Reject": lambda said: _of_all(status="rejected", reason=clean(said.reject.reason))(said),
    "Click": lambda said: _of_all(status="clicked", data={"url": said.click.link})(said),
}
