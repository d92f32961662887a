"""The client of the benchmarks: posts bodies made beforehand over a few kept connections, in a process of its own.

It makes its share of the workload, says `{"ready": …}`, waits for a line on standard input, sends, and prints what it saw
as one line of JSON. Closed loop: each connection sends the next body when its answer is there. Open loop (`--rate`): bodies
have times at which they are due, and a request's latency counts from then, so that a slow server cannot hide its queue.
A request that was refused for the moment (429, 503) is sent again after `Retry-After`. `--laps` sends the workload several times
over, each lap under event ids of its own: a run of minutes then needs no memory for all of its bodies.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import time
from collections.abc import Iterator
from itertools import chain
from typing import cast
from urllib.parse import urlsplit

import msgspec
import uvloop

from benchmarks import workload


class Seen(msgspec.Struct):
    """What the client saw. Seconds are of the machine's monotonic clock, the same in all of its processes."""

    accepted: int = 0
    rejected: int = 0
    retried: int = 0
    begun_s: float = 0
    ended_s: float = 0
    cpu_s: float = 0
    latencies_ms: list[float] = []
    answered_s: list[float] = []  # when each of these answers came, since `begun_s`


class Connection(asyncio.Protocol):
    """One kept connection with one request in flight. It reads no more of an answer than it needs."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = b""
        self._answer: asyncio.Future[tuple[int, bytes, bytes]] | None = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found or self._answer is None:
            return
        if len(body) >= int(header(head, b"content-length") or 0):
            self._buffer = b""
            answer, self._answer = self._answer, None
            answer.set_result((int(head[9:12]), head, body))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("the gateway closed the connection"))

    async def send(self, request: bytes) -> tuple[int, bytes, bytes]:
        """Status, head and body of the answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer


def header(head: bytes, name: bytes) -> bytes:
    """A header's value; empty where it is missing."""
    _, _, rest = head.lower().partition(b"\r\n" + name + b":")
    return rest.partition(b"\r\n")[0].strip()


async def work(connection: Connection, requests: Iterator[tuple[float, bytes]], seen: Seen) -> None:
    """Send requests until none is left; each is due at a time of the monotonic clock, 0 for at once."""
    for due_s, request in requests:
        if due_s > time.monotonic():
            await asyncio.sleep(due_s - time.monotonic())
        started_s = due_s or time.monotonic()
        while True:
            status, head, body = await connection.send(request)
            if status not in (429, 503):
                break
            seen.retried += 1
            await asyncio.sleep(float(header(head, b"retry-after") or 1))
        answered_s = time.monotonic()
        seen.latencies_ms.append((answered_s - started_s) * 1000)
        seen.answered_s.append(round(answered_s - seen.begun_s, 3))
        if status not in (202, 207):
            raise RuntimeError(f"{status}: {body[:500]!r}")
        answer = msgspec.json.decode(body)
        seen.accepted += answer["accepted"]
        seen.rejected += len(answer.get("rejected", ()))


async def run(options: argparse.Namespace) -> Seen:
    """Make the requests, wait for the word, send them."""
    place = urlsplit(options.url)
    bodies = workload.make(options.seed, options.events, options.contacts, options.batch, options.draw).bodies
    head = f"POST /v1/events HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {options.key}\r\nContent-Type: application/json\r\n"

    def request(body: bytes) -> bytes:
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    requests = [request(body) for body in bodies]
    later = (request(lap_of(body, options.seed, lap)) for lap in range(1, options.laps) for body in bodies)
    loop = asyncio.get_running_loop()
    connections = [(await loop.create_connection(Connection, place.hostname, place.port))[1] for _ in range(options.connections)]
    print(msgspec.json.encode({"ready": len(requests)}).decode(), flush=True)
    sys.stdin.readline()
    cpu_s, seen = cpu_seconds(), Seen(begun_s=time.monotonic())
    pause_s = options.batch / options.rate if options.rate else 0
    queue = ((seen.begun_s + number * pause_s if pause_s else 0, request) for number, request in enumerate(chain(requests, later)))
    await asyncio.gather(*(work(connection, queue, seen) for connection in connections))
    seen.ended_s = time.monotonic()
    seen.cpu_s = cpu_seconds() - cpu_s
    return seen


def lap_of(body: bytes, seed: int, lap: int) -> bytes:
    """The same events under ids that no other lap and no other seed uses; in C, about 0.15 µs an event."""
    return body.replace(b'"id":"%d-' % seed, b'"id":"%d.%d-' % (seed, lap))


def cpu_seconds() -> float:
    """CPU seconds that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """`python -m benchmarks.load`: see `--help`."""
    parser = argparse.ArgumentParser(description="Post the canonical workload to a deployment.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--contacts", type=int, default=workload.CONTACTS)
    parser.add_argument("--batch", type=int, default=workload.BATCH_EVENTS)
    parser.add_argument("--draw", choices=sorted(workload.DRAWS), default=workload.CANONICAL, help="how the contacts are drawn")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--laps", type=int, default=1, help="how many times over the events are sent")
    parser.add_argument("--rate", type=float, default=0, help="events per second, open loop; 0: closed loop")
    print(msgspec.json.encode(uvloop.run(run(parser.parse_args()))).decode(), flush=True)


if __name__ == "__main__":
    main()
