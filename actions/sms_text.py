"""What an SMS looks like on the wire: the GSM 7-bit alphabet with its extension table or UCS-2, cut into segments. Pure.

A text of GSM characters has 160 places in one segment, 153 in each of several (6 octets are the header that joins them); an extension
character takes two places and is never cut in half. Any other character makes the whole text UCS-2: 70 places, 67 in each of several, where
an emoji takes two and is never cut either. GSM characters travel as one octet each, as SMPP carries them; the network packs them.
Source: 3GPP TS 23.038 (alphabets), 23.040 section 9.2.3.24 (concatenation).
"""

from __future__ import annotations

import re
from typing import NamedTuple

GSM7, UCS2 = "gsm7", "ucs2"
DATA_CODING = {GSM7: 0, UCS2: 8}
ESCAPE = 0x1B
SEGMENTS_MOST = 255  # the header counts with one octet
HEADER_INDICATOR = 0x40  # the bit of SMPP's esm_class that says that a header comes first

_BASIC = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
_EXTENSION = {"\f": 0x0A, "^": 0x14, "{": 0x28, "}": 0x29, "\\": 0x2F, "[": 0x3C, "~": 0x3D, "]": 0x3E, "|": 0x40, "€": 0x65}
_CODES = {character: bytes((code,)) for code, character in enumerate(_BASIC) if code != ESCAPE} | {
    character: bytes((ESCAPE, code)) for character, code in _EXTENSION.items()
}
_EXTENDED = {code: character for character, code in _EXTENSION.items()}
_SAME = re.compile(r"[A-Za-z0-9 \n\r!\"#%&'()*+,\-./:;<=>?]*")  # alike in GSM and ASCII: nearly all texts, 20 times as fast
_PLACES = {GSM7: (160, 153), UCS2: (140, 134)}  # octets of a lone segment, of one among several
_CHARSETS = {1: "ascii", 3: "latin-1", 4: "latin-1", 5: "shift_jis", 6: "iso8859-5", 7: "iso8859-8", 8: "utf-16-be", 14: "euc_kr"}  # data_coding → codec


class Encoded(NamedTuple):
    """A text in octets, a segment each, without headers."""

    alphabet: str
    segments: list[bytes]

    def framed(self, reference: int) -> list[bytes]:
        """The segments as they are sent; several of them each behind the header that joins them by `reference` (0 to 255)."""
        total = len(self.segments)
        if total == 1:
            return self.segments
        return [bytes((5, 0, 3, reference, total, number)) + octets for number, octets in enumerate(self.segments, 1)]


class Part(NamedTuple):
    """Which segment of which message this is."""

    reference: int
    total: int
    number: int


def encode(text: str, segments_max: int) -> Encoded | None:
    """The text in octets; None where it needs more segments. What is no character at all (half a surrogate pair) becomes a question mark."""
    if len(text) > segments_max * _PLACES[GSM7][0]:
        return None
    octets = _gsm(text)
    alphabet = UCS2 if octets is None else GSM7
    if octets is None:
        octets = text.encode("utf-16-be", errors="replace")
    segments = _cut(octets, alphabet)
    return Encoded(alphabet, segments) if len(segments) <= segments_max else None


def _gsm(text: str) -> bytes | None:
    """One octet for each place; None where a character is in neither table."""
    if _SAME.fullmatch(text):
        return text.encode("ascii")
    try:
        return b"".join([_CODES[character] for character in text])
    except KeyError:
        return None


def _cut(octets: bytes, alphabet: str) -> list[bytes]:
    alone, among = _PLACES[alphabet]
    if len(octets) <= alone:
        return [octets]
    segments, start = [], 0
    while start < len(octets):
        end = start + among
        if end < len(octets):
            if alphabet == GSM7:
                end -= octets[end - 1] == ESCAPE  # no second octet of an escape is an escape
            elif 0xD8 <= octets[end - 2] <= 0xDB:
                end -= 2
        segments.append(octets[start:end])
        start = end
    return segments


def decode(data_coding: int, octets: bytes) -> str:
    """The text of an inbound message. Never fails: what can't be read becomes a replacement character."""
    group = data_coding >> 4
    if group == 0xF:  # a message class: bit 2 says 8-bit data
        return octets.decode("latin-1") if data_coding & 4 else _from_gsm(octets)
    charset = _CHARSETS.get(data_coding) if group == 0 else None
    return octets.decode(charset, errors="replace") if charset else _from_gsm(octets)


def _from_gsm(octets: bytes) -> str:
    found, escaped = [], False
    for octet in octets:
        if escaped:
            found.append(_EXTENDED.get(octet) or (_BASIC[octet] if octet < 0x80 and octet != ESCAPE else " "))
            escaped = False
        elif octet == ESCAPE:
            escaped = True
        else:
            found.append(_BASIC[octet] if octet < 0x80 else "\ufffd")
    return "".join(found)


def parted(octets: bytes) -> tuple[Part | None, bytes]:
    """A message that begins with a header: which part it is (None where the header doesn't say), and what follows the header."""
    length = octets[0] if octets else 0
    header, rest = octets[1 : 1 + length], octets[1 + length :]
    at = 0
    while at + 2 <= len(header):
        kind, value = header[at], header[at + 2 : at + 2 + header[at + 1]]
        if kind == 0 and len(value) == 3:
            return Part(value[0], value[1], value[2]), rest
        if kind == 8 and len(value) == 4:
            return Part(int.from_bytes(value[:2], "big"), value[2], value[3]), rest
        at += 2 + len(value)
        if not value and header[at - 1]:
            break  # it says that it is longer than it is
    return None, rest
