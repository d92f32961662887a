"""`POST /v1/simulate`: a script on the production step code, with a virtual clock. Nothing here touches a contact.

One simulation at a time for each gateway; others are told to wait.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from gateway.bodies import LINES, type_of
from gateway.documents import KINDS
from gateway.problems import Refusal, busy
from gateway.routing import Call, Route
from gateway.simulation import Order, simulate_aside


async def post_simulate(call: Call) -> web.Response:
    """Run a script; the lines as NDJSON, as `wayfare simulate --format jsonl` prints them."""
    services, kind = call.services, type_of(call.request)
    if kind == LINES:
        raise Refusal("unsupported-type", "Send application/json or application/yaml.")
    if services.simulating.locked():
        raise busy("Another simulation is running.", 1000)
    async with services.simulating, services.bodies.read(call.request) as body:
        if len(body) > services.config.simulation_bytes_max:
            raise Refusal("too-large", f"A script may have {services.config.simulation_bytes_max} bytes.")
        snapshot = await services.published.newest()
        order = Order(body, kind, snapshot.documents if snapshot else {}, services.config)
        lines = await asyncio.to_thread(simulate_aside, order)
    return web.Response(body=lines, content_type="application/x-ndjson")


ROUTES = [
    Route(
        method="POST",
        path="/v1/simulate",
        handler=post_simulate,
        scope="read",
        summary="Simulate a script (MAPS.md), with its documents inline or on what is published.",
        body=dict,
        kinds=KINDS,
        gives="application/x-ndjson",
    )
]
