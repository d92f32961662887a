"""Below the routes: broken HTTP, connections that end early, and a stop under load."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gateway.app import serving


async def talk(gateway, raw: bytes) -> bytes:
    """Send bytes, say no more, and read to the end."""
    reader, writer = await asyncio.open_connection(gateway.client.host, gateway.client.port)
    writer.write(raw)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01 tls?\r\n\r\n",
        b"GET /livez HTTP/9.9\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nxx",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"y" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_broken_http_is_the_clients_fault(gateway, raw):
    reader, writer = await asyncio.open_connection(gateway.client.host, gateway.client.port)
    writer.write(raw)
    assert b" 400 " in await reader.readline()
    writer.close()


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 50\r\n\r\n{",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{",
        b"Content-Length: 2\r\nContent-Encoding: gzip\r\n\r\n{}",
    ],
)
async def test_a_body_that_breaks_off_changes_nothing(gateway, rest):
    head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer {gateway.keys['ingest']}\r\n".encode()
    answer = await talk(gateway, head + rest)
    assert not answer.startswith(b"HTTP/1.1 5")
    assert gateway.records() == []
    assert gateway.services.bodies.held == 0
    assert (await gateway.client.get("/livez")).status == 200


async def test_a_slow_body_is_given_up(gateway):
    gateway.services.bodies.timeout_s = 0.05
    reader, writer = await asyncio.open_connection(gateway.client.host, gateway.client.port)
    head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\nAuthorization: Bearer {gateway.keys['ingest']}\r\n\r\n"
    writer.write(head.encode())
    assert b" 400 " in await reader.readline()
    writer.close()


async def test_a_stop_answers_what_is_under_way(gateway):
    straight, begun, gate = gateway.services.intake.append, asyncio.Event(), asyncio.Event()

    async def slow(batches, *, reserve=False):
        begun.set()
        await gate.wait()
        return await straight(batches)

    gateway.services.intake.append = slow
    async with serving(gateway.services, "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = b'{"contact":"a","name":"n"}'
        head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nAuthorization: Bearer {gateway.keys['ingest']}\r\n\r\n"
        writer.write(head.encode() + body)
        await begun.wait()
        asyncio.get_running_loop().call_later(0.05, gate.set)
    assert b" 202 " in await reader.readline()
    assert len(gateway.records()) == 1
    writer.close()
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), 1):
        pass
