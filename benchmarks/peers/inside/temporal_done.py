"""What a Temporal worker has outside of its workflows: a file that gets a byte for each event that was applied, and the connections to the mail sink."""

from __future__ import annotations

import os
from threading import local

from benchmarks.peers.inside import journey

_mine = local()
_tally = os.open(os.environ["TALLY"], os.O_WRONLY | os.O_APPEND | os.O_CREAT) if "TALLY" in os.environ else -1


def one() -> None:
    """One event was applied."""
    os.write(_tally, b".")


def mailer() -> journey.Mailer:
    """The connection of this thread."""
    if not hasattr(_mine, "mailer"):
        _mine.mailer = journey.Mailer(int(os.environ["SMTP_PORT"]))
    found: journey.Mailer = _mine.mailer
    return found
