"""One kept SMTP connection as an asyncio protocol: callbacks instead of streams, one write and one read per message.

The setting-up (greeting, EHLO, STARTTLS, AUTH) is awaited command by command. A batch then runs in callbacks: with PIPELINING, the end of
one message and the envelope of the next travel together (RFC 2920 allows it), so a message costs one round trip. Invariant: whatever
happens, each message of the batch is either reported once or handed back as not begun, and only a message whose final dot was
written can be `unknown`.
"""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from ssl import SSLContext, SSLError

import msgspec

from actions.mime import Mail, MimeFault
from actions.providers.provider import CHANNEL, CREDENTIALS, DELIVERED, MESSAGE, Dispatch, Provider, Report, Result, clean, rejected
from engine.core.errors import WayfareError

REPLY_BYTES_MAX = 64 * 1024
STATUS = re.compile(r"^([245]\.\d{1,3}\.\d{1,3})\b")
ACCEPTED = Result(state=DELIVERED)  # one for all: a queue id is of no use to a map, and a value less costs a microsecond less
AUTH_CODES = frozenset({530, 534, 535, 538})


class SmtpFault(WayfareError):
    """The connection can't be used; `result` is what every message that waited for it gets. Caught by the provider."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.reason)
        self.result = result


class Reply(msgspec.Struct, frozen=True, gc=False):
    """A whole reply: `lines` without their codes."""

    code: int
    lines: list[str]

    @property
    def text(self) -> str:
        return clean(f"{self.code} {' '.join(self.lines)}")


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
        self._batch: _Batch | None = None
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
        batch = self._batch = _Batch(self, self._provider, dispatches, build, report, begin_until)
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
        if self._transport is not None and not self.lost:
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
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

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


class _Batch:
    """The state machine of a batch on one connection.

    `_begun` is the message whose envelope is under way, `_dotted` the one whose content was sent. `_expected` names the replies that are
    due, in order; `_queue` holds what may not be written yet (without PIPELINING: all but one command).
    """

    def __init__(
        self,
        connection: SmtpConnection,
        provider: type[Provider],
        waiting: deque[Dispatch],
        build: Callable[[Dispatch], Mail],
        report: Report,
        begin_until: float,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection, self._provider, self._waiting, self._build, self._begin_until = connection, provider, waiting, build, begin_until
        self._tell = report
        self._pipelining = "PIPELINING" in connection.offers
        self._size_max = int(size) if (size := connection.offers.get("SIZE", "")).isdigit() else 0
        self._begun: Dispatch | None = None
        self._mail: Mail | None = None
        self._failure: Reply | None = None
        self._dotted: Dispatch | None = None
        self._expected: deque[str] = deque()
        self._queue: deque[tuple[str, bytes]] = deque()
        self._heard = False
        self.done: asyncio.Future[None] = self._loop.create_future()

    def start(self) -> None:
        if self._connection.lost:
            self._finish()
            return
        self._begin()
        self._pump()

    def _begin(self) -> None:
        """Queue the envelope of the next message, if there is one and time for it."""
        while self._waiting and self._loop.time() < self._begin_until:
            dispatch = self._waiting.popleft()
            try:
                mail = self._build(dispatch)
            except MimeFault as fault:
                self._report(dispatch, rejected(str(fault)))
                continue
            if refusal := self._unfit(mail):
                self._report(dispatch, rejected(refusal))
                continue
            self._begun, self._mail, self._failure = dispatch, mail, None
            size = f" SIZE={len(mail.data)}" if self._size_max else ""
            utf8 = " BODY=8BITMIME SMTPUTF8" if mail.utf8 else ""
            self._queue.append(("mail", f"MAIL FROM:<{mail.sender}>{size}{utf8}\r\n".encode()))
            self._queue.append(("rcpt", f"RCPT TO:<{mail.to}>\r\n".encode()))
            self._queue.append(("data", b"DATA\r\n"))
            return

    def _unfit(self, mail: Mail) -> str:
        if self._size_max and len(mail.data) > self._size_max:
            return f"the message has {len(mail.data)} octets, the server takes {self._size_max}"
        if mail.utf8 and "SMTPUTF8" not in self._connection.offers:
            return "the server does not take addresses that are not ASCII (SMTPUTF8)"
        return ""

    def _pump(self) -> None:
        """Write what may be written now; finish when nothing is due."""
        if self._queue and (self._pipelining or not self._expected):
            most = len(self._queue) if self._pipelining else 1
            octets = []
            for _ in range(most):
                kind, command = self._queue.popleft()
                self._expected.append(kind)
                octets.append(command)
            self._connection.write(b"".join(octets))
        elif not self._expected:
            self._finish()

    def on_reply(self, reply: Reply) -> None:
        self._heard = True
        if self.done.done():
            return
        if not self._expected:
            self._connection.abort()
            self.broken(f"unasked reply: {reply.text}")
            return
        kind = self._expected.popleft()
        if kind == "dot":
            self._on_dot(reply)
        elif kind == "data":
            self._on_data(reply)
        elif kind in {"mail", "rcpt"} and reply.code // 100 != 2 and self._failure is None:
            self._failure = reply
            if not self._pipelining:
                self._queue.clear()
                self._envelope_failed()
        if reply.code == 421:
            self._connection.abort()
            self.broken(reply.text)
            return
        if not self._expected or self._queue:
            self._pump()

    def _on_data(self, reply: Reply) -> None:
        if reply.code == 354 and self._failure is None:
            assert self._mail is not None
            data = self._mail.data
            if b"\r\n." in data:
                data = data.replace(b"\r\n.", b"\r\n..")
            self._queue.append(("dot", data + b".\r\n"))
            self._dotted, self._begun, self._mail = self._begun, None, None
            self._begin()
            return
        if reply.code == 354:  # no recipient stands, so the empty message ends as an error that nobody needs
            self._queue.append(("ignored", b".\r\n"))
        self._failure = self._failure or reply
        self._envelope_failed()

    def _on_dot(self, reply: Reply) -> None:
        assert self._dotted is not None
        dispatch, self._dotted = self._dotted, None
        self._report(dispatch, ACCEPTED if reply.code // 100 == 2 else self._verdict(reply, "content"))

    def _envelope_failed(self) -> None:
        assert self._begun is not None
        assert self._failure is not None
        dispatch, self._begun, self._mail = self._begun, None, None
        self._report(dispatch, self._verdict(self._failure, "envelope"))
        self._queue.append(("ignored", b"RSET\r\n"))
        if self._failure.code != 421:
            self._begin()

    def _verdict(self, reply: Reply, stage: str) -> Result:
        """What a refusal means. One that SMTP knows is certain, whichever command it answers; `stage` judges the others."""
        status = STATUS.match(reply.lines[0]) if reply.lines else None
        if reply.code in AUTH_CODES:
            return Result(state=CREDENTIALS, reason=reply.text, blames=CHANNEL)
        if reply.code // 100 == 5:
            return rejected(reply.text, code=reply.code, status=status[1] if status else "")
        if reply.code // 100 == 4:
            return self._provider.failed("reply", reply.text, blames=CHANNEL if reply.code == 421 else MESSAGE)
        return self._provider.failed(stage, f"not a reply to this command: {reply.text}")

    def broken(self, reason: str) -> None:
        """The connection is gone: report what was under way, hand back the rest."""
        if self.done.done():
            return
        if self._dotted is not None:
            dispatch, self._dotted = self._dotted, None
            self._report(dispatch, self._provider.failed("content", f"after the message was sent: {reason}"))
        if self._begun is not None:
            dispatch, self._begun = self._begun, None
            if self._heard or not self._connection.carried:
                self._report(dispatch, self._provider.failed("envelope", reason))
            else:
                self._waiting.appendleft(dispatch)  # a kept connection had died of old age: as if nothing had been tried
        self._finish()

    def timed_out(self) -> None:
        self._connection.abort()
        self.broken("no answer in time")

    def _report(self, dispatch: Dispatch, result: Result) -> None:
        self._connection.carried += 1
        self._tell(dispatch, result)

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


def _is_loopback(transport: asyncio.Transport | None) -> bool:
    address = str(transport.get_extra_info("peername")[0]) if transport is not None else ""
    return address == "::1" or address.startswith("127.")
