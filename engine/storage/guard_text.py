"""Writing into the guard's text; reading it is engine/core/guard.py."""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.guard import ENDING, forbidden_by
from engine.core.records import Event, Record
from engine.ports import DEFAULT_CONSENT


def with_mark(text: str, channel: str, status: str) -> str:
    """`text` with the mark of one channel replaced, or added at its end."""
    others = [mark for mark in text.split() if not mark.startswith(f"{channel}=")]
    return " ".join([*others, f"{channel}={status}"])


def marks_of(records: Sequence[Record]) -> list[tuple[int, str, str, str]]:
    """(index, contact, channel, status) of each mark that records make in the guard before they are read."""
    found = []
    for index, record in enumerate(records):
        if type(record) is Event and record.name not in ENDING:
            continue  # nearly all of them: not a call more than needed
        for channel, status in forbidden_by(record, DEFAULT_CONSENT).items():
            found.append((index, record.contact, channel, status))
    return found
