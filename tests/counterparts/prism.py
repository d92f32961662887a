"""Prism, an HTTP server made from an OpenAPI document: it checks every request against the document and answers as the document says.

`with start(document, only=["/v3/mail/send"]) as prism:` gives a server on a free port of loopback. A request that the document does not allow
gets a 4xx with the faults in `validation`; `prism.refused()` has them in plain words, also those of requests that our code hid.
"""

from __future__ import annotations

import json
import signal
import socket
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ruamel.yaml import YAML

from actors.processes import spawn

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / ".counterparts/node_modules/.bin/prism"
DOCUMENTS = ROOT / ".counterparts/openapi"  # the vendors' own: twilio.json, sendgrid.json
READY_S = 60


class Prism:
    """A running server: `url` is where the document's first server would be, without a slash at the end."""

    def __init__(self, port: int, log: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._log = log

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def refused(self) -> list[str]:
        """What was wrong with the requests so far, such as "Request body must have required property 'To'"."""
        return [line.partition("error")[2].strip() for line in self.log().splitlines() if "[VALIDATOR] ✖" in line and "Violation:" not in line]

    def asked(self) -> int:
        """How many requests came, good or bad."""
        return self.log().count("Request received")


@contextmanager
def start(document: Path, *, only: Collection[str] = (), port: int = 0) -> Iterator[Prism]:
    """Serve a document (JSON or YAML), or `only` some of its paths, which starts faster. Call it from the main thread: Prism dies with it.

    Answers are made up from the document's schemas, the same ones in every run.
    """
    with tempfile.TemporaryDirectory(prefix="prism-") as folder:
        served, log = Path(folder, "served.json"), Path(folder, "log")
        served.write_text(json.dumps(_at_root(_read(document), only)))
        port = port or _free_port()
        command = [str(PROGRAM), "mock", "--errors", "--dynamic", "--seed", "wayfare", "--host", "127.0.0.1", "--port", str(port), str(served)]
        with log.open("wb") as output:
            process = spawn(command, signal.SIGKILL, output=output)
        try:
            prism = Prism(port, log)
            for _ in range(READY_S * 20):
                if "Prism is listening" in prism.log():
                    break
                if process.poll() is not None:
                    raise RuntimeError(f"Prism did not start: {prism.log()[-1_000:]}")
                time.sleep(0.05)
            yield prism
        finally:
            process.kill()
            process.wait()


def _read(document: Path) -> dict[str, Any]:
    text = document.read_text()
    return json.loads(text) if document.suffix == ".json" else YAML(typ="safe", pure=True).load(text)  # type: ignore[no-any-return]


def _at_root(document: dict[str, Any], only: Collection[str]) -> dict[str, Any]:
    """Prism ignores the path of a document's server (`/v3`), so it is put before each path."""
    servers = document.pop("servers", None) or [{"url": ""}]
    base = urlsplit(servers[0]["url"]).path.rstrip("/")
    paths = {base + path: item for path, item in document["paths"].items() if not only or base + path in only}
    assert paths, f"the document has none of {only}"
    for item in paths.values():
        item.pop("servers", None)
    return {**document, "paths": paths}


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
