"""What an action becomes when it is rendered, ready for a provider: the same bytes at every attempt."""

from __future__ import annotations

import msgspec


class Email(msgspec.Struct, kw_only=True):
    """One email. `html` or `text` may be empty, not both. `sender` and `to` may be `Name <address>`."""

    to: str
    sender: str
    subject: str
    html: str = ""
    text: str = ""
    reply_to: str = ""
    headers: dict[str, str] = {}
    promotional: bool = False  # then the provider adds List-Unsubscribe


class Sms(msgspec.Struct, kw_only=True):
    """One SMS; `to` and `sender` are E.164 numbers (a sender may be a short code or a name)."""

    to: str
    sender: str
    text: str


class Request(msgspec.Struct, kw_only=True):
    """One webhook call."""

    method: str
    url: str
    headers: dict[str, str] = {}
    body: str = ""


Message = Email | Sms | Request
