"""`GET /v1/audit`: administrative acts, the newest first: who, when, what."""

from __future__ import annotations

from aiohttp import web

from gateway.routing import Call, Route, json_answer

LISTED_MAX = 1_000


async def get_audit(call: Call) -> web.Response:
    """The newest acts."""
    return json_answer({"acts": await call.services.directory.audited(call.number("limit", 100, LISTED_MAX))})


ROUTES = [Route(method="GET", path="/v1/audit", handler=get_audit, scope="admin", summary="Administrative acts, newest first.", query=("limit",))]
