"""maildev, an SMTP server with a mailbox to look at: `with start() as box:` gives its port, and its mails as a mail program reads them."""

from __future__ import annotations

import json
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.counterparts.needs import path_of
from tests.counterparts.process import free_port, started


class Mailbox:
    """A running maildev. `mails()` is its list: subject, from, to, headers, html, text, attachments, envelope."""

    def __init__(self, port: int, web: int) -> None:
        self.port = port
        self._url = f"http://127.0.0.1:{web}/api/email"

    def mails(self) -> list[dict[str, Any]]:
        return json.loads(self._get(""))  # type: ignore[no-any-return]

    def source(self, mail: dict[str, Any]) -> bytes:
        """A mail as it came over the wire."""
        return self._get(f"/{mail['id']}/source")

    def attachment(self, mail: dict[str, Any], name: str) -> bytes:
        """The content of an attachment of a mail."""
        return self._get(f"/{mail['id']}/attachment/{name}")

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(self._url + path, timeout=10) as answer:
            return bytes(answer.read())


@contextmanager
def start(*options: str) -> Iterator[Mailbox]:
    """A mailbox of its own; `options` are those of its program, such as "--incoming-user", "shop"."""
    with tempfile.TemporaryDirectory(prefix="maildev-") as folder:
        port, web = free_port(), free_port()
        where = ["--ip", "127.0.0.1", "--web-ip", "127.0.0.1", "-s", str(port), "-w", str(web), "--mail-directory", folder]
        with started(path_of("maildev"), *where, *options, port=port, url=f"http://127.0.0.1:{web}/api/email"):
            yield Mailbox(port, web)
