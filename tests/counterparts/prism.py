"""Prism, an HTTP server made from an OpenAPI document: it checks every request against the document and answers as the document says.

`with start(document, only=["/v3/mail/send"]) as prism:` gives a server on a free port of loopback. A request that the document does not allow
gets a 4xx with the faults in `validation`; `prism.refused()` has them in plain words, also those of requests that our code hid.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ruamel.yaml import YAML

from tests.counterparts.needs import HOME, path_of
from tests.counterparts.process import Counterpart, free_port, started

DOCUMENTS = HOME / "openapi"  # the vendors' own: twilio.json, sendgrid.json


class Prism:
    """A running server: `url` is where the document's first server would be, without its path and without a slash at the end."""

    def __init__(self, port: int, counterpart: Counterpart) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._counterpart = counterpart

    def log(self) -> str:
        return self._counterpart.output()

    def refused(self) -> list[str]:
        """What was wrong with the requests so far, such as "Request body must have required property 'To'"."""
        lines = self.log().splitlines()
        return [line.partition("error")[2].strip() for line in lines if "[VALIDATOR] ✖" in line and "Violation:" not in line]

    def asked(self) -> int:
        """How many requests came, good or bad."""
        return self.log().count("Request received")


@contextmanager
def start(document: Path, *, only: Collection[str] = (), port: int = 0) -> Iterator[Prism]:
    """Serve a document (JSON or YAML), or `only` some of its paths, which starts faster.

    Answers are made up from the document's schemas, the same ones in every run.
    """
    with tempfile.TemporaryDirectory(prefix="prism-") as folder:
        served = Path(folder, "served.json")
        served.write_text(json.dumps(_at_root(_read(document), only)))
        port = port or free_port()
        how = ("--errors", "--dynamic", "--seed", "wayfare", "--host", "127.0.0.1", "--port", str(port))
        with started(path_of("prism"), "mock", *how, served, port=port) as counterpart:
            yield Prism(port, counterpart)


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
