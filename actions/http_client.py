"""What the HTTP providers share: a session that keeps connections and follows nothing, what a failure means, a bounded answer.

`GuardedResolver` and `guarded_socket` keep requests to addresses that strangers chose away from our own network. The address that was
checked is the one that is connected to: the resolver's answer is what aiohttp uses, and the socket is only made for a checked address.
"""

from __future__ import annotations

import asyncio
import json
import socket
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

ANSWER_BYTES_MAX = 16 * 1024
ANSWER_WAIT_S = 1.0  # the status has come and decides; the rest is only for a reason and for keeping the connection
KEEPALIVE_S = 10.0  # shorter than servers' own, so that we rarely write to a connection that is being closed

NAT64 = IPv6Address("64:ff9b::")


class ForbiddenAddress(OSError):
    """The host lies in a network that webhooks may not reach."""


def is_public(text: str) -> bool:
    """Whether an address is one of the public internet, looking through IPv4 addresses that are wrapped in IPv6 ones."""
    try:
        address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if int(address) >> 32 == int(NAT64) >> 32 or int(address) >> 32 == 0:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner:
            return is_public(str(inner))
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


class GuardedResolver(AbstractResolver):
    """Resolves by the system, and lets only public addresses through."""

    def __init__(self) -> None:
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        found = [answer for answer in await self._inner.resolve(host, port, family) if is_public(answer["host"])]
        if not found:
            raise ForbiddenAddress(f"{host} is not a public address")
        return found

    async def close(self) -> None:
        await self._inner.close()


def guarded_socket(info: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
    """The last check, right before a connection is made: also for hosts that were addresses to begin with."""
    family, kind, protocol, _, address = info
    if not is_public(str(address[0])):
        raise ForbiddenAddress(f"{address[0]} is not a public address")
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    return made


def make_session(timeout_ms: int, per_host: int, *, public_only: bool) -> aiohttp.ClientSession:
    """A session without cookies, proxies or decompression. `timeout_ms` covers a request, half of it the connecting."""
    connector = aiohttp.TCPConnector(
        limit=0,
        limit_per_host=per_host,
        keepalive_timeout=KEEPALIVE_S,
        resolver=GuardedResolver() if public_only else aiohttp.ThreadedResolver(),
        socket_factory=guarded_socket if public_only else None,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout_ms / 1_000, connect=timeout_ms / 2_000),
        auto_decompress=False,
        headers={"User-Agent": "wayfare"},
    )


def json_body(value: Any) -> bytes:
    """JSON in UTF-8; what is no Unicode becomes a question mark, not an error."""
    return json.dumps(value, ensure_ascii=False).encode(errors="replace")


def stage_of(error: Exception) -> str:
    """`connect` where nothing of the request can have been sent, else `answer`."""
    return "connect" if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError) else "answer"


def is_forbidden(error: Exception) -> bool:
    """Whether a connection failed because of the guard."""
    return isinstance(error, aiohttp.ClientConnectorError) and "is not a public address" in str(error.os_error)


async def bounded_body(response: aiohttp.ClientResponse) -> bytes:
    """The beginning of an answer: what came within a second, at most 16 KB. Never fails."""
    if response.content.is_eof():  # it came with the status, as short ones do: nothing to wait for
        return response.content.read_nowait(ANSWER_BYTES_MAX)
    octets = b""
    try:
        async with asyncio.timeout(ANSWER_WAIT_S):
            while len(octets) < ANSWER_BYTES_MAX and (chunk := await response.content.read(ANSWER_BYTES_MAX - len(octets))):
                octets += chunk
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass
    return octets


def retry_after_ms(value: str | None, now_ms: int) -> int:
    """Retry-After, in seconds or as a date, as milliseconds from now; 0 where there is none that can be read."""
    if not value:
        return 0
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(int(value[:12]), 10**9) * 1_000
    try:
        return max(0, int(parsedate_to_datetime(value).timestamp() * 1_000) - now_ms)
    except (ValueError, OverflowError, TypeError):
        return 0
