"""The HTTP application of one gateway, and how it is served.

`build_app(services)` gives the aiohttp application with every route of the table; `serving` runs it on a port and drains it at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator

from aiohttp import web

from gateway.problems import Refusal, response
from gateway.routing import TABLE, wrapped
from gateway.services import Services
from gateway.table import ROUTES

KEEPALIVE_S = 75
SHUTDOWN_S = 10


def build_app(services: Services) -> web.Application:
    """The application. Bodies come as they were sent: decompressing is bounded here and not by aiohttp."""
    app = web.Application(
        handler_args={"auto_decompress": False, "access_log": None, "keepalive_timeout": KEEPALIVE_S, "lingering_time": 1.0, "max_field_size": 16_384}
    )
    app[TABLE] = tuple(ROUTES)
    for route in ROUTES:
        handler = wrapped(route, services)
        if route.method == "GET":
            app.router.add_get(route.path, handler)  # and HEAD
        else:
            app.router.add_route(route.method, route.path, handler)
    others = app.router.add_route("*", "/{anything:.*}", nothing_here)
    app[OTHERS] = others
    app.cleanup_ctx.append(lambda _: _background(services))
    return app


OTHERS = web.AppKey("others", web.AbstractRoute)


async def nothing_here(request: web.Request) -> web.Response:
    """404, or 405 with the methods that the path has."""
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        if resource is not request.app[OTHERS].resource:
            allowed |= (await resource.resolve(request))[1]
    if allowed:
        return response(
            Refusal("method-not-allowed", f"{request.path[:200]} takes {', '.join(sorted(allowed))}.", headers={"Allow": ", ".join(sorted(allowed))})
        )
    return response(Refusal("not-found", f"There is no route {request.path[:200]}"))


async def _background(services: Services) -> AsyncIterator[None]:
    watch = asyncio.create_task(services.admission.watch(), name="admission-watch")
    yield
    watch.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watch
    await services.sightings.drain()
    await services.admission.drain()


@contextlib.asynccontextmanager
async def serving(services: Services, host: str, port: int) -> AsyncIterator[int]:
    """Serve on a port (0 picks one; the block gets which). Leaving the block stops listening, answers what is under way, and drains."""
    gc.freeze()  # what is loaded now stays; collections need not look at it again
    runner = web.AppRunner(build_app(services), shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=1024, reuse_port=services.config.gateways > 1 or None)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
