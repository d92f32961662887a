"""One kept SMTP connection as an asyncio protocol: greeting, EHLO, STARTTLS and AUTH, then batch after batch (smtp_batch.py).

The setting-up is awaited command by command; a batch runs in callbacks.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from ssl import SSLContext, SSLError
from typing import cast

import msgspec

from actions.mime import Mail
from actions.providers.provider import CHANNEL, CREDENTIALS, Dispatch, Provider, Report, Result, clean
from actions.smtp_batch import Batch, Reply
from engine.core.errors import WayfareError

REPLY_BYTES_MAX = 64 * 1024


class SmtpFault(WayfareError):
    """The connection can't be used; `result` is what every message that waited for it gets. Caught by the provider."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.reason)
        self.result = result


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how to connect. `tls`: auto, always, never or implicit; `context` is used where TLS is."""

    host: str
    port: int
    tls: str
    context: SSLContext
    username: str = ""
    password: str = ""
    hello: str = ""

    def __repr__(self) -> str:
        return f"Route({self.host}:{self.port})"


class SmtpConnection(asyncio.Protocol):
    """Connect with `open`, then `run` batches one after the other."""

    def __init__(self, provider: type[Provider]) -> None:
        self._provider = provider
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._lines: list[str] = []
        self._waiter: asyncio.Future[Reply] | None = None
        self._batch: Batch | None = None
        self.offers: dict[str, str] = {}
        self.lost = False
        self.carried = 0  # messages reported since it was opened
        self.idle_since = 0.0

    @classmethod
    async def open(cls, provider: type[Provider], route: Route) -> SmtpConnection:
        """A connection that is ready for mail. Raises SmtpFault."""
        loop = asyncio.get_running_loop()
        connection = cls(provider)
        implicit = route.context if route.tls == "implicit" else None
        try:
            greeting = connection._expect()
            await loop.create_connection(lambda: connection, route.host, route.port, ssl=implicit)
            await connection._greet(route, await greeting)
        except SSLError as error:
            connection.close()
            raise SmtpFault(Result(state=CREDENTIALS, reason=clean(f"TLS with {route.host}: {error.reason or error}"), blames=CHANNEL)) from error
        except OSError as error:
            connection.close()
            raise SmtpFault(provider.failed("connect", f"{route.host}:{route.port}: {error}")) from error
        except BaseException:
            connection.close()
            raise
        return connection

    async def _greet(self, route: Route, greeting: Reply) -> None:
        if greeting.code != 220:
            raise SmtpFault(self._provider.failed("connect", f"greeting: {greeting.text}"))
        await self._hello(route)
        secure = route.tls == "implicit"
        if not secure and route.tls != "never" and ("STARTTLS" in self.offers or route.tls == "always"):
            await self._start_tls(route)
            await self._hello(route)
            secure = True
        if route.username:
            await self._authenticate(route, secure)

    async def _hello(self, route: Route) -> None:
        assert self._transport is not None
        address = self._transport.get_extra_info("sockname")[0]
        name = route.hello or (f"[IPv6:{address}]" if ":" in address else f"[{address}]")
        reply = await self._command(f"EHLO {name}")
        if reply.code != 250:
            reply = await self._command(f"HELO {name}")
        if reply.code != 250:
            raise SmtpFault(self._provider.failed("connect", f"hello: {reply.text}"))
        self.offers = {word.upper(): rest for word, _, rest in (line.partition(" ") for line in reply.lines[1:])}

    async def _start_tls(self, route: Route) -> None:
        reply = await self._command("STARTTLS") if "STARTTLS" in self.offers else None
        if reply is None or reply.code != 220:
            said = reply.text if reply else "not offered"
            raise SmtpFault(Result(state=CREDENTIALS, reason=f"STARTTLS is demanded (tls: always) but {route.host} says: {said}", blames=CHANNEL))
        assert self._transport is not None
        self._buffer = b""  # anything sent in the clear behind the reply was put there by somebody else
        loop = asyncio.get_running_loop()
        self._transport = await loop.start_tls(self._transport, self, route.context, server_hostname=route.host)

    async def _authenticate(self, route: Route, secure: bool) -> None:
        offered = self.offers.get("AUTH", "").upper().split()
        if not secure and route.tls != "never" and not _is_loopback(self._transport):
            raise SmtpFault(
                Result(state=CREDENTIALS, reason="the server offers no TLS, and the password is not sent in the clear (tls: never allows it)", blames=CHANNEL)
            )
        if "PLAIN" in offered:
            reply = await self._command("AUTH PLAIN " + b64encode(f"\0{route.username}\0{route.password}".encode()).decode())
        elif "LOGIN" in offered:
            reply = await self._command("AUTH LOGIN")
            for word in (route.username, route.password):
                if reply.code == 334:
                    reply = await self._command(b64encode(word.encode()).decode())
        else:
            raise SmtpFault(Result(state=CREDENTIALS, reason=f"{route.host} offers neither AUTH PLAIN nor AUTH LOGIN", blames=CHANNEL))
        if reply.code // 100 == 4:
            raise SmtpFault(self._provider.failed("connect", f"AUTH: {reply.text}"))
        if reply.code != 235:
            raise SmtpFault(Result(state=CREDENTIALS, reason=f"AUTH was refused: {reply.text}", blames=CHANNEL))

    def _expect(self) -> asyncio.Future[Reply]:
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

    async def _command(self, line: str) -> Reply:
        waiter = self._expect()
        self.write(line.encode() + b"\r\n")
        return await waiter

    async def run(self, dispatches: deque[Dispatch], build: Callable[[Dispatch], Mail], report: Report, begin_until: float, deadline: float) -> None:
        """Send the front of `dispatches`, reporting each; what is left in it was not begun. Times are the loop's, in seconds."""
        loop = asyncio.get_running_loop()
        batch = self._batch = Batch(self, self._provider, dispatches, build, report, begin_until)
        timer = loop.call_at(deadline, batch.timed_out)
        try:
            batch.start()
            await batch.done
        finally:
            timer.cancel()
            self._batch = None
            if not batch.done.done() or batch.done.cancelled():
                self.abort()

    def write(self, octets: bytes) -> None:
        if self._transport is not None and not self.lost and not self._transport.is_closing():
            self._transport.write(octets)

    def abort(self) -> None:
        """Drop the connection now."""
        self.lost = True
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Say goodbye, if there is anybody, without waiting for an answer."""
        self.write(b"QUIT\r\n")
        self.lost = True
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports are not instances of it

    def data_received(self, data: bytes) -> None:
        lines = (self._buffer + data).split(b"\n")
        self._buffer = lines.pop()
        for raw in lines:
            try:
                code = int(raw[:3])
            except ValueError:
                self._fail(f"not a reply: {raw[:60]!r}")
                return
            self._lines.append(raw[4:].decode("utf-8", "replace").rstrip("\r"))
            if raw[3:4] != b"-":
                reply, self._lines = Reply(code, self._lines), []
                self._on_reply(reply)
        if len(self._buffer) > REPLY_BYTES_MAX or len(self._lines) > 1_000:
            self._fail("an endless reply")

    def _on_reply(self, reply: Reply) -> None:
        if self._batch is not None:
            self._batch.on_reply(reply)
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(reply)
        else:
            self.abort()  # unasked for: a server that says goodbye to an idle connection

    def _fail(self, reason: str) -> None:
        self.abort()
        self.connection_lost(ConnectionError(reason))

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        if self._batch is not None:
            self._batch.broken(f"connection lost{f': {error}' if error else ''}")
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionError(str(error or "closed by the server")))


def _is_loopback(transport: asyncio.Transport | None) -> bool:
    address = str(transport.get_extra_info("peername")[0]) if transport is not None else ""
    return address == "::1" or address.startswith("127.")
