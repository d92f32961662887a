"""Mail that comes back: delivery reports (RFC 3464) and complaints (RFC 5965), from any server, read into what was said about whom. Pure.

A report names our message by the token in the header that we sent along (`X-Wayfare-About`), where the original or its headers came back; else
by the address that it reports. Reports come from strangers, so whatever can't be read says nothing, and work is bounded: only the
beginning of a long mail is read, and only so many recipients.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from email.parser import HeaderParser
from email.utils import parseaddr
from hashlib import blake2b
from itertools import islice

import msgspec
from msgspec.structs import replace

from actions.bounces import HARD, TEXT_CHARS_MAX, classify, enhanced_of
from actions.feedback import Heard
from actions.mime import ABOUT_HEADER
from actions.providers.provider import clean

REPORT_BYTES_MAX = 256 * 1024  # of a mail; a report stands before the original that it may carry
BOUNDARIES_MAX = 20  # a report has two or three; the parser compares each line with every one that is open
RECIPIENTS_MAX = 20  # of one report; ours go to one each, and an alias may have made more of it
PARTS_MAX = 100

FAILED, DELAYED, COMPLAINT = "failed", "delayed", "complaint"
# Not-spam, virus, auth-failure and dmarc say nothing about what the contact wants.
_COMPLAINTS = frozenset({"abuse", "fraud", "other", "opt-out", "miscategorized"})
_ACTIONS = {"failed": FAILED, "delayed": DELAYED}  # delivered, relayed and expanded are no news
_STATUSES = frozenset({"message/delivery-status", "message/global-delivery-status"})
_ORIGINALS = frozenset({"message/rfc822", "text/rfc822-headers", "message/rfc822-headers", "message/global", "message/global-headers"})

_TOKEN = re.compile(rf"^{ABOUT_HEADER}:((?:\n?[ \t]+[A-Za-z0-9_.-]+)+)".encode(), re.IGNORECASE | re.MULTILINE)
_SMTP_CODE = re.compile(r"(?<![\d.])([45]\d\d)(?![\d.])")
_EFFECT = re.compile(r"<([0-9a-f]{32})@")
_ADDRESS = re.compile(r"[^\s<>,;\"]{1,64}@[^\s<>,;\"]{1,255}")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one mail says about one recipient: failed, delayed or complaint. `status` is the enhanced code, `about` the token that came back."""

    what: str
    about: str = ""
    address: str = ""
    status: str = ""
    text: str = ""
    effect: str = ""  # of the Message-ID that came back


def read_reports(raw: bytes) -> list[Report]:
    """What a mail says; nothing for a mail that is no report, an answer of a person or a robot say."""
    try:
        return _reports(raw[:REPORT_BYTES_MAX].replace(b"\r\n", b"\n"))
    except (RecursionError, ValueError, LookupError, AttributeError, TypeError):
        return []  # the parser gave up: nothing can be known


def _reports(raw: bytes) -> list[Report]:
    if raw.lower().count(b"boundary") > BOUNDARIES_MAX:
        return []
    mail = message_from_bytes(raw)
    parts = list(islice(mail.walk(), PARTS_MAX))
    found: Iterator[Report] | None = None
    for part in parts:
        kind = part.get_content_type()
        if kind in _STATUSES:
            found = _delivery(part)
        elif kind == "message/feedback-report":
            found = _feedback(part, parts)
    token, effect = _original(parts, raw)
    return [replace(report, about=token, effect=effect) for report in islice(found or _old_exim(mail, raw), RECIPIENTS_MAX)]


def heard_of(report: Report, *, by_address: bool = True) -> Heard | None:
    """The notice of a report; None where it says nothing, or nobody may be found by its address alone."""
    address = report.address if by_address else ""
    if not report.about and not address:
        return None
    words = f"{report.what}\0{report.about or address}\0{report.status}\0{report.effect}"
    identity = f"mail:{blake2b(words.encode(errors='replace'), digest_size=12).hexdigest()}"
    notice = Heard(channel="email", about=report.about, email=address, id=identity, reason=clean(report.text or report.status))
    if report.what == COMPLAINT:
        return replace(notice, status="complained", consent={"email": "complained"})
    found = _SMTP_CODE.search(report.text)
    kind = classify(int(found[1]) if found else 0, report.status, report.text)
    data = {"class": kind, "status": report.status}
    if report.what == DELAYED:
        return replace(notice, event="email.delayed", data=data)
    return replace(notice, status="bounced", data=data, consent={"email": "bounced"} if kind == HARD else {})


