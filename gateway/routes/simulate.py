"""`POST /v1/simulate`: a script on the production step code, with a virtual clock. Nothing here touches a contact.

One simulation at a time, in a thread; others are told to wait. A script brings its documents inline or runs on what is published.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from actions.registry import detail_of
from engine.core.errors import InvalidDocument, Problem
from engine.publish import LISTS, TABLES, Documents
from engine.simulator import simulate
from gateway.documents import KINDS, read_mapping
from gateway.problems import busy
from gateway.routing import Call, Route
from gateway.services import Services

running = asyncio.Semaphore(1)


async def post_simulate(call: Call) -> web.Response:
    """Run a script; the lines as NDJSON, as `wayfare simulate --format jsonl` prints them."""
    script = await read_mapping(call, "script", call.services.config.simulation_bytes_max)
    if "workspace" in script:
        raise InvalidDocument([Problem(file="script", message="`workspace` names a folder, which a server does not read", remedy="write the documents inline")])
    if not any(section in script for section in (*LISTS, *TABLES)):
        snapshot = await call.services.published.newest()
        script = {**(snapshot.documents if snapshot else {}), **script}
    if running.locked():
        raise busy("Another simulation is running.", 1000)
    async with running:
        lines = await asyncio.to_thread(_run, script, call.services)
    return web.Response(body=lines, content_type="application/x-ndjson")


def _run(script: dict[str, Any], services: Services) -> bytes:
    return msgspec.json.Encoder().encode_lines(simulate(script, services.registry, detail_of, _no_folder).lines)


def _no_folder(_path: str) -> Documents:
    raise InvalidDocument([Problem(file="script", message="a server reads no folders")])


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
