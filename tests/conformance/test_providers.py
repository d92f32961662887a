"""Every provider passes this suite: the same faults at a real counterpart, the same results.

A new provider adds a `Bench` here: its counterpart, its block of providers.yaml, and how that counterpart shows each fault.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from actions.messages import Email, Message, Request, Sms
from actions.providers.provider import CREDENTIALS, DEFERRED, DELIVERED, REJECTED, UNKNOWN, Dispatch, House, Provider, Result
from actions.providers.registry import load_providers, make_provider
from engine.config import Config
from engine.core.effects import Effect
from tests.providers.http_server import HttpServer
from tests.providers.smtp_server import RawSmtp

HOSTILE = {
    "header injection": "hello\r\nBcc: eve@example.com\r\n\r\nbody",
    "control characters": "a\x00b\x07c\x1bd\x7fe\x85f\u2028g",
    "huge": "x" * 300_000,
    "right to left": "\u202e\u05e9\u05dc\u05d5\u05dd\u202c \u0645\u0631\u062d\u0628\u0627",
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈" * 40,
    "dots": "..\r\n.\r\nMAIL FROM:<eve@example.com>\r\n.",
    "template left over": "{{ user }} {% raw %}",
    "lone surrogate": "a\ud800b",
    "empty": "",
}


def effect(number: int, channel: str) -> Effect:
    return Effect(f"{number:032x}", "ann", f"send_{channel}", channel, "b", "", "m", 1, "e", 1, 1, 1, 1, 1_767_603_600_000)


class SmtpBench:
    channel, block_extra = "email", {"provider": "smtp", "host": "127.0.0.1", "tls": "never", "from": "Shop <shop@example.com>"}
    faults = {
        "rejected": {"RCPT": "550 5.1.1 unknown user"},
        "deferred": {"RCPT": "450 4.2.0 greylisted"},
        "silent": {"dot": "silence"},
        "slow": {"MAIL": "slow"},
        "dropped after": {"dot": "drop"},
        "dropped before": {"DATA": "drop"},
        "credentials": {"AUTH": "535 5.7.8 bad password"},
    }

    def __init__(self) -> None:
        self.server = RawSmtp()

    def block(self) -> dict[str, Any]:
        return {**self.block_extra, "port": self.server.port, "username": "shop", "password": "env:SECRET"}

    def message(self, text: str) -> Message:
        return Email(to="Ann <ann@example.com>", sender="shop@example.com", subject=text[:1_500], html=f"<p>{text}</p>", text=text)

    def show(self, fault: str) -> None:
        self.server.behave = self.faults[fault]

    def received(self) -> int:
        return len(self.server.mails)


class TwilioBench:
    channel = "sms"
    faults = {
        "rejected": (400, {}, '{"code": 21211, "message": "Invalid To"}'),
        "deferred": (503, {"Retry-After": "7"}, '{"code": 20503, "message": "Later"}'),
        "silent": "silence",
        "slow": "slow",
        "dropped after": "drop",
        "credentials": (401, {}, '{"code": 20003, "message": "Authenticate"}'),
    }

    def __init__(self) -> None:
        self.server = HttpServer({"sid": "SM1"})

    def block(self) -> dict[str, Any]:
        return {"provider": "twilio", "base_url": self.server.url, "account": "AC1", "token": "env:SECRET", "from": "+12025550100"}

    def message(self, text: str) -> Message:
        return Sms(to="+12025550199", sender="+12025550100", text=text)

    def show(self, fault: str) -> None:
        self.server.behave = self.faults[fault]

    def received(self) -> int:
        return len(self.server.requests)


class WebhookBench:
    channel = "webhook"
    faults = {
        "rejected": (410, {}, "gone"),
        "deferred": (503, {"Retry-After": "7"}, "later"),
        "silent": "silence",
        "slow": "slow",
        "dropped after": "drop",
    }

    def __init__(self) -> None:
        self.server = HttpServer()

    def block(self) -> dict[str, Any]:
        return {"secret": "env:SECRET", "allow_private": True}

    def message(self, text: str) -> Message:
        return Request(method="POST", url=f"{self.server.url}/hook", body=text)

    def show(self, fault: str) -> None:
        self.server.behave = self.faults[fault]

    def received(self) -> int:
        return len(self.server.requests)


Bench = SmtpBench | TwilioBench | WebhookBench
BENCHES = {("email", "smtp"): SmtpBench, ("sms", "twilio"): TwilioBench, ("webhook", "webhook"): WebhookBench}


@pytest.fixture(params=sorted(BENCHES), ids=lambda key: key[1])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    made = BENCHES[request.param]()
    async with made.server:
        yield made


@asynccontextmanager
async def provider_of(bench: Bench, **settings: Any) -> AsyncIterator[Provider]:
    house = House(config=Config(send_timeout_ms=settings.pop("timeout_ms", 5_000)), clock=lambda: int(time.time() * 1_000), secret="link-secret")
    provider = make_provider(bench.channel, bench.block(), house, {"SECRET": "sw0rdfish"})
    try:
        yield provider
    finally:
        await provider.close()


async def send(provider: Provider, bench: Bench, texts: list[str], first: int = 0) -> list[Result]:
    dispatches = [Dispatch(effect(first + number, bench.channel), bench.message(text)) for number, text in enumerate(texts)]
    results: dict[str, Result] = {}

    def report(dispatch: Dispatch, result: Result) -> None:
        assert dispatch.effect.id not in results, "reported twice"
        results[dispatch.effect.id] = result

    await provider.send(dispatches, report)
    return [results[dispatch.effect.id] for dispatch in dispatches]


def test_every_provider_is_in_this_suite() -> None:
    assert set(load_providers()) == set(BENCHES)


async def test_delivered(bench: Bench) -> None:
    async with provider_of(bench) as provider:
        results = await send(provider, bench, [f"hello {number}" for number in range(30)])
        again = await send(provider, bench, ["more"], 30)
    assert {result.state for result in results + again} == {DELIVERED}
    assert bench.received() == 31


async def test_rejected_says_why(bench: Bench) -> None:
    bench.show("rejected")
    async with provider_of(bench) as provider:
        results = await send(provider, bench, ["a", "b", "c"])
    assert [result.state for result in results] == [REJECTED] * 3
    assert all(any(code in result.reason for code in ("550", "21211", "410")) for result in results)


async def test_deferred_counts_and_carries_retry_after(bench: Bench) -> None:
    bench.show("deferred")
    async with provider_of(bench) as provider:
        results = await send(provider, bench, ["a", "b"])
    assert [(result.state, result.counts) for result in results] == [(DEFERRED, True)] * 2
    assert all(result.retry_after_ms == (0 if bench.channel == "email" else 7_000) for result in results)


async def test_a_rejection_leaves_the_others_alone(bench: Bench) -> None:
    async with provider_of(bench) as provider:
        assert [result.state for result in await send(provider, bench, ["a"])] == [DELIVERED]
        bench.show("rejected")
        assert [result.state for result in await send(provider, bench, ["b"], 1)] == [REJECTED]
        bench.server.behave = type(bench.server.behave)() if not isinstance(bench.server.behave, tuple) else ""
        assert [result.state for result in await send(provider, bench, ["c"], 2)] == [DELIVERED]


async def test_silence_after_acceptance_is_unknown(bench: Bench) -> None:
    bench.show("silent")
    async with provider_of(bench, timeout_ms=300) as provider:
        results = await send(provider, bench, ["a"])
    assert [result.state for result in results] == [UNKNOWN]
    assert bench.received() == 1


async def test_dropped_after_the_message_was_sent_is_unknown(bench: Bench) -> None:
    bench.show("dropped after")
    async with provider_of(bench) as provider:
        results = await send(provider, bench, ["a"])
    assert [result.state for result in results] == [UNKNOWN]


async def test_a_slow_counterpart_is_waited_for(bench: Bench) -> None:
    bench.show("slow")
    async with provider_of(bench) as provider:
        assert {result.state for result in await send(provider, bench, ["a", "b", "c"])} == {DELIVERED}


async def test_nobody_there_is_certainly_not_accepted(bench: Bench) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed = taken.getsockname()[1]
        bench.server.port, bench.server.url = closed, f"http://127.0.0.1:{closed}"  # type: ignore[union-attr]
        async with provider_of(bench) as provider:
            results = await send(provider, bench, ["a", "b"])
    assert [result.state for result in results] == [DEFERRED] * 2
    assert {result.blames for result in results} == {"dest" if bench.channel == "webhook" else "channel"}
    assert "connect" in provider.not_accepted


async def test_refused_credentials_stop_the_channel_and_are_not_repeated(bench: Bench) -> None:
    if "credentials" not in bench.faults:
        pytest.skip("a webhook's receiver, not we, would have to act")
    bench.show("credentials")
    async with provider_of(bench) as provider:
        results = await send(provider, bench, ["a", "b"])
        assert "sw0rdfish" not in repr(provider.__dict__)
    assert [result.state for result in results] == [CREDENTIALS] * 2
    assert "sw0rdfish" not in repr(results)


@pytest.mark.parametrize("name", sorted(HOSTILE))
async def test_hostile_content_hurts_nobody_else(bench: Bench, name: str) -> None:
    async with provider_of(bench) as provider:
        results = await send(provider, bench, ["before", HOSTILE[name], "after"])
    assert [results[0].state, results[2].state] == [DELIVERED, DELIVERED]
    assert results[1].state in {DELIVERED, REJECTED}
    assert bench.received() == sum(result.state == DELIVERED for result in results), "one message each, no more and no less"


async def test_a_reason_is_one_printable_line(bench: Bench) -> None:
    if bench.channel == "email":
        bench.server.behave = {"RCPT": "550 evil\x1b[31m\u202e" + "y" * 5_000}  # type: ignore[assignment]
    else:
        bench.server.behave = (400, {}, '{"code": 1, "message": "evil\\u001b\\r\\n\\u202e' + "y" * 5_000 + '"}')  # type: ignore[assignment]
    async with provider_of(bench) as provider:
        [result] = await send(provider, bench, ["a"])
    assert result.state == REJECTED
    assert result.reason.isprintable()
    assert len(result.reason) <= 300


async def test_many_batches_at_once(bench: Bench) -> None:
    async with provider_of(bench) as provider:
        batches = await asyncio.gather(*(send(provider, bench, ["hello"] * 20, 20 * number) for number in range(10)))
    assert {result.state for batch in batches for result in batch} == {DELIVERED}
    assert bench.received() == 200


SAME_ON_UVLOOP = (
    test_delivered,
    test_rejected_says_why,
    test_deferred_counts_and_carries_retry_after,
    test_silence_after_acceptance_is_unknown,
    test_dropped_after_the_message_was_sent_is_unknown,
    test_nobody_there_is_certainly_not_accepted,
    test_many_batches_at_once,
)


@pytest.mark.parametrize("key", sorted(BENCHES), ids=lambda key: key[1])
@pytest.mark.parametrize("test", SAME_ON_UVLOOP, ids=lambda test: test.__name__)
def test_the_same_on_uvloop(test: Any, key: tuple[str, str]) -> None:
    """Pools run on uvloop, and its transports are not quite asyncio's."""

    async def scenario() -> None:
        made = BENCHES[key]()
        async with made.server:
            await test(made)

    uvloop.run(scenario())
