"""Redis for the hand-written loop: hiredis on a Unix socket, one blocking client and one for asyncio. Every call is a pipeline; an error reply is raised."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, cast

import hiredis

Command = tuple[str | bytes | int | float, ...]
READ_BYTES = 1 << 18


def pack(commands: list[Command]) -> bytes:
    """Commands as they go over the wire."""
    return b"".join(map(hiredis.pack_command, commands))  # type: ignore[arg-type]  # its stub says a tuple of one


def checked(replies: list[Any]) -> list[Any]:
    """The replies, or the first error among them; of a transaction, those of its commands."""
    for reply in replies:
        if isinstance(reply, hiredis.ReplyError):
            raise reply
        if isinstance(reply, list):
            checked([one for one in reply if isinstance(one, hiredis.ReplyError)])
    return replies


def flat(pairs: Iterable[tuple[str | bytes, str | bytes]]) -> Iterator[str | bytes]:
    """Pairs as the server takes them."""
    for pair in pairs:
        yield from pair


def transaction(commands: list[Command]) -> list[Command]:
    """All of them or none."""
    return [("MULTI",), *commands, ("EXEC",)]


class Redis:
    """One connection, one pipeline at a time."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._reader = hiredis.Reader()

    def run(self, commands: list[Command]) -> list[Any]:
        """One reply for each command. Raises ReplyError, and ConnectionError where the server is gone."""
        return self.exchange(pack(commands), len(commands))

    def exchange(self, packed: bytes, commands: int) -> list[Any]:
        """The same with commands that are packed already."""
        self._socket.sendall(packed)
        replies: list[Any] = []
        while len(replies) < commands:
            while (reply := self._reader.gets()) is not False:
                replies.append(reply)
            if len(replies) < commands:
                self._feed()
        return checked(replies)

    def _feed(self) -> None:
        data = self._socket.recv(READ_BYTES)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._reader.feed(data)

    def close(self) -> None:
        self._socket.close()


class AsyncRedis(asyncio.Protocol):
    """One connection that any number of pipelines share, answered in their order."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader()
        self._waiting: deque[tuple[int, asyncio.Future[list[Any]]]] = deque()
        self._replies: list[Any] = []

    @classmethod
    async def open(cls, path: str) -> AsyncRedis:
        _, connection = await asyncio.get_running_loop().create_unix_connection(cls, path)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its base class

    def connection_lost(self, exc: Exception | None) -> None:
        for _, answer in self._waiting:
            answer.set_exception(exc or ConnectionError("the server closed the connection"))

    async def run(self, commands: list[Command]) -> list[Any]:
        """The same as Redis.run."""
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((len(commands), answer))
        self._transport.write(pack(commands))
        return checked(await answer)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            self._replies.append(reply)
            if len(self._replies) == self._waiting[0][0]:
                answer = self._waiting.popleft()[1]
                answer.set_result(self._replies)
                self._replies = []
