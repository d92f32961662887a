"""The sender of the hand-written loop: takes mails out of the outbox and sends them over kept SMTP connections, pipelined.

What it took and had not yet deleted when it died is sent again. A refusal ends it: there are no retries, limits or outcomes here.
"""

from __future__ import annotations

import argparse
import asyncio
from html import escape
from typing import cast

import msgspec
import uvloop

from benchmarks.peers.by_hand_redis import AsyncRedis, transaction

CONNECTIONS = 8  # as our own sender has
ENTRIES_MAX = 16
BLOCK_MS = 500
ENVELOPE = "MAIL FROM:<shop@example.com>\r\nRCPT TO:<{to}>\r\nDATA\r\n"
MESSAGE = (
    "From: Shop <shop@example.com>\r\nTo: {to}\r\nSubject: Your order\r\nMessage-ID: <{id}@example.com>\r\nMIME-Version: 1.0\r\n"
    "Content-Type: text/html; charset=utf-8\r\n\r\n<p>Thank you. You paid {total} {currency} for {cds} CDs.</p>\r\n.\r\n"
)

Mail = tuple[str, str, float, str, int]
decode = msgspec.msgpack.Decoder(list[Mail]).decode


class Smtp(asyncio.Protocol):
    """One connection. The content of a mail and the envelope of the next one go out in one write, as RFC 2920 allows."""

    def __init__(self) -> None:
        self._buffer = b""
        self._awaited = 1  # final lines of replies until it is our turn: first the greeting
        self._mails: list[Mail] = []
        self._in_data = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(cls, port: int) -> Smtp:
        """A connection that has been greeted."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        await connection.done
        await connection.hello()
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its base class

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the sink closed the connection"))

    async def hello(self) -> None:
        """Say who we are."""
        self.done, self._awaited = asyncio.get_running_loop().create_future(), 1
        self._transport.write(b"EHLO [127.0.0.1]\r\n")
        await self.done

    async def send(self, mails: list[Mail]) -> None:
        """Send mails one after the other. ConnectionError where one is refused."""
        if mails:
            self._mails, self.done = mails[::-1], asyncio.get_running_loop().create_future()
            self._go_on()
            await self.done

    def _go_on(self) -> None:
        """Write the content of the mail whose envelope was taken, and the next envelope."""
        parts: list[str] = []
        self._awaited = 0
        if self._in_data:
            to, id, total, currency, cds = self._mails.pop()
            parts.append(MESSAGE.format(to=to, id=id, total=total, currency=escape(currency), cds=cds))
            self._awaited = 1
        self._in_data = bool(self._mails)
        if self._mails:
            parts.append(ENVELOPE.format(to=self._mails[-1][0]))
            self._awaited += 3
        self._transport.write("".join(parts).encode())

    def data_received(self, data: bytes) -> None:
        lines = (self._buffer + data).split(b"\r\n")
        self._buffer = lines.pop()
        for line in lines:
            if line[:1] not in {b"2", b"3"}:
                self.done.set_exception(ConnectionError(line.decode(errors="replace")))
                self._transport.abort()
                return
            self._awaited -= line[3:4] != b"-"
        if not self._awaited:
            if self._mails:
                self._go_on()
            elif not self.done.done():
                self.done.set_result(None)


async def serve(path: str, port: int) -> None:
    """Send for ever."""
    redis = await AsyncRedis.open(path)
    connections = [await Smtp.open(port) for _ in range(CONNECTIONS)]
    offset = b"0"
    while True:
        found = (await redis.run([("XREAD", "COUNT", ENTRIES_MAX, "BLOCK", BLOCK_MS, "STREAMS", "outbox", offset)]))[0]
        if not found:
            continue
        entries = found[0][1]
        mails = [mail for _, (_, blob) in entries for mail in decode(blob)]
        await asyncio.gather(*(connection.send(mails[start::CONNECTIONS]) for start, connection in enumerate(connections)))
        offset = entries[-1][0]
        await redis.run(transaction([("XDEL", "outbox", *(id for id, _ in entries)), ("HINCRBY", "counts", "sent", len(mails))]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("port", type=int)
    flags = parser.parse_args()
    uvloop.run(serve(flags.socket, flags.port))
