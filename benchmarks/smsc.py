"""An SMSC that accepts everything, by smpp34's own server: the sink of the sending suite. Prints its port, and ends with its standard input."""

from __future__ import annotations

import asyncio
import socket
import sys
from itertools import count

import smpp34


async def serve() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    server = smpp34.Server("127.0.0.1", port, system_id="sink", inbound_capacity=10_000)
    await server.start()
    print(port, flush=True)
    accepting = asyncio.create_task(_accept(server))
    await asyncio.to_thread(sys.stdin.read)
    accepting.cancel()
    await server.stop()


async def _accept(server: smpp34.Server) -> None:
    for number in count():
        event = await server.next()
        if isinstance(event, smpp34.SubmitSmEvent):
            event.accept(f"{number:x}")


if __name__ == "__main__":
    asyncio.run(serve())
