"""Health and metrics: `/livez`, `/readyz`, `/startupz`, `/metrics`, `/metrics/targets`. No key is asked for."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from engine import metrics
from engine.codec import decode_any
from engine.core.errors import WayfareError
from gateway.problems import Refusal
from gateway.routing import Call, Route, json_answer
from gateway.services import Services

PING_S = 2.0


async def livez(call: Call) -> web.Response:
    """Alive, whatever becomes of storage."""
    return json_answer({"status": "alive"})


async def readyz(call: Call) -> web.Response:
    """Storage answers, and what `accepted` means here."""
    try:
        async with asyncio.timeout(PING_S):
            storage = await call.services.directory.ping()
    except (WayfareError, TimeoutError):
        raise Refusal("unavailable", "The storage does not answer.", headers={"Retry-After": "1"}) from None
    body = {"status": "ready", "durability": storage.get("durability", call.services.config.durability)}
    return json_answer({**body, "memory_used_bytes": storage.get("used_bytes", 0), "memory_max_bytes": storage.get("max_bytes", 0)})


async def get_metrics(call: Call) -> web.Response:
    """The whole deployment in one page; `?process=NAME` gives one process as it published itself."""
    services = call.services
    texts = await texts_of(services)
    name = call.query("process")
    if name:
        if name not in texts:
            raise Refusal("not-found", "There is no process of this name.")
        return _page(texts[name])
    return _page(metrics.page([*metrics.merge(texts.values()), *await _stored(services)]))


async def targets(call: Call) -> web.Response:
    """Each process as a target for Prometheus' HTTP service discovery; this gateway answers for all of them."""
    address = call.request.host
    found = [
        {"targets": [address], "labels": {"__metrics_path__": "/metrics", "__param_process": name, "process": name, "role": str(said.get("role", ""))}}
        for name, said in sorted((await processes(call.services)).items())
    ]
    return json_answer(found)


async def processes(services: Services) -> dict[str, dict[str, Any]]:
    """What each live process published last, by its name; this one is always there."""
    found: dict[str, dict[str, Any]] = {services.name: {"role": "gateway", "name": services.name}}
    for name, value in (await services.directory.processes()).items():
        try:
            said = decode_any(value)
        except msgspec.DecodeError:
            continue
        if isinstance(said, dict):
            found[str(said.get("name", name))] = said
    return found


async def texts_of(services: Services) -> dict[str, str]:
    """The metrics of each process; where storage is away, at least this one's."""
    try:
        texts = {name: str(said.get("metrics", "")) for name, said in (await processes(services)).items()}
    except WayfareError:
        texts = {}
    texts[services.name] = services.metrics.exposition()
    return texts


async def _stored(services: Services) -> list[Any]:
    try:
        directory = services.directory
        counters, depths, lag, timers = await asyncio.gather(directory.counters(), services.outbox.depths(), services.intake.lag(), directory.timers())
    except WayfareError:
        return []
    return metrics.stored(counters=counters, depths=depths, lag=lag, timers=timers)


def _page(text: str) -> web.Response:
    return web.Response(body=text.encode(), headers={"Content-Type": metrics.CONTENT_TYPE})


ROUTES = [
    Route(method="GET", path="/livez", handler=livez, scope=None, summary="This process answers."),
    Route(method="GET", path="/readyz", handler=readyz, scope=None, summary="Storage answers; the durability in force."),
    Route(method="GET", path="/startupz", handler=readyz, scope=None, summary="The gateway has started: storage answered."),
    Route(
        method="GET",
        path="/metrics",
        handler=get_metrics,
        scope=None,
        summary="Prometheus metrics of the whole deployment.",
        query=("process",),
        gives="text/plain",
    ),
    Route(method="GET", path="/metrics/targets", handler=targets, scope=None, summary="Processes for Prometheus' HTTP service discovery."),
]
