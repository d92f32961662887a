"""The guard: consent marks of one contact, as a short text in a small table beside the outbox.

A contact without an entry is judged by the workspace's defaults. The text holds one `channel=status` for each channel on
record, joined by spaces, and the word `erased` alone for a contact that was erased.
"""

from __future__ import annotations

ERASED = "erased"
STATUSES = ("subscribed", "unsubscribed", "transactional_only", "bounced", "complained")


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
