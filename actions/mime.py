"""An email as bytes: headers and parts, the same at every attempt, about 15 microseconds a message.

What all messages of one sender share is compiled once (`_mailbox`, `_fixed_headers`); the rest is one join. Nothing that comes from a
contact or a template can begin a new header line: control characters in headers become spaces, bad addresses and reserved header
names are MimeFault. Lines are CRLF and at most 998 octets long (RFC 5322); bodies are 7-bit, quoted-printable or base64,
so no server can change a byte of what DKIM signed.
"""

from __future__ import annotations

import re
from base64 import encodebytes
from binascii import b2a_base64, b2a_qp
from functools import lru_cache
from time import gmtime

import msgspec

from actions.messages import Attachment, Email
from engine.core.errors import WayfareError

HEADER_CHARS_MAX = 2_000
LINE_OCTETS_MAX = 998
ADDRESS_CHARS_MAX = 254
ABOUT_HEADER = "X-Wayfare-About"  # carries the effect's token, for what comes back as mail

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_PLAIN = bytes({9, 10, 13, *range(32, 127)})  # deleting these and looking for a rest takes a fifth of the time of a search
_ADDRESS = re.compile(r"[^\s<>()\[\],;:\\\"@\x00-\x20\x7f-\x9f\ud800-\udfff]{1,64}@[^\s<>()\[\],;:\\\"@\x00-\x20\x7f-\x9f\ud800-\udfff]+")
_FILE_NAME = re.compile(r"[A-Za-z0-9._-]{1,150}")
_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]+(?:; charset=[a-z0-9-]+)?")
_HEADER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,75}")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")
_RESERVED = frozenset(
    {"from", "to", "cc", "bcc", "sender", "subject", "date", "message-id", "reply-to", "return-path", "received", "mime-version", "dkim-signature"}
    | {"list-unsubscribe", "list-unsubscribe-post", ABOUT_HEADER.lower()}
)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class MimeFault(WayfareError):
    """An email that can't be written: a bad address, a reserved or overlong header. The provider rejects it with this text."""


class Mail(msgspec.Struct, frozen=True, gc=False):
    """A message with its envelope. `data` has CRLF lines and no dot-stuffing; `utf8` says that an address needs SMTPUTF8."""

    sender: str
    to: str
    data: bytes
    utf8: bool = False


class _Mailbox(msgspec.Struct, frozen=True, gc=False):
    header: str
    address: str
    domain: str
    utf8: bool
    name: str


def build(email: Email, effect: str, decided_ms: int, unsubscribe_url: str = "", about: str = "") -> Mail:
    """The whole message. `effect` makes the Message-ID, `decided_ms` the Date; `unsubscribe_url` adds RFC 8058's one-click headers,
    `about` the header that a bounce brings back."""
    sender = _mailbox(email.sender)
    to = mailbox(email.to)
    unsubscribe = f"List-Unsubscribe: <{unsubscribe_url}>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" if unsubscribe_url else ""
    token = f"{ABOUT_HEADER}: {_cut(about)}\r\n" if about else ""
    head = (
        f"From: {sender.header}\r\nTo: {to.header}\r\nSubject: {header_text(email.subject, 9)}\r\nDate: {_date(decided_ms // 1000)}\r\n"
        f"Message-ID: <{effect}@{sender.domain}>\r\n{_fixed_headers(email.reply_to, tuple(email.headers.items()))}{unsubscribe}{token}MIME-Version: 1.0\r\n"
    )
    if email.html and email.text:
        bound = f"=_{effect}"
        text_head, text = _part("plain", email.text)
        html_head, html = _part("html", email.html)
        data = (
            f'{head}Content-Type: multipart/alternative; boundary="{bound}"\r\n\r\n--{bound}\r\n{text_head}'.encode()
            + text
            + f"\r\n--{bound}\r\n{html_head}".encode()
            + html
            + f"\r\n--{bound}--\r\n".encode()
        )
    else:
        part_head, body = _part("html", email.html) if email.html else _part("plain", email.text)
        data = (head + part_head).encode() + body
    if email.attachments:
        data = _mixed(head.encode(), data, email.attachments, f"=m_{effect}")
    return Mail(sender.address, to.address, data, sender.utf8 or to.utf8)


def _mixed(head: bytes, data: bytes, attachments: tuple[Attachment, ...], bound: str) -> bytes:
    """A message that begins with `head`, with files behind what it says."""
    parts = [head, f'Content-Type: multipart/mixed; boundary="{bound}"\r\n\r\n--{bound}\r\n'.encode(), data[len(head) :]]
    for file in attachments:
        if not _FILE_NAME.fullmatch(file.name) or not _MEDIA_TYPE.fullmatch(file.kind):
            raise MimeFault(f"an attachment can't be called {_shown(file.name)}, or be {_shown(file.kind)}")
        parts.append(f'\r\n--{bound}\r\nContent-Type: {file.kind}\r\nContent-Disposition: attachment; filename="{file.name}"\r\n'.encode())
        parts.append(b"Content-Transfer-Encoding: base64\r\n\r\n" + encodebytes(file.content).replace(b"\n", b"\r\n"))
    parts.append(f"\r\n--{bound}--\r\n".encode())
    return b"".join(parts)


