"""Email over SMTP: kept connections, pipelined batches, STARTTLS, AUTH, DKIM, and RFC 8058's one-click unsubscribe.

A batch is spread over the connections; each carries its share in order. What was not begun in half of `send_timeout_ms` is handed back
uncounted, so a slow server never holds a message longer than its claim. The Message-ID is made of the effect's id, but servers don't
deduplicate by it: a message whose content was sent and not answered is `unknown`.
"""

from __future__ import annotations

import asyncio
import hmac
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Literal

from actions.bounce_mail import heard_of, read_reports
from actions.outgoing import DkimSettings, EmailSettings, Outgoing
from actions.providers.provider import MESSAGE, Dispatch, House, Inbound, Provider, Reception, Report, Unsigned
from actions.smtp_connection import Route, SmtpConnection, SmtpFault
from engine.core.errors import InvalidConfig

SHARE_MIN = 8  # messages: fewer are not worth another connection
IDLE_S_MAX = 20.0  # servers drop idle connections after minutes; a stale one costs a reconnection
ROUNDS_MAX = 3  # connections that one share of a batch may use up


class SmtpSettings(EmailSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`tls` auto uses STARTTLS where it is offered, and checks the certificate only if there is a password to protect.

    `return_path` is the envelope's sender, where bounces go; with `callback_secret` they are taken at /v1/callbacks/smtp, and mails carry
    the token that names their effect. `bounces_by_address` also believes reports that bring no token back.
    """

    host: str
    port: int = 25
    username: str = ""
    password: str = ""
    tls: Literal["auto", "always", "never", "implicit"] = "auto"
    ca_file: str = ""  # a certificate authority of one's own
    hello: str = ""  # the name for EHLO; empty: the address literal
    connections: int = 8
    messages_per_connection: int = 10_000
    dkim: DkimSettings | None = None
    return_path: str = ""
    callback_secret: str = ""
    bounces_by_address: bool = True


class Smtp(Provider):
    name = "smtp"
    channel = "email"
    Settings = SmtpSettings
    not_accepted = frozenset({"connect", "envelope", "reply", "not begun"})

    def __init__(self, settings: SmtpSettings, house: House) -> None:
        if not 1 <= settings.connections <= 256:
            raise InvalidConfig("connections must be 1 to 256")
        if not 1 <= settings.port <= 65_535:
            raise InvalidConfig("port must be 1 to 65535")
        self._outgoing = Outgoing(settings, house, dkim=settings.dkim, about_header=bool(settings.callback_secret), return_path=settings.return_path)
        self._house = house
        self._settings = settings
        self._timeout_s = house.config.send_timeout_ms / 1_000
        self._route = Route(
            host=settings.host,
            port=settings.port,
            tls=settings.tls,
            context=_context(settings),
            username=settings.username,
            password=settings.password,
            hello=settings.hello,
        )
        self._idle: list[SmtpConnection] = []
        self._free = asyncio.Semaphore(settings.connections)
        self._busy = 0

    @property
    def in_flight_max(self) -> int:
        return self._settings.connections * self._house.config.mark_effects_max

    @property
    def at_once(self) -> int:
        return self._settings.connections * SHARE_MIN

    async def send(self, dispatches: Sequence[Dispatch], report: Report) -> None:
        now = asyncio.get_running_loop().time()
        shares = max(1, min(self._settings.connections - self._busy, -(-len(dispatches) // SHARE_MIN)))
        parts = [deque(dispatches[start::shares]) for start in range(shares)]
        await asyncio.gather(*(self._carry(part, report, now + self._timeout_s / 2, now + self._timeout_s) for part in parts))

    async def _carry(self, waiting: deque[Dispatch], report: Report, begin_until: float, deadline: float) -> None:
        """Carry one share, over a further connection where the first one breaks; what is left was not begun."""
        left = self.failed("not begun", "not begun: the server is slow, or drops connections", counts=False, blames=MESSAGE)
        for _ in range(ROUNDS_MAX):
            if not waiting:
                return
            try:
                async with asyncio.timeout_at(begin_until):
                    await self._free.acquire()
            except TimeoutError:
                break
            self._busy += 1
            try:
                await self._round(waiting, report, begin_until, deadline)
            except SmtpFault as fault:
                left = fault.result
                break
            finally:
                self._busy -= 1
                self._free.release()
        for dispatch in waiting:
            report(dispatch, left)

    async def _round(self, waiting: deque[Dispatch], report: Report, begin_until: float, deadline: float) -> None:
        """What one connection carries. Raises SmtpFault where none could be made."""
        try:
            async with asyncio.timeout_at(begin_until):
                connection = await self._connection()
        except TimeoutError:
            raise SmtpFault(self.failed("connect", f"{self._settings.host}:{self._settings.port}: no connection in time")) from None
        try:
            await connection.run(waiting, self._outgoing.mail, report, begin_until, deadline)
        finally:
            self._keep(connection)

    async def _connection(self) -> SmtpConnection:
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if not connection.lost and now - connection.idle_since < IDLE_S_MAX:
                return connection
            connection.close()
        return await SmtpConnection.open(type(self), self._route)

    def _keep(self, connection: SmtpConnection) -> None:
        if connection.lost or connection.carried >= self._settings.messages_per_connection:
            connection.close()
            return
        connection.idle_since = asyncio.get_running_loop().time()
        self._idle.append(connection)

    async def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    @classmethod
    async def receive(cls, settings: SmtpSettings, inbound: Inbound, house: House) -> Reception:
        """A mail that came to the return path, whatever it is: what is no report says nothing. The key is `Authorization: Bearer callback_secret`."""
        if not settings.callback_secret:
            raise Unsigned("the email block has no callback_secret, so nobody can be believed")
        given = inbound.headers.get("authorization", "").encode(errors="replace")
        if not hmac.compare_digest(given, f"Bearer {settings.callback_secret}".encode()):
            raise Unsigned("the Authorization header does not hold the callback_secret")
        reports = await asyncio.to_thread(read_reports, inbound.body)  # a mail made to take long must not stop the others
        return Reception(heard=[heard for report in reports if (heard := heard_of(report, by_address=settings.bounces_by_address)) is not None])


def _context(settings: SmtpSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
    except OSError as error:
        raise InvalidConfig(f"ca_file: {error.strerror or error}") from None
    if settings.tls == "auto" and not settings.password and not settings.ca_file:
        context.check_hostname = False  # opportunistic: better than in the clear, and there is no secret to lose
        context.verify_mode = ssl.CERT_NONE
    return context
