"""Payments through Stripe: cancels subscriptions and recharges what is in collections; takes Stripe's webhooks.

A decline is a result and no failure: it comes back as an event. What was sent and not answered, and Stripe's own faults (5xx), may have been
done; the next attempt looks before it asks again. A 409 says that an earlier request of ours is still at work, a 429 that it took nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import aiohttp
import msgspec

from actions import stripe_events
from actions.http_provider import api_session, check_plain
from actions.providers import provider
from actions.providers.provider import (
    CHANNEL,
    CREDENTIALS,
    DELIVERED,
    REJECTED,
    Dispatch,
    House,
    Inbound,
    Provider,
    Reception,
    Report,
    Result,
    clean,
    each,
)
from actions.stripe_api import Halt, StripeApi
from actions.stripe_payments import Work
from engine.core.errors import InvalidConfig, Unavailable


class StripeSettings(provider.Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`key` is a secret (or restricted) key, `webhook_secret` signs what comes in, and is believed for `tolerance_s`; `base_url` may point at a mock."""

    key: str
    webhook_secret: str = ""
    base_url: str = "https://api.stripe.com"
    connections: int = 16
    tolerance_s: int = 300


class Stripe(Provider):
    name = "stripe"
    channel = "payments"
    Settings = StripeSettings
    honours_key = True  # for a day; after it by looking first
    not_accepted = frozenset({"connect", "busy", "conflict", "look-up"})

    def __init__(self, settings: StripeSettings, house: House) -> None:
        self._connections = settings.connections
        self._limit_s = house.config.send_timeout_ms / 1_000
        self._session, self._api = _connect(settings, house)

    @property
    def in_flight_max(self) -> int:
        return self._connections

    async def send(self, dispatches: Sequence[Dispatch], report: Report) -> None:
        await each(dispatches, self._work, report)

    async def _work(self, dispatch: Dispatch) -> Result:
        work = Work(self._api, dispatch, self._limit_s)
        try:
            await work.run()
        except Halt as halt:
            return self._halted(halt, work)
        if work.refused:
            return Result(state=REJECTED, reason=clean("; ".join(work.refused)), data={"events": work.events})
        return Result(state=DELIVERED, data={"events": work.events})

    def _halted(self, halt: Halt, work: Work) -> Result:
        """What is known so far is told at once. An attempt that may have done something counts, so that the next one looks first."""
        data = {"events": work.events}
        if halt.stage == "credentials":
            return Result(state=CREDENTIALS, reason=str(halt), blames=CHANNEL, data=data)
        failed = self.failed(halt.stage, str(halt), retry_after_ms=halt.wait_ms, counts=halt.counts or work.begun)
        return msgspec.structs.replace(failed, data=data)

    async def close(self) -> None:
        await self._session.close()

    @classmethod
    async def receive(cls, settings: StripeSettings, inbound: Inbound, house: House) -> Reception:
        stripe_events.check_signature(settings.webhook_secret, inbound, house.clock() // 1_000, settings.tolerance_s)
        event = stripe_events.read(inbound.body)
        heard = stripe_events.heard_of(event, house.config.contact_id_chars_max)
        customer = stripe_events.customer_of(event)
        if heard and customer and not (heard[0].contact or heard[0].email):
            email = await _email_of(settings, house, customer)
            heard = [msgspec.structs.replace(one, email=email) for one in heard]
        return Reception(heard=heard)


def _connect(settings: StripeSettings, house: House) -> tuple[aiohttp.ClientSession, StripeApi]:
    """A session, to be closed, and the API over it. Raises InvalidConfig."""
    if not settings.key:
        raise InvalidConfig("key is empty")
    check_plain(" ", key=settings.key)
    base, session = api_session(settings.base_url, settings.connections, house.config)
    return session, StripeApi(session, base, settings.key, house.clock)


async def _email_of(settings: StripeSettings, house: House, customer: str) -> str:
    """The address of a customer, "" where there is none. Raises Unavailable, so that Stripe sends its notice again."""
    session, api = _connect(settings, house)
    try:
        answer = await api.call("GET", f"/v1/customers/{customer}", house.config.send_timeout_ms / 1_000)
    except Halt as halt:
        raise Unavailable(f"Stripe does not say who {customer} is: {halt}") from None
    finally:
        await session.close()
    email = answer.body.get("email")
    return email if isinstance(email, str) else ""