def mailbox(text: str) -> _Mailbox:
    """`Name <address>` or an address, ready for a header and an envelope. Raises MimeFault."""
    text = text.strip()
    name, opened, rest = text.rpartition("<")
    address = rest[:-1].strip() if opened and rest.endswith(">") else text
    if len(address) > ADDRESS_CHARS_MAX or not _ADDRESS.fullmatch(address):
        raise MimeFault(f"not an e-mail address: {_shown(address)}")
    local, _, domain = address.rpartition("@")
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode()
        except UnicodeError as error:
            raise MimeFault(f"not a domain name: {_shown(domain)}") from error
    address = f"{local}@{domain}"
    name = name.strip().strip('"') if opened else ""
    return _Mailbox(f"{_phrase(name)} <{address}>" if name else address, address, domain, not local.isascii(), name)


_mailbox = lru_cache(1_024)(mailbox)  # for senders, which are few


def header_text(text: str, column: int = 0) -> str:
    """Unstructured text as a header value: as it is, folded at spaces, or as encoded words (RFC 2047). `column` is where it starts."""
    if text.isascii() and text.isprintable() and len(text) + column <= 76 and "=?" not in text:
        return text.strip()
    text = plain_line(text)
    if text.isascii() and "=?" not in text:
        words = text.split()
        if all(len(word) <= 76 for word in words):
            return _folded(words, column)
    return _encoded_words(text)


def plain_line(text: str) -> str:
    """Unstructured text for a provider that writes the header itself: nothing in it can end a line. Raises MimeFault for what is too long."""
    if len(text) > HEADER_CHARS_MAX:
        raise MimeFault(f"a header is longer than {HEADER_CHARS_MAX} characters: {_shown(text)}")
    return _CONTROL.sub(" ", text).strip()


def allowed_header(name: str) -> str:
    """The name of a header that a template sets. Raises MimeFault for those that it may not."""
    if not _HEADER_NAME.fullmatch(name) or name.lower() in _RESERVED or name.lower().startswith("content-"):
        raise MimeFault(f"the header {_shown(name)} can't be set by a template")
    return name


def _cut(token: str) -> str:
    """A long token on lines that any server takes; readers drop the spaces."""
    return "\r\n ".join(token[start : start + LINE_OCTETS_MAX - 100] for start in range(0, len(token), LINE_OCTETS_MAX - 100))


def _folded(words: list[str], column: int) -> str:
    lines, line = [], ""
    for word in words:
        if line and column + len(line) + 1 + len(word) > 76:
            lines.append(line)
            line, column = word, 1
        else:
            line = f"{line} {word}" if line else word
    return "\r\n ".join([*lines, line])


def _encoded_words(text: str) -> str:
    """Base64 words of at most 39 octets, cut between characters, one on each line."""
    words: list[str] = []
    chunk: list[str] = []
    size = 0
    for character in text:
        octets = len(character.encode())
        if size + octets > 39:
            words.append("".join(chunk))
            chunk, size = [], 0
        chunk.append(character)
        size += octets
    words.append("".join(chunk))
    return "\r\n ".join(f"=?utf-8?b?{b2a_base64(word.encode(), newline=False).decode()}?=" for word in words)


def _phrase(name: str) -> str:
    """A display name: atoms as they are, other ASCII in quotes, the rest as encoded words."""
    if len(name) <= 60 and name.isascii() and name.isprintable() and "=?" not in name:
        if _ATOMS.fullmatch(name):
            return name
        return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if len(name) > HEADER_CHARS_MAX:
        raise MimeFault(f"a name is longer than {HEADER_CHARS_MAX} characters: {_shown(name)}")
    return _encoded_words(_CONTROL.sub(" ", name).strip())


@lru_cache(1_024)
def _fixed_headers(reply_to: str, headers: tuple[tuple[str, str], ...]) -> str:
    lines = [f"Reply-To: {mailbox(reply_to).header}\r\n"] if reply_to else []
    lines += [f"{allowed_header(name)}: {header_text(value, len(name) + 2)}\r\n" for name, value in headers]
    return "".join(lines)


@lru_cache(64)
def _date(seconds: int) -> str:
    """RFC 5322's date, in UTC (strftime would use the locale)."""
    at = gmtime(seconds)
    return f"{_DAYS[at.tm_wday]}, {at.tm_mday:02} {_MONTHS[at.tm_mon - 1]} {at.tm_year} {at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} +0000"


def _part(kind: str, text: str) -> tuple[str, bytes]:
    """(part headers with the empty line after them, the encoded body); the body ends with CRLF."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text and not text.endswith("\n"):
        text += "\n"
    octets = text.replace("\n", "\r\n").encode(errors="replace")
    if text.isascii() and _has_short_lines(text) and not octets.translate(None, _PLAIN):
        return f"Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n", octets
    if (len(octets) - len(text)) * 3 > len(octets):  # mostly not ASCII: base64 is shorter, and other scripts are unreadable in QP anyway
        encoded = encodebytes(octets).replace(b"\n", b"\r\n")
        return f"Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n", encoded
    return f"Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", b2a_qp(octets, istext=True)


def _has_short_lines(text: str) -> bool:
    """Whether every line may stand in a mail; looks at one line end in a thousand characters."""
    begin = 0
    while len(text) - begin > LINE_OCTETS_MAX:
        begin = text.rfind("\n", begin, begin + LINE_OCTETS_MAX + 1) + 1
        if not begin:
            return False
    return True


def _shown(text: str) -> str:
    """A hostile text as it may stand in a reason."""
    return repr(text[:60])
