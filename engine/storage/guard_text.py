"""Writing into the guard's text; reading it is engine/core/guard.py."""

from __future__ import annotations


def with_mark(text: str, channel: str, status: str) -> str:
    """`text` with the mark of one channel replaced, or added at its end."""
    others = [mark for mark in text.split() if not mark.startswith(f"{channel}=")]
    return " ".join([*others, f"{channel}={status}"])
