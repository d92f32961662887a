"""Every provider passes this suite: the same faults at a real counterpart, the same results.

A new provider adds one file to `benches/`: its counterpart, its block of providers.yaml, and how that counterpart shows each fault.
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

from actions.providers.provider import CREDENTIALS, DEFERRED, DELIVERED, REJECTED, UNKNOWN, Dispatch, House, Provider, Result
from actions.providers.registry import load_providers, make_provider
from engine.config import Config
from engine.core.effects import Effect
from tests.conformance.benches.bench import Bench, benches

HOSTILE = {
    "header injection": "hello\r\nBcc: eve@example.com\r\n\r\nbody",
    "control characters": "a\x00b\x07c\x1bd\x7fe\x85f\u2028g",
    "huge": "x" * 1_000_000,
    "right to left": "\u202e\u05e9\u05dc\u05d5\u05dd\u202c \u0645\u0631\u062d\u0628\u0627",
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈" * 40,
    "dots": "..\r\n.\r\nMAIL FROM:<eve@example.com>\r\n.",
    "template left over": "{{ user }} {% raw %}",
    "lone surrogate": "a\ud800b",
    "empty": "",
}


def effect(number: int, bench: Bench) -> Effect:
    return Effect(f"{number:032x}", "ann", bench.action, bench.channel, "b", bench.dest(), "m", 1, "e", 1, 1, 1, 1, 1_767_603_600_000)


BENCHES = benches()


@pytest.fixture(params=sorted(BENCHES), ids=lambda key: key[1])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    made = BENCHES[request.param]()
    async with made:
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
    dispatches = [Dispatch(effect(first + number, bench), bench.message(text)) for number, text in enumerate(texts)]
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
    assert all(bench.code in result.reason for result in results)


async def test_deferred_counts_and_carries_retry_after(bench: Bench) -> None:
    bench.show("deferred")
    async with provider_of(bench) as provider:
        results = await send(provider, bench, ["a", "b"])
    assert [(result.state, result.counts) for result in results] == [(DEFERRED, True)] * 2
    assert all(result.retry_after_ms == bench.retry_after_ms for result in results)


async def test_a_rejection_leaves_the_others_alone(bench: Bench) -> None:
    async with provider_of(bench) as provider:
        assert [result.state for result in await send(provider, bench, ["a"])] == [DELIVERED]
        bench.show("rejected")
        assert [result.state for result in await send(provider, bench, ["b"], 1)] == [REJECTED]
        bench.show("")
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
        bench.move(taken.getsockname()[1])
        async with provider_of(bench) as provider:
            results = await send(provider, bench, ["a", "b"])
    assert [result.state for result in results] == [DEFERRED] * 2
    assert {result.blames for result in results} == {bench.blames}
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
    bench.show("evil")
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
        async with made:
            await test(made)

    uvloop.run(scenario())
