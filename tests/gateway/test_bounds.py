"""Bounds that hold before, while and after a body is read."""

from __future__ import annotations

import asyncio
import gzip

import pytest
import zstandard

EVENT = b'{"contact":"a","name":"n"}'


@pytest.fixture
def settings():
    return {"body_bytes_max": 100_000, "event_bytes_max": 10_000, "bodies_bytes_max": 150_000, "requests_waiting_max": 3, "append_records_max": 10}


async def test_a_stated_size_over_the_limit_is_refused_unread(gateway):
    async def endless():
        yield EVENT
        await asyncio.sleep(3600)

    headers = {"Content-Length": "100001", "Content-Type": "application/json", "Authorization": f"Bearer {gateway.keys['ingest']}"}
    answer = await asyncio.wait_for(gateway.client.post("/v1/events", data=endless(), headers=headers), 10)
    assert answer.status == 413


async def test_an_unstated_size_over_the_limit_is_refused(gateway):
    async def pieces():
        for _ in range(40):
            yield b" " * 5_000

    answer = await gateway.client.post(
        "/v1/events", data=pieces(), headers={"Authorization": f"Bearer {gateway.keys['ingest']}", "Content-Type": "application/json"}
    )
    assert answer.status == 413


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b" " * 50_000_000)),
        ("gzip", gzip.compress(b" " * 60_000) * 2),
        ("zstd", zstandard.ZstdCompressor().compress(b" " * 50_000_000)),
        ("zstd", zstandard.ZstdCompressor(write_content_size=False).compress(b" " * 50_000_000)),
    ],
)
async def test_bombs_are_refused(gateway, encoding, body):
    answer = await gateway.call("POST", "/v1/events", body, headers={"Content-Encoding": encoding})
    assert answer.status == 413


GZIPPED, ZSTD = gzip.compress(EVENT * 50), zstandard.ZstdCompressor().compress(EVENT * 50)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b"not gzip"),
        ("gzip", GZIPPED[:-1]),
        ("gzip", GZIPPED[:20]),
        ("gzip", GZIPPED + b"more"),
        ("zstd", b"not zstd"),
        ("zstd", ZSTD[:-1]),
        ("zstd", ZSTD + b"more"),
        ("zstd", zstandard.ZstdCompressor(write_content_size=False).compress(EVENT)[:-2]),
        ("zstd", b"\x28\xb5\x2f\xfd" + b"\xff" * 30),
    ],
)
async def test_broken_compression_is_unreadable(gateway, encoding, body):
    answer = await gateway.call("POST", "/v1/events", body, headers={"Content-Encoding": encoding})
    assert answer.status == 400


async def test_nothing_is_held_when_all_is_answered(gateway):
    for body in (EVENT, b"{", b" " * 100_001, gzip.compress(EVENT)):
        await gateway.call("POST", "/v1/events", body)
        await gateway.call("POST", "/v1/events", body, headers={"Content-Encoding": "gzip"})
    assert gateway.services.bodies.held == 0


async def test_bodies_together_are_bounded(gateway):
    gateway.services.bodies.held = 149_990
    refused = await gateway.call("POST", "/v1/events", EVENT)
    gateway.services.bodies.held = 0
    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
    assert (await gateway.call("POST", "/v1/events", EVENT)).status == 202


async def until_waiting(gateway, requests):
    while gateway.services.admission.requests < requests:  # noqa: ASYNC110 -- what is waited for is a number of the gateway, which tells nobody
        await asyncio.sleep(0.001)


async def test_requests_that_arrive_meanwhile_share_the_next_round_trip(gateway):
    straight, sizes, gate = gateway.services.intake.append, [], asyncio.Event()

    async def slow(batches, *, reserve=False):
        sizes.append(sum(map(len, batches.values())))
        await gate.wait()
        return await straight(batches)

    gateway.services.intake.append = slow
    gateway.services.admission.config = gateway.config.__class__(partitions=4, append_records_max=10, requests_waiting_max=100)
    calls = [asyncio.create_task(gateway.call("POST", "/v1/events", EVENT)) for _ in range(26)]
    await until_waiting(gateway, 26)
    gate.set()
    answers = await asyncio.gather(*calls)
    assert {answer.status for answer in answers} == {202}
    assert max(sizes) == 10
    assert len(sizes) <= 5
    assert sum(sizes) == len(gateway.records()) == 26


async def test_too_many_waiting_requests_are_refused_before_their_body(gateway):
    gateway.services.admission.requests = 3
    answer = await gateway.call("POST", "/v1/events", b"never read")
    gateway.services.admission.requests = 0
    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")


async def test_memory_past_its_watermark_refuses_before_the_body(gateway):
    gateway.services.intake.refusing = lambda: 1_500
    answer = await gateway.call("POST", "/v1/events", b"never read")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "2")


async def test_a_client_that_leaves_does_not_take_others_along(gateway):
    straight, gate = gateway.services.intake.append, asyncio.Event()

    async def slow(batches, *, reserve=False):
        await gate.wait()
        return await straight(batches)

    gateway.services.intake.append = slow
    leaving = asyncio.create_task(gateway.services.admission.append({0: []}, 0))
    staying = asyncio.create_task(gateway.call("POST", "/v1/events", EVENT))
    await until_waiting(gateway, 2)
    leaving.cancel()
    gate.set()
    assert (await staying).status == 202
