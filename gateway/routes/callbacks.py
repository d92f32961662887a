"""`POST /v1/callbacks/{provider}`: bounces, complaints, receipts, inbound messages and payments, as the providers send them.

There is no key: each provider signs in its own way, and its class checks that and reads the body. The answer is given when everything is
in the log, so a provider that gets another one sends it again, and the ids of the notices keep the second time from counting.
"""

from __future__ import annotations

import os

from aiohttp import web

from actions.providers.provider import House, Inbound, Unreadable, Unsigned
from actions.providers.registry import receiver_of
from engine.core.errors import InvalidConfig
from engine.logs import logger
from gateway.problems import Refusal, refused
from gateway.routing import Call, Route

log = logger("gateway")


async def receive(call: Call) -> web.Response:
    """Check, read, append, answer."""
    services, name = call.services, call.named("provider")
    snapshot = await services.published.newest()
    try:
        found = receiver_of(name, (snapshot.documents.get("providers") or {}) if snapshot else {}, os.environ)
    except InvalidConfig as error:
        log.error("a callback cannot be checked", provider=name, error=str(error))  # noqa: TRY400 - the message says it all, and a trace might show a secret
        raise Refusal("unavailable", "This provider's settings cannot be used.", headers={"Retry-After": "60"}) from None
    if found is None:
        raise Refusal("not-found", f"providers.yaml has no provider {name[:60]!r} that takes callbacks.")
    kind, settings = found
    house = House(config=services.config, clock=services.clock, secret=services.signing_secret)
    async with services.bodies.read(call.request) as body:
        headers = {key.lower(): value for key, value in call.request.headers.items()}
        inbound = Inbound(url=f"{house.public_url}{call.request.path_qs}", headers=headers, body=bytes(body), query=dict(call.request.query))
        try:
            said = await kind.receive(settings, inbound, house)
        except Unsigned as error:
            raise Refusal("not-signed", str(error)) from None
        except Unreadable as error:
            raise Refusal("unreadable", str(error)) from None
    try:
        records = await services.hearing.hear(said.heard)
    except Exception as error:
        raise refused(error) from error
    services.count_accepted("callback", records)
    return web.Response(text=said.body, content_type=said.content_type)


ROUTES = [
    Route(
        method="POST",
        path="/v1/callbacks/{provider}",
        handler=receive,
        scope=None,
        summary="What a provider reports: bounces, complaints, receipts, inbound messages, payments. Signed by the provider.",
        body=dict,
        kinds=("application/json", "application/x-www-form-urlencoded", "message/rfc822"),
        gives="text/plain",
    )
]
