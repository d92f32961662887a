"""What the tests of email providers share: an email to Ann, its effect, and a provider made as a deployment makes it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from actions.messages import Email
from actions.providers.provider import Dispatch, House, Result
from actions.providers.registry import make_provider
from engine.config import Config
from engine.core.effects import Effect

NOW_MS = 1_767_603_600_000
EFFECT = Effect("e" * 32, "ann", "send_email", "email", "b", "", "m", 1, "hello", 1, 1, 1, 1, NOW_MS, {"template": "hello.html"}, 0, "email")
HOUSE = House(config=Config(send_timeout_ms=2_000, public_url="https://go.example.com"), clock=lambda: NOW_MS, secret="link-secret")
ENVIRON = {"KEY": "sw0rdfish"}


def dispatch(effect: Effect = EFFECT, **message: Any) -> Dispatch:
    email = {"to": "Ann Bell <ann@example.net>", "sender": "Shop <shop@example.com>", "subject": "Hi \u00e4", "html": "<p>Hi</p>", "text": "Hi", **message}
    return Dispatch(effect, Email(**email))


@asynccontextmanager
async def email_provider(block: dict[str, Any]) -> AsyncIterator[Any]:
    provider = make_provider("email", {"from": "Shop <shop@example.com>", **block}, HOUSE, ENVIRON)
    try:
        yield provider
    finally:
        await provider.close()


async def send(provider: Any, one: Dispatch) -> Result:
    results: list[Result] = []
    await provider.send([one], lambda _, result: results.append(result))
    [result] = results
    return result