def _original(parts: list[Message], raw: bytes) -> tuple[str, str]:
    """(token, effect) of our message, out of the headers that came back; a server that quotes it as text is read as text."""
    for part in parts:
        if part.get_content_type() not in _ORIGINALS:
            continue
        payload = part.get_payload()
        headers = payload[0] if isinstance(payload, list) and payload else HeaderParser().parsestr(_text(part))
        if isinstance(headers, Message):
            token, effect = "".join(_value(headers, ABOUT_HEADER).split()), _EFFECT.search(_value(headers, "Message-ID"))
            if token or effect:
                return token, effect[1] if effect else ""
    quoted = _TOKEN.search(raw)
    return b"".join(quoted[1].split()).decode() if quoted else "", ""


def _delivery(part: Message) -> Iterator[Report]:
    """Each recipient of a delivery-status: the parser gives a block of fields for the message and one for each of them."""
    blocks = part.get_payload()
    for block in blocks if isinstance(blocks, list) else []:
        what = _ACTIONS.get(_value(block, "Action").strip().lower()) if isinstance(block, Message) else None
        if isinstance(block, Message) and what:
            text = " ".join(_value(block, "Diagnostic-Code").partition(";")[2].split())
            address = _address(block, "Original-Recipient") or _address(block, "Final-Recipient")
            yield Report(what=what, address=address, status=enhanced_of(_value(block, "Status")) or enhanced_of(text), text=text)


def _feedback(part: Message, parts: list[Message]) -> Iterator[Report]:
    """A complaint, if it is one: the fields stand in the headers of the embedded message, or in its text."""
    payload = part.get_payload()
    fields = payload[0] if isinstance(payload, list) and payload else HeaderParser().parsestr(_text(part))
    if not isinstance(fields, Message):
        return
    kind = _value(fields, "Feedback-Type").strip().lower()
    if kind not in _COMPLAINTS:
        return
    address = _address(fields, "Original-Rcpt-To") or _address(fields, "Removal-Recipient") or _to_of(parts)
    yield Report(what=COMPLAINT, address=address, text=kind)


def _to_of(parts: list[Message]) -> str:
    """Whom our message was addressed to, out of the original that came back."""
    for part in parts:
        payload = part.get_payload()
        if part.get_content_type() == "message/rfc822" and isinstance(payload, list) and payload and isinstance(payload[0], Message):
            return _address(payload[0], "X-HmXmrOriginalRecipient") or _address(payload[0], "To")
    return ""


def _old_exim(mail: Message, raw: bytes) -> Iterator[Report]:
    """Bounces of Exim before it wrote delivery reports: a header with the addresses, and the reasons as plain text."""
    reason = " ".join(raw.decode("utf-8", "replace").partition("\n\n")[2].partition("------ This is a copy")[0].split())
    for address in _ADDRESS.findall(_value(mail, "X-Failed-Recipients")):
        said = reason.partition(address)[2].strip()[:TEXT_CHARS_MAX]
        yield Report(what=FAILED, address=address.lower(), status=enhanced_of(said), text=said)


def _value(fields: Message, name: str) -> str:
    """A header as one text, encoded words decoded; "" where there is none or it can't be read."""
    value = fields.get(name)
    if value is None:
        return ""
    try:
        return str(make_header(decode_header(str(value)))) if "=?" in str(value) else str(value)
    except (ValueError, LookupError):
        return str(value)


def _address(fields: Message, name: str) -> str:
    """The address of a field such as `rfc822; ann@example.com`, `<ann@example.com>` or `Ann <ann@example.com>`, in lower case."""
    text = _value(fields, name)
    kind, typed, rest = text.partition(";")
    text = rest if typed and "@" not in kind else text
    found = _ADDRESS.search(parseaddr(text)[1] or text)
    return found[0].lower() if found else ""


def _text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
