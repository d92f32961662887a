"""The two runners that send calls to Redis, many in one round trip: `RedisClient` blocks, `AsyncRedisClient` is awaited.

Neither ever repeats a call by itself. What could not be sent is Unavailable; what was sent and not answered is ResultUnknown where
it writes. Scripts are loaded when a connection opens; one that the server forgot since (NOSCRIPT) has not run, and is sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from redis import exceptions
from redis.asyncio.connection import ConnectionPool as AsyncConnectionPool
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.retry import Retry

from engine.config import Config
from engine.core.errors import InvalidConfig, Unavailable
from engine.storage.redis_call import Call, answer, beyond, command, fault, lost, pack, packed
from engine.storage.scripts import SCRIPTS

_BROKEN = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.InvalidResponse, OSError)
_LOAD = b"".join(packed("SCRIPT", "LOAD", script.text) for script in SCRIPTS.values())


def _settings(config: Config) -> dict[str, Any]:
    """How connections are made: no retry, no health checks, RESP2, and no greeting beyond what the URL asks for."""
    return {
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        "protocol": 2,
        "driver_info": None,
        "socket_timeout": config.redis_timeout_ms / 1000,
        "socket_connect_timeout": config.redis_connect_ms / 1000,
    }


def _to_repeat(calls: Sequence[Call], replies: list[Any]) -> list[int]:
    """The calls whose script the server did not know, and the reads behind the first of them, which came too early."""
    unknown = [isinstance(reply, exceptions.NoScriptError) for reply in replies]
    if True not in unknown:
        return []
    return [index for index in range(unknown.index(True), len(calls)) if unknown[index] or not calls[index].writes]


class RedisClient:
    """Sends calls and blocks for the replies. Threads may share one: each uses a connection of its own while it waits."""

    def __init__(self, url: str, config: Config) -> None:
        try:
            self._pool: Any = ConnectionPool.from_url(url, **_settings(config))
        except ValueError as error:
            raise InvalidConfig(f"redis: {error}") from error
        self._idle: list[Any] = []

    def run(self, calls: Sequence[Call]) -> list[Any]:
        """The answer of each call, or its error as a value; Unavailable is raised where nothing could be sent."""
        if not calls:
            return []
        content = pack(calls)
        connection = self._take()
        replies = self._exchange(connection, content, calls)
        again = _to_repeat(calls, replies)
        if again:
            self._load(connection)
            repeated = [calls[index] for index in again]
            for index, reply in zip(again, self._exchange(connection, pack(repeated), repeated), strict=True):
                replies[index] = reply
        if connection.is_connected:
            self._idle.append(connection)
        return [answer(call, reply) for call, reply in zip(calls, replies, strict=True)]

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().disconnect()

    def _take(self) -> Any:
        """An open connection. An idle one with something to read was closed by the server, and is replaced before anything is sent."""
        while self._idle:
            connection = self._idle.pop()
            try:
                if not connection.can_read(0):
                    return connection
            except _BROKEN:
                pass
            connection.disconnect()
        connection = self._pool.make_connection()
        try:
            connection.connect()
        except (*_BROKEN, exceptions.RedisError) as error:
            connection.disconnect()
            raise Unavailable(f"Redis cannot be reached: {error}") from error
        self._load(connection)
        return connection

    def _exchange(self, connection: Any, content: bytes, calls: Sequence[Call]) -> list[Any]:
        replies: list[Any] = []
        try:
            connection.send_packed_command([content], check_health=False)
            for _ in calls:
                try:
                    replies.append(connection.read_response(disable_decoding=True))
                except exceptions.ResponseError as error:
                    replies.append(error)
        except _BROKEN as error:
            connection.disconnect()
            replies += [lost(call, error) for call in calls[len(replies) :]]
        return replies

    def _load(self, connection: Any) -> None:
        try:
            connection.send_packed_command([_LOAD], check_health=False)
            for _ in SCRIPTS:
                connection.read_response()
        except exceptions.ResponseError as error:
            connection.disconnect()
            raise fault(error) from error
        except _BROKEN as error:
            connection.disconnect()
            raise Unavailable(f"Redis cannot be reached: {error}") from error


class AsyncRedisClient:
    """Sends calls and awaits the replies, on up to `redis_connections_max` connections."""

    def __init__(self, url: str, config: Config) -> None:
        try:
            self._pool: Any = AsyncConnectionPool.from_url(url, **_settings(config))
        except ValueError as error:
            raise InvalidConfig(f"redis: {error}") from error
        self._idle: list[Any] = []
        self._turns = asyncio.Semaphore(config.redis_connections_max)

    async def run(self, calls: Sequence[Call]) -> list[Any]:
        """The answer of each call, or its error as a value; Unavailable is raised where nothing could be sent."""
        if not calls:
            return []
        content = pack(calls)
        async with self._turns:
            connection = await self._take()
            replies = await self._exchange(connection, content, calls)
            again = _to_repeat(calls, replies)
            if again:
                await self._load(connection)
                repeated = [calls[index] for index in again]
                for index, reply in zip(again, await self._exchange(connection, pack(repeated), repeated), strict=True):
                    replies[index] = reply
            if connection.is_connected:
                self._idle.append(connection)
        return [answer(call, reply) for call, reply in zip(calls, replies, strict=True)]

    async def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            await self._idle.pop().disconnect()

    async def _take(self) -> Any:
        while self._idle:
            connection = self._idle.pop()
            try:
                if not await connection.can_read():
                    return connection
            except _BROKEN:
                pass
            await connection.disconnect(nowait=True)
        connection = self._pool.make_connection()
        try:
            await connection.connect()
        except (*_BROKEN, exceptions.RedisError) as error:
            await connection.disconnect(nowait=True)
            raise Unavailable(f"Redis cannot be reached: {error}") from error
        await self._load(connection)
        return connection

    async def _exchange(self, connection: Any, content: bytes, calls: Sequence[Call]) -> list[Any]:
        replies: list[Any] = []
        try:
            await connection.send_packed_command(content, check_health=False)
            for _ in calls:
                try:
                    replies.append(await connection.read_response(disable_decoding=True))
                except exceptions.ResponseError as error:
                    replies.append(error)
        except _BROKEN as error:
            await connection.disconnect(nowait=True)
            replies += [lost(call, error) for call in calls[len(replies) :]]
        return replies

    async def _load(self, connection: Any) -> None:
        try:
            await connection.send_packed_command(_LOAD, check_health=False)
            for _ in SCRIPTS:
                await connection.read_response()
        except exceptions.ResponseError as error:
            await connection.disconnect(nowait=True)
            raise fault(error) from error
        except _BROKEN as error:
            await connection.disconnect(nowait=True)
            raise Unavailable(f"Redis cannot be reached: {error}") from error


def admission(config: Config) -> list[Call]:
    """The calls that begin a session: the first ever fixes the count of partitions, every later one must find the same."""

    def check(found: bytes) -> None:
        if int(found) != config.partitions:
            raise InvalidConfig(
                f"this Redis holds a deployment of {int(found)} partitions, the configuration says {config.partitions}: the count is fixed at creation"
            )

    return [
        beyond("HSETNX", "wf:deployment", "partitions", config.partitions),
        command("HGET", "wf:deployment", "partitions", parse=check),
    ]
