"""What the provider conformance suite asks of a bench: a counterpart on loopback that can show each fault, and the messages it takes.

A new provider adds one file here with one class: a subclass of `Bench` (or `HttpBench`) that has `name` and `channel`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Self

from actions.messages import Message
from tests.providers.http_server import HttpServer

EVIL = "evil\x1b[31m\r\n\u202e" + "y" * 5_000  # what a hostile server says


class Bench(ABC):
    """One provider at its counterpart.

    `faults` says how the counterpart shows each: rejected, deferred, silent (accepted, never answered), slow, "dropped after" (the connection,
    after the message was taken), evil (a rejection whose text is EVIL) and, where the provider logs in, credentials. The values are the bench's own.
    """

    name: ClassVar[str]
    channel: ClassVar[str]
    action: ClassVar[str]  # the kind that decides its effects
    faults: dict[str, Any]
    code: ClassVar[str]  # stands in the reason of `rejected`
    retry_after_ms: ClassVar[int] = 0  # what `deferred` asks for
    blames: ClassVar[str] = "channel"  # whose breaker hears that nobody is there
    server: Any

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.server.__aexit__(*exc)

    @abstractmethod
    def block(self) -> dict[str, Any]:
        """The channel's block of providers.yaml; the secret is `env:SECRET`, whose value is sw0rdfish."""

    @abstractmethod
    def message(self, text: str) -> Message:
        """A message with this text in every place that takes text."""

    @abstractmethod
    def show(self, fault: str) -> None:
        """Behave like this from now on; "" is well."""

    @abstractmethod
    def move(self, port: int) -> None:
        """Let `block` name another port, where nobody listens."""

    @abstractmethod
    def received(self) -> int:
        """Messages that the counterpart took."""

    def performed(self) -> int:
        """How often the counterpart really did what it was told: a repetition under the same idempotency key counts once."""
        return self.received()

    def dest(self) -> str:
        """The destination of an effect, as its kind sets it (a site's name)."""
        return ""


class HttpBench(Bench):
    """A bench whose counterpart is an HTTP server that answers as it is told."""

    retry_after_ms = 7_000

    def __init__(self, body: Any = None) -> None:
        self.server = HttpServer(body)

    def show(self, fault: str) -> None:
        self.server.behave = self.faults[fault] if fault else ""

    def move(self, port: int) -> None:
        self.server.port, self.server.url = port, f"http://127.0.0.1:{port}"

    def received(self) -> int:
        return len(self.server.requests)

    def performed(self) -> int:
        told = [{name.lower(): value for name, value in request["headers"].items()} for request in self.server.requests if request["method"] != "GET"]
        keys = [headers.get("idempotency-key") or headers.get("webhook-id") for headers in told]
        return len(set(filter(None, keys))) + keys.count(None)


@cache
def benches() -> dict[tuple[str, str], type[Bench]]:
    """(channel, name) → bench, of every file in this folder."""
    found: dict[tuple[str, str], type[Bench]] = {}
    for file in sorted(Path(__file__).parent.glob("*.py")):
        for value in vars(import_module(f"tests.conformance.benches.{file.stem}")).values():
            if isinstance(value, type) and issubclass(value, Bench) and "name" in vars(value):
                found[value.channel, value.name] = value
    return found
