"""An SMSC that somebody else wrote: npm's `smpp`, driven by smsc.js. `with start() as smsc:` gives its port, what it took, and a hand on it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.counterparts.needs import path_of
from tests.counterparts.process import Counterpart, free_port, started

TOOLS = ("node", "smpp")
SCRIPT = Path(__file__).with_name("smsc.js")
ANSWERS_WITHIN_S = 10


class Smsc:
    """A running SMSC; `shop` with the password `secret` may bind."""

    def __init__(self, port: int, control: int, process: Counterpart) -> None:
        self.port, self._control, self._process = port, control, process

    @property
    def block(self) -> dict[str, Any]:
        """The channel's block of providers.yaml."""
        return {"provider": "smpp", "host": "127.0.0.1", "port": self.port, "system_id": "shop", "password": "secret", "from": "+12025550100", "connections": 1}

    def taken(self) -> list[dict[str, Any]]:
        """Every segment that it took: id, from, to, text, coding, udh."""
        return [json.loads(line) for line in self._process.output().splitlines() if line.startswith("{")]

    def tell(self, **what: Any) -> dict[str, Any]:
        """Say how it is to behave, or let it deliver a message; what came of it."""
        with socket.create_connection(("127.0.0.1", self._control), ANSWERS_WITHIN_S) as control, control.makefile("rw") as lines:
            lines.write(json.dumps(what) + "\n")
            lines.flush()
            return json.loads(lines.readline())  # type: ignore[no-any-return]

    def deliver(self, sender: str, text: str) -> int:
        """Deliver a message to whoever is bound; the status of its answer."""
        return int(self.tell(**{"from": sender, "to": "+12025550100", "text": text})["status"])


@contextmanager
def start() -> Iterator[Smsc]:
    """An SMSC of its own, on free ports of loopback."""
    port, control = free_port(), free_port()
    with started(path_of("node"), SCRIPT, str(port), str(control), port=control, env={"NODE_PATH": str(path_of("smpp").parent)}) as process:
        yield Smsc(port, control, process)
