"""Postfix's smtp-sink: an SMTP server that takes every mail, or refuses in the way it is told. `with smtp_sink() as sink:` gives its port and its mails."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.counterparts.needs import path_of
from tests.counterparts.process import free_port, started

BACKLOG = 100
DUMPED = b"Received: from "  # the sink puts the envelope and this header before what it was sent
REFUSE_FOR_GOOD, REFUSE_FOR_NOW, HANG_UP = "-f", "-r", "-q"  # each followed by the command to do it at, such as RCPT


class Mail(NamedTuple):
    """A mail as it came over the wire, lines ended by CRLF, with the envelope that it came in."""

    sender: str
    recipient: str
    data: bytes


class Sink:
    """A running sink that dumps what it takes into a folder."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port, self._folder = port, folder

    @property
    def mails(self) -> list[Mail]:
        """Everything taken so far, by recipient."""
        return sorted(map(_read, self._folder.iterdir()), key=lambda mail: mail.recipient)


@contextmanager
def smtp_sink(*behaviour: str) -> Iterator[Sink]:
    """A sink of its own; `behaviour` are options of smtp-sink, such as REFUSE_FOR_GOOD, "RCPT"."""
    with tempfile.TemporaryDirectory(prefix="smtp-sink-") as folder:
        Path(folder).chmod(0o777)  # as root it gives up its rights, and writes as nobody
        port = free_port()
        who = ["-u", "nobody"] if os.getuid() == 0 else []
        with started(path_of("smtp-sink"), *who, *behaviour, "-R", folder, "-d", "mail.", f"127.0.0.1:{port}", str(BACKLOG), port=port):
            yield Sink(port, Path(folder))


def _read(file: Path) -> Mail:
    envelope, _, rest = file.read_bytes().partition(DUMPED)
    lines = rest.split(b"\n")
    own = next(number for number, line in enumerate(lines[1:], 1) if not line.startswith((b"\t", b" ")))  # the sink's header is folded
    said = dict(line.split(": ", 1) for line in envelope.decode().splitlines())
    return Mail(_address(said["X-Mail-Args"]), _address(said["X-Rcpt-Args"]), b"\r\n".join(lines[own:]))


def _address(argument: str) -> str:
    return argument.partition("<")[2].partition(">")[0]
