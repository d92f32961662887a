"""The guard: consent marks of one contact, as a short text in a small table beside the outbox.

A contact without an entry is judged by the workspace's defaults. The text holds one `channel=status` for each channel on
record, joined by spaces, and the word `erased` alone for a contact that was erased.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.core.records import Event, Record, Update

ERASED = "erased"
STATUSES = ("subscribed", "unsubscribed", "transactional_only", "bounced", "complained")
NOTHING = frozenset({"unsubscribed", "bounced", "complained"})  # not even transactional messages
ENDING = frozenset({"unsubscribed", "email.bounced", "email.complained"})  # events that end consent


def marks(consent: dict[str, str]) -> str:
    """The guard's text for a contact's consent by channel."""
    return " ".join(f"{channel}={status}" for channel, status in consent.items())


def refusal(text: str, channel: str, default: str, transactional: bool) -> str:
    """Why nothing may be sent on `channel` (`email: unsubscribed`), or an empty text where it may.

    `text` is the guard's entry ("" where there is none), `default` the workspace's consent for that channel.
    """
    if text == ERASED:
        return "contact erased"
    status = default
    for mark in text.split():
        name, _, value = mark.partition("=")
        if name == channel:
            status = value
    if status == "subscribed" or (transactional and status == "transactional_only"):
        return ""
    return f"{channel}: {status}"


def tightened(old: str, status: str) -> str:
    """The status that stands when `status` may only make `old` stricter."""
    return old if old in NOTHING and status not in NOTHING else status


def ended(name: str, data: Mapping[str, Any], channels: Iterable[str]) -> dict[str, str]:
    """Consent by channel that an event of ENDING takes away; `channels` are meant where `unsubscribed` names none."""
    if name == "email.bounced" and not lasting(data, otherwise=True):
        return {}
    if name != "unsubscribed":
        return {"email": name.removeprefix("email.")}
    status = "transactional_only" if data.get("status") == "transactional_only" else "unsubscribed"
    channel = data.get("channel")
    if not isinstance(channel, str) or not channel:
        return dict.fromkeys(channels, status)
    return {channel: status} if channel.isidentifier() else {}  # anything else could forge marks in the guard's text


def lasting(data: Mapping[str, Any], *, otherwise: bool) -> bool:
    """Whether a bounce says that its address will never take mail (`class: hard`); `otherwise` where it has no class.

    A block is our reputation's fault, a full mailbox nobody's: these don't cost a contact (the classes: actions/bounces.py).
    """
    kind = data.get("class")
    return kind == "hard" if isinstance(kind, str) and kind else otherwise


def forbidden_by(record: Record, channels: Iterable[str]) -> dict[str, str]:
    """Consent by channel that a record takes away, as the guard can know it before the record is read. It never says that anything is allowed."""
    if isinstance(record, Event):
        return ended(record.name, record.data, channels) if record.name in ENDING else {}
    if isinstance(record, Update):
        return {channel: status for channel, status in record.consent.items() if status != "subscribed"}
    return {}
