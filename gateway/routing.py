"""A route: its handler, what it needs, and what /openapi.json says about it. And the wrapper that every handler runs in.

There is no middleware: one function around each handler checks the key, turns faults into problem documents, and measures.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from engine.core.errors import InvalidDocument
from engine.logs import logger
from gateway.auth import Caller
from gateway.problems import Refusal, refused, response
from gateway.requests import Time, epoch_ms
from gateway.services import Services

log = logger("gateway")

TABLE: web.AppKey[tuple[Route, ...]] = web.AppKey("routes", tuple)
"""The routes of an application, for its description."""

NOBODY = Caller("", frozenset())


class Call(msgspec.Struct, frozen=True):
    """One request as a handler gets it."""

    services: Services
    request: web.Request
    caller: Caller

    def named(self, name: str) -> str:
        """A part of the path, such as `map`."""
        return self.request.match_info[name]

    def query(self, name: str, default: str = "") -> str:
        """A parameter of the query."""
        return self.request.query.get(name, default)

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number out of the query, from 1 to `most`; Refusal for others."""
        raw = self.query(name, str(default))
        if not (raw.isascii() and raw.isdigit() and len(raw) < 10 and 1 <= int(raw) <= most):
            raise Refusal("invalid-request", f"`{name}` must be a whole number from 1 to {most}.")
        return int(raw)

    def time_ms(self, name: str) -> int:
        """A time out of the query, RFC 3339 or epoch milliseconds, 0 where there is none; Refusal for others."""
        raw = self.query(name)
        try:
            if raw.isascii() and raw.isdigit():
                return epoch_ms(int(raw)) or 0
            return epoch_ms(msgspec.convert(raw, Time)) or 0 if raw else 0
        except ValueError:  # a ValidationError is one
            raise Refusal("invalid-request", f"`{name}` must be RFC 3339 with an offset, or epoch milliseconds.") from None

    async def audit(self, act: str, **detail: Any) -> None:
        """Keep who did what and when."""
        await self.services.directory.audit({"at_ms": self.services.clock(), "who": self.caller.name, "what": act, **detail})


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the gateway's table of routes. `scope` None: no key is asked for. `body` and `answer` are types for the description."""

    method: str
    path: str
    handler: Handler
    scope: str | None
    summary: str
    body: Any = None
    answer: Any = None
    status: int = 200
    query: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("application/json",)  # of the body
    gives: str = "application/json"


def json_answer(value: Any, status: int = 200, **headers: str) -> web.Response:
    """Anything that msgspec can encode, as a JSON answer."""
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json", headers=headers or None)


def wrapped(route: Route, services: Services) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The route's handler as aiohttp calls it: never raises, but for a cancelled request."""
    seconds: dict[int, Any] = {}
    label, handler, scope = f"{route.method} {route.path}", route.handler, route.scope

    async def handle(request: web.Request) -> web.StreamResponse:
        started = time.perf_counter()
        try:
            caller = NOBODY if scope is None else await services.keys.check(request, scope)
            answer = await handler(Call(services, request, caller))
        except Exception as error:  # noqa: BLE001 -- whatever it is, the client gets a problem document and the log the rest
            answer = response(refusal_of(error, label))
        status = answer.status
        histogram = seconds.get(status)
        if histogram is None:
            histogram = seconds[status] = services.metrics.gateway_request.labels(label, str(status))
        histogram.observe(time.perf_counter() - started)
        return answer

    return handle


def refusal_of(error: Exception, label: str) -> Refusal:
    """The refusal that a fault comes to; what nobody thought of is logged and becomes a 500 that says where to look."""
    answer = refused(error)
    if isinstance(answer, Refusal):
        return answer
    if isinstance(error, InvalidDocument):
        return Refusal("invalid", "The document has errors.", problems=error.problems)
    instance = secrets.token_hex(8)
    log.error("request failed", route=label, instance=instance, exc_info=error)
    return Refusal("internal", instance=instance)
