"""Quiet hours: until when a promotional message waits, and how what waited is spread over the time after.

Pure, and asked twice: where an effect is decided, and by its pool, since what stood in a queue may have come into the next quiet hours.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import NamedTuple
from zlib import crc32

from engine.core.local_time import next_opening, next_time


class Quiet(NamedTuple):
    """Quiet hours in minutes past midnight, the start inside, the end outside; over `spread_ms` after the end goes out what they held."""

    start: int
    end: int
    spread_ms: int


def opening(now_ms: int, quiet: Quiet, local: tzinfo) -> int:
    """The end of the quiet hours that it is now; 0 outside of them."""
    # outside the quiet hours is inside the window from their end to their start
    return next_opening(now_ms, quiet.end, quiet.start, (), local)


def spread(contact: str, from_ms: int, quiet: Quiet, local: tzinfo) -> int:
    """How much later than `from_ms` a contact's message goes out: a share of the spread, and not into the next quiet hours.

    The share is drawn from the contact's id: what one contact is sent keeps its order and its distances.
    """
    if not quiet.spread_ms:
        return 0
    most = min(quiet.spread_ms, next_time(from_ms, quiet.start, (), local) - from_ms)
    return crc32(contact.encode()) * most >> 32
