"""The front of the hand-written loop: takes arrays of events over HTTP, groups them by partition, appends, answers 202 when the server has them.

It knows one shape of event and no other, and says 400 to everything else.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import uuid
from zlib import crc32

import msgspec
import uvloop
from aiohttp import web

from benchmarks.peers.by_hand_redis import AsyncRedis, Command

PARTITIONS = 16
BODY_BYTES_MAX = 8 * 1024 * 1024
NAME = "order.placed"


class Data(msgspec.Struct, gc=False):
    total: float
    notify: bool = False
    currency: str = ""
    cds: int = 0


class Event(msgspec.Struct, gc=False):
    contact: str
    name: str
    data: Data
    id: str = ""


decode = msgspec.json.Decoder(list[Event]).decode
encode = msgspec.msgpack.Encoder().encode


def log_of(partition: int) -> str:
    """The key of a partition's stream."""
    return f"log:{partition}"


def appends(events: list[Event]) -> list[Command]:
    """One entry for each partition: id, contact, total, notify, currency, cds of its events. Other events concern nobody, and have no total."""
    groups: dict[int, list[tuple[str, str, float, bool, str, int]]] = {}
    for event in events:
        data = event.data
        record = (event.id or uuid.uuid4().hex, event.contact, data.total if event.name == NAME else 0.0, data.notify, data.currency, data.cds)
        partition = crc32(event.contact.encode()) % PARTITIONS
        if partition in groups:
            groups[partition].append(record)
        else:
            groups[partition] = [record]
    return [("XADD", log_of(partition), "*", "r", encode(records)) for partition, records in groups.items()]


async def serve(path: str, key: str) -> None:
    """Serve until SIGTERM; the port is told in the server, under `port`."""
    redis = await AsyncRedis.open(path)
    wanted = f"Bearer {key}"

    async def take(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != wanted:
            return web.Response(status=401)
        try:
            events = decode(await request.read())
        except msgspec.DecodeError as error:
            return web.Response(status=400, text=str(error))
        await redis.run(appends(events))
        return web.Response(status=202, body=b'{"accepted":%d}' % len(events), content_type="application/json")

    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.router.add_post("/v1/events", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await redis.run([("SET", "port", runner.addresses[0][1])])
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("key")
    flags = parser.parse_args()
    uvloop.run(serve(flags.socket, flags.key))
