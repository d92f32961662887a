"""Email over SMTP: kept connections, pipelined batches, STARTTLS, AUTH, DKIM, and RFC 8058's one-click unsubscribe.

A batch is spread over the connections; each carries its share in order. What was not begun in half of `send_timeout_ms` is handed back
uncounted, so a slow server never holds a message longer than its claim. The Message-ID is made of the effect's id, but servers don't
deduplicate by it: a message whose content was sent and not answered is `unknown`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Literal

import msgspec

from actions.dkim import Signer
from actions.messages import Email
from actions.mime import Mail, MimeFault, build, mailbox
from actions.providers import provider
from actions.providers.provider import MESSAGE, Dispatch, House, Provider, Report
from actions.smtp_connection import Route, SmtpConnection, SmtpFault
from actions.unsubscribe import make_token
from engine.core.errors import InvalidConfig

SHARE_MIN = 8  # messages: fewer are not worth another connection
IDLE_S_MAX = 20.0  # servers drop idle connections after minutes; a stale one costs a reconnection
ROUNDS_MAX = 3  # connections that one share of a batch may use up


class DkimSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`key` is a PEM text (`env:NAME`) or the path of a PEM file."""

    domain: str
    selector: str
    key: str

    def __repr__(self) -> str:
        return f"DkimSettings({self.selector}._domainkey.{self.domain})"


class SmtpSettings(provider.Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`tls` auto uses STARTTLS where it is offered, and checks the certificate only if there is a password to protect."""

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
        if settings.from_:
            try:
                mailbox(settings.from_)
            except MimeFault as fault:
                raise InvalidConfig(f"from: {fault}") from None
        if not house.secret:
            raise InvalidConfig("signing_secret is empty, so links to unsubscribe could be forged")
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
        self._signer = Signer.load(settings.dkim.domain, settings.dkim.selector, settings.dkim.key) if settings.dkim else None
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
            await connection.run(waiting, self._mail, report, begin_until, deadline)
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

    def _mail(self, dispatch: Dispatch) -> Mail:
        """The message's bytes, made just before they are sent; the same at every attempt."""
        email, effect = dispatch.message, dispatch.effect
        assert isinstance(email, Email)
        url = ""
        if email.promotional:
            url = f"{self._house.public_url}/u/{make_token(self._house.secret, effect.contact, effect.consent or effect.channel)}"
        mail = build(email, effect.id, effect.decided_ms, url)
        if self._signer is not None:
            mail = Mail(mail.sender, mail.to, self._signer.sign(mail.data, effect.decided_ms // 1_000), mail.utf8)
        return mail

    async def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


def _context(settings: SmtpSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
    except OSError as error:
        raise InvalidConfig(f"ca_file: {error.strerror or error}") from None
    if settings.tls == "auto" and not settings.password and not settings.ca_file:
        context.check_hostname = False  # opportunistic: better than in the clear, and there is no secret to lose
        context.verify_mode = ssl.CERT_NONE
    return context
