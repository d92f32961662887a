"""SMS texts: counts at the boundaries, nothing cut in half, and every text comes back as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.sms_text import DATA_CODING, GSM7, UCS2, Encoded, Part, decode, encode, parted

MANY = 255
GSM_TEXTS = st.text("@£$¥èéùìòÇ\nØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !¤¡ÄÖÑÜ§¿äöñüàabcXYZ019\f^{}\\[~]|€", max_size=400)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)


def made(text: str, most: int = MANY) -> Encoded:
    found = encode(text, most)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "alphabet", "segments"),
    [
        ("", GSM7, 1),
        ("x" * 160, GSM7, 1),
        ("x" * 161, GSM7, 2),
        ("x" * 306, GSM7, 2),
        ("x" * 307, GSM7, 3),
        ("é" * 160, GSM7, 1),
        ("€" * 80, GSM7, 1),
        ("€" * 81, GSM7, 2),
        ("x" * 152 + "€" + "y" * 150, GSM7, 2),  # 152, then 2 + 150
        ("x" * 152 + "€" + "y" * 152, GSM7, 3),
        ("ж" * 70, UCS2, 1),
        ("ж" * 71, UCS2, 2),
        ("ж" * 134, UCS2, 2),
        ("ж" * 135, UCS2, 3),
        ("😀" * 35, UCS2, 1),
        ("😀" * 36, UCS2, 2),
        ("ж" * 66 + "😀" + "ж" * 66, UCS2, 3),  # the emoji does not fit the last place of the first
        ("x" * 70 + "’", UCS2, 2),  # noqa: RUF001 - one such mark costs half of the places
        ("a`b", UCS2, 1),
        ("a\x1bb", UCS2, 1),
    ],
)
def test_counts_at_the_boundaries(text: str, alphabet: str, segments: int) -> None:
    found = made(text)
    assert (found.alphabet, len(found.segments)) == (alphabet, segments)


def test_one_segment_more_than_allowed_is_too_much() -> None:
    assert encode("x" * 306, 2) is not None
    assert encode("x" * 307, 2) is None
    assert encode("ж" * 135, 2) is None
    assert encode("x" * 1_000_000, 10) is None


@given(st.one_of(GSM_TEXTS, TEXTS))
def test_every_text_comes_back_whole(text: str) -> None:
    found = made(text)
    coding = DATA_CODING[found.alphabet]
    assert decode(coding, b"".join(found.segments)) == text
    assert "".join(decode(coding, octets) for octets in found.segments) == text, "no character is cut"


@given(st.one_of(GSM_TEXTS, TEXTS), st.integers(0, 255))
def test_segments_fit_and_their_headers_count(text: str, reference: int) -> None:
    found = made(text)
    framed = found.framed(reference)
    assert all(len(octets) <= (160 if found.alphabet == GSM7 else 140) for octets in framed)
    if len(framed) > 1:
        parts = [parted(octets) for octets in framed]
        assert [part for part, _ in parts] == [Part(reference, len(framed), number) for number in range(1, len(framed) + 1)]
        assert [octets for _, octets in parts] == found.segments
        assert all(len(octets) >= 132 for octets in found.segments[:-1]), "no segment is wasted"


@given(GSM_TEXTS)
def test_gsm_characters_stay_gsm(text: str) -> None:
    assert made(text).alphabet == GSM7


def test_half_a_pair_becomes_a_question_mark() -> None:
    assert decode(8, made("a\ud800b").segments[0]) == "a?b"


@given(st.integers(0, 255), st.binary(max_size=300))
def test_reading_never_fails(coding: int, octets: bytes) -> None:
    assert isinstance(decode(coding, octets), str)
    _, rest = parted(octets)
    assert octets.endswith(rest)


@pytest.mark.parametrize(
    ("coding", "octets", "text"),
    [
        (0, b"\x00\x1b\x65 \x1b\x1b\x1b\x41\xff\x1b", "@€  A\ufffd"),
        (1, b"abc", "abc"),
        (3, b"\xe9", "é"),
        (4, b"\xe9", "é"),
        (8, b"\xd8\x3d\xde\x00", "😀"),
        (8, b"\x00A\x00", "A\ufffd"),
        (0xF0, b"\x00", "@"),
        (0xF5, b"\xe9", "é"),
        (0x99, b"\x00", "@"),
    ],
)
def test_what_comes_in_is_read_by_its_coding(coding: int, octets: bytes, text: str) -> None:
    assert decode(coding, octets) == text


@pytest.mark.parametrize(
    ("octets", "part", "rest"),
    [
        (b"\x05\x00\x03\x07\x02\x01hi", Part(7, 2, 1), b"hi"),
        (b"\x06\x08\x04\x01\x02\x03\x02hi", Part(258, 3, 2), b"hi"),
        (b"\x0b\x05\x04\x0b\x84\x23\xf0\x00\x03\x07\x02\x01hi", Part(7, 2, 1), b"hi"),  # a port before it
        (b"\x06\x05\x04\x0b\x84\x23\xf0hi", None, b"hi"),
        (b"\x05\x00\x09\x07", None, b""),
        (b"\x02\x00\x03", None, b""),
        (b"", None, b""),
    ],
)
def test_headers_of_others(octets: bytes, part: Part | None, rest: bytes) -> None:
    assert parted(octets) == (part, rest)
