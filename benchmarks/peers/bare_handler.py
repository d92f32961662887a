"""The limit of single events: a bare aiohttp handler that parses the same body and answers 202. It keeps nothing, and asks nobody who they are."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import msgspec
import uvloop
from aiohttp import web

from benchmarks import cpu
from benchmarks.client import Client
from benchmarks.peers.peer import WARM_SEED, Figures, Peer, Work, started, wait

START_S_MAX = 20
decode = msgspec.json.Decoder().decode


class Place(msgspec.Struct, frozen=True):
    url: str
    key: str


class BareHandler(Peer):
    durability = "None: what was answered is forgotten."
    leaves_out = "authentication, validation, ids, the log, and all that comes after."
    unit = "connections"
    sweep = (16, 64, 256)
    events = 40_000
    batch = 1
    emails = False

    def __init__(self, durability: str) -> None:
        self.name, self.beside, self.target = f"bare handler beside {durability}", f"single events, {durability}", 0.75

    def run(self, work: Work, concurrency: int, folder: Path) -> Figures:
        told, log = folder / "port", folder / "log"
        with started([sys.executable, "-m", "benchmarks.peers.bare_handler", told], log=log) as processes:
            wait(told.exists, processes, log, START_S_MAX)
            place = Place(f"http://127.0.0.1:{told.read_text()}", "unasked")
            for seed, events in ((WARM_SEED + work.seed, work.warm_events), (work.seed, work.events)):
                used_s = cpu.seconds_of(processes[0].pid)
                client = Client(place, seed=seed, events=max(1, events), contacts=work.contacts, connections=concurrency, batch=work.batch)
                client.go()
                seen = client.result()
            return Figures(seen.accepted, seen.ended_s - seen.begun_s, cpu.seconds_of(processes[0].pid) - used_s)


async def serve(told: Path) -> None:
    """Serve until SIGTERM; the port is written to `told`, whole or not at all."""

    async def take(request: web.Request) -> web.Response:
        events = decode(await request.read())
        return web.Response(status=202, body=b'{"accepted":%d}' % len(events), content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/events", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fresh = told.with_suffix(".new")
    fresh.write_text(str(runner.addresses[0][1]))
    fresh.replace(told)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await runner.cleanup()


PEERS = (BareHandler("fsync"), BareHandler("relaxed"))

if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
