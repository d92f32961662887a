"""Effects that need somebody: dead letters and unknown outcomes; and the red button that stops sending."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from gateway.bodies import decoded
from gateway.problems import Refusal
from gateway.requests import EffectFilter, Sending, UnknownResolution, epoch_ms
from gateway.routing import Call, Route, json_answer

LISTED_MAX = 1_000
MOVED_MAX = 10_000
RESOLUTIONS = ("delivered", "rejected", "pending")


async def get_dead(call: Call) -> web.Response:
    """Effects that are out of attempts, newest first."""
    return json_answer({"dead_letters": await _listed(call, "dead")})


async def get_unknown(call: Call) -> web.Response:
    """Effects of which nobody knows whether they were delivered, newest first."""
    return json_answer({"unknown": await _listed(call, "unknown")})


async def replay(call: Call) -> web.Response:
    """Send dead letters again."""
    return await _move(call, EffectFilter, "dead", "pending", "replay dead letters")


async def drop(call: Call) -> web.Response:
    """Give dead letters up."""
    return await _move(call, EffectFilter, "dead", "dropped", "drop dead letters")


async def resolve(call: Call) -> web.Response:
    """Say what became of unknown effects."""
    return await _move(call, UnknownResolution, "unknown", "", "resolve unknown")


async def stop_sending(call: Call) -> web.Response:
    """Stop: everything, one channel, or one map. Pools ask for it with every claim."""
    return await _stop(call, stopped=True)


async def resume_sending(call: Call) -> web.Response:
    """Go on."""
    return await _stop(call, stopped=False)


async def _listed(call: Call, state: str) -> list[dict[str, Any]]:
    most = call.number("limit", 100, LISTED_MAX)
    since_ms = call.time_ms("since")
    return await call.services.outbox.listing(
        state, most, channel=call.query("channel"), map_id=call.query("map"), reason=call.query("reason"), since_ms=since_ms
    )


async def _move(call: Call, kind: type[EffectFilter], state: str, into: str, act: str) -> web.Response:
    outbox = call.services.outbox
    async with call.services.bodies.read(call.request) as body:
        given = decoded(body, kind)
    if isinstance(given, UnknownResolution):
        into = given.into
        if into not in RESOLUTIONS:
            raise Refusal("invalid", f"`into` must be one of {', '.join(RESOLUTIONS)}.")
    ids = given.ids
    if not ids:
        try:
            since_ms = epoch_ms(given.since) or 0
        except ValueError as error:
            raise Refusal("invalid", str(error)) from None
        found = await outbox.listing(state, MOVED_MAX, channel=given.channel, map_id=given.map, reason=given.reason, since_ms=since_ms)
        ids = [one["effect"] for one in found]
    if len(ids) > MOVED_MAX:
        raise Refusal("too-large", f"A request may move {MOVED_MAX} effects, this one names {len(ids)}.")
    moved = await outbox.resolve(ids, state, into) if ids else 0
    await call.audit(act, into=into, moved=moved)
    return json_answer({"moved": moved})


async def _stop(call: Call, *, stopped: bool) -> web.Response:
    async with call.services.bodies.read(call.request) as body:
        given = decoded(body, Sending)
    if given.channel and given.map:
        raise Refusal("invalid", "Name a channel or a map, not both: each is stopped by itself.")
    what = f"channel:{given.channel}" if given.channel else f"map:{given.map}" if given.map else "*"
    if given.channel and not stopped:
        await call.services.tallies.forget(given.channel)  # or what it paused itself for would pause it again
        await call.services.outbox.stop(f"promotional:{given.channel}", stopped=False)
    await call.services.outbox.stop(what, stopped)
    await call.audit("stop sending" if stopped else "resume sending", what=what)
    return json_answer({"stopped": list(await call.services.outbox.stopped())})


FILTER = ("channel", "map", "reason", "since", "limit")
ROUTES = [
    Route(method="GET", path="/v1/dead-letters", handler=get_dead, scope="read", summary="Dead letters.", query=FILTER),
    Route(method="POST", path="/v1/dead-letters/replay", handler=replay, scope="admin", summary="Send dead letters again.", body=EffectFilter),
    Route(method="POST", path="/v1/dead-letters/drop", handler=drop, scope="admin", summary="Give dead letters up.", body=EffectFilter),
    Route(method="GET", path="/v1/unknown", handler=get_unknown, scope="read", summary="Effects whose outcome is unknown.", query=FILTER),
    Route(method="POST", path="/v1/unknown/resolve", handler=resolve, scope="admin", summary="Say what became of them.", body=UnknownResolution),
    Route(method="POST", path="/v1/stop-sending", handler=stop_sending, scope="admin", summary="Stop sending: all, a channel, a map.", body=Sending),
    Route(method="POST", path="/v1/resume-sending", handler=resume_sending, scope="admin", summary="Send again.", body=Sending),
]
