"""Refusals as RFC 9457 problem documents: every error that a client sees has a stable `type`, `/problems/NAME`, from this one table.

A `Refusal` is raised by whatever finds the fault and caught by the wrapper of the route (see app.py). The text of a
problem says what to do next, and never holds a secret or an inner message of the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from engine.core.errors import Full, Unavailable

CONTENT_TYPE = "application/problem+json"

PROBLEMS: dict[str, tuple[int, str, str]] = {
    "unreadable": (400, "The body cannot be read", "Send well-formed JSON (or NDJSON, or YAML where a document is asked for) in UTF-8."),
    "invalid-request": (400, "The request cannot be used", "Look at the parameters that `detail` names."),
    "no-key": (401, "A key is needed", "Send `Authorization: Bearer KEY`, or the key as the Basic user name."),
    "wrong-scope": (403, "This key may not do that", "Use a key with the scope that `detail` names."),
    "not-signed": (403, "The signature does not hold", "Look at the secret of this provider in providers.yaml, and at the address that it calls."),
    "not-found": (404, "There is nothing here", "Look at /docs for the routes."),
    "method-not-allowed": (405, "This route has other methods", "The `Allow` header lists them."),
    "conflict": (409, "Somebody else was faster", "Read the current state and try again."),
    "gone": (410, "This is no longer here", "`detail` says what to do instead."),
    "too-large": (413, "Too large", "Send smaller pieces; the limits stand in /openapi.json."),
    "unsupported-type": (415, "This type of content is not understood", "Send `application/json` or `application/x-ndjson`, plain or as gzip or zstd."),
    "invalid": (422, "The content is not valid", "Look at `rejected` or `problems`: each entry names its place and what is wrong."),
    "too-many-bad-keys": (429, "Too many bad keys", "Wait as long as `Retry-After` says."),
    "busy": (429, "A bound is reached", "Wait as long as `Retry-After` says, then send again; nothing of this request was accepted."),
    "internal": (500, "Something went wrong on the server", "It was logged there under the `instance` given here."),
    "unavailable": (503, "The storage cannot be reached", "Try again after `Retry-After`; an event that carries an id is never applied twice."),
}


class Refusal(Exception):
    """An answer other than the one hoped for; `name` is a key of PROBLEMS, `more` are further members of the problem document."""

    def __init__(self, name: str, detail: str = "", *, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(f"{name}: {detail}")
        self.name, self.detail, self.headers, self.more = name, detail, dict(headers or {}), more


def busy(detail: str, retry_after_ms: int, name: str = "busy") -> Refusal:
    """A refusal that says when to come back, in whole seconds, at least one."""
    return Refusal(name, detail, headers={"Retry-After": str(max(1, -(-retry_after_ms // 1000)))})


def refused(failure: Exception) -> Exception:
    """A failure of storage as its refusal: 429 for Full, 503 for Unavailable; any other comes back as it is."""
    if isinstance(failure, Full):
        return busy("The log is full.", failure.retry_after_ms)
    if isinstance(failure, Unavailable):
        return Refusal("unavailable", headers={"Retry-After": "1"})
    return failure


def response(refusal: Refusal) -> web.Response:
    """The refusal as the client gets it."""
    status, title, _ = PROBLEMS[refusal.name]
    body: dict[str, Any] = {"type": f"/problems/{refusal.name}", "title": title, "status": status}
    if refusal.detail:
        body["detail"] = refusal.detail
    body.update(refusal.more)
    return web.Response(status=status, body=msgspec.json.encode(body), content_type=CONTENT_TYPE, headers=refusal.headers)
