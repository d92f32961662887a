"""`GET /v1/status`: the whole deployment at a glance; what `wayfare status` and `wayfare top` show."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web

from engine import conservation
from gateway.routes.health import processes
from gateway.routing import Call, Route, json_answer
from gateway.services import Services

RATE_S = 0.25


async def get_status(call: Call) -> web.Response:
    """Processes, partitions, rates over a quarter of a second, lanes, conservation. Times are milliseconds, rates per second."""
    services = call.services
    before = await _counted(services)
    await asyncio.sleep(RATE_S)
    after = await _counted(services)
    counters, states, lag = after["counters"], after["states"], after["lag"]
    depths, stopped, memory, who = await asyncio.gather(services.outbox.depths(), services.outbox.stopped(), services.directory.ping(), processes(services))
    partitions = [
        {"partition": number, "offset": state.offset, "time_ms": state.time_ms, "snapshot": state.snapshot, "lag_records": records, "lag_ms": age_ms}
        for number, state in sorted(states.items())
        for records, age_ms in [lag.get(number, (0, 0))]
    ]
    return json_answer(
        {
            "now_ms": services.clock(),
            "snapshot": await services.workspaces.newest(),
            "durability": memory.get("durability", services.config.durability),
            "memory": {"used_bytes": memory.get("used_bytes", 0), "max_bytes": memory.get("max_bytes", 0)},
            "processes": [{key: value for key, value in said.items() if key != "metrics"} for _, said in sorted(who.items())],
            "partitions": partitions,
            "lag_records": sum(records for records, _ in lag.values()),
            "rates": _rates(before, after),
            "lanes": depths,
            "stopped": list(stopped),
            "stopped_because": {what: reason for what, reason in stopped.items() if reason},
            "conservation": _conservation(counters),
        }
    )


async def _counted(services: Services) -> dict[str, Any]:
    at_s = asyncio.get_running_loop().time()
    counters, states, lag = await asyncio.gather(services.directory.counters(), services.directory.states(), services.intake.lag())
    return {"at_s": at_s, "counters": counters, "states": states, "lag": lag}


def _rates(before: dict[str, Any], after: dict[str, Any]) -> dict[str, float]:
    seconds: float = after["at_s"] - before["at_s"]

    def rate(total: Callable[[dict[str, Any]], int]) -> float:
        return round((total(after) - total(before)) / seconds, 1)

    return {
        "committed": rate(lambda sample: sum(state.offset for state in sample["states"].values())),
        "decided": rate(lambda sample: _effects(sample["counters"], "decided")),
        "delivered": rate(lambda sample: _effects(sample["counters"], "delivered")),
    }


def _effects(counters: dict[str, int], what: str) -> int:
    return sum(counters.get(f"fx:{channel}:{what}", 0) for channel in conservation.channels_in(counters))


def _conservation(counters: dict[str, int]) -> dict[str, Any]:
    maps = {name: {**conservation.enrollments(counters, name), "drift": conservation.drift(counters, name)} for name in conservation.maps_in(counters)}
    channels = {
        name: {**conservation.effects(counters, name), "drift": conservation.effects_drift(counters, name)} for name in conservation.channels_in(counters)
    }
    return {"maps": maps, "channels": channels, "holds": not any(one["drift"] for one in [*maps.values(), *channels.values()])}


ROUTES = [Route(method="GET", path="/v1/status", handler=get_status, scope="read", summary="Processes, partitions, lag, rates, lanes, conservation.")]
