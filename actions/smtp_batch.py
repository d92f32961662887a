"""A batch of messages on one SMTP connection, as a state machine fed with replies: one write and one read per message.

With PIPELINING, the end of one message and the envelope of the next travel together (RFC 2920 allows it), so a message costs one round
trip. Invariant: whatever happens, each message of the batch is either reported once or left among the waiting as not begun, and only a
message whose final dot was written can be `unknown`.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable
from typing import Protocol

import msgspec

from actions.bounces import asks_to_slow_down, classify
from actions.mime import Mail, MimeFault
from actions.providers.provider import CHANNEL, CREDENTIALS, DELIVERED, MESSAGE, Dispatch, Provider, Report, Result, clean, rejected

STATUS = re.compile(r"^([245]\.\d{1,3}\.\d{1,3})\b")
ACCEPTED = Result(state=DELIVERED)  # one for all: a queue id is of no use to a map, and a value less costs a microsecond less
AUTH_CODES = frozenset({530, 534, 535, 538})


class Reply(msgspec.Struct, frozen=True, gc=False):
    """A whole reply: `lines` without their codes."""

    code: int
    lines: list[str]

    @property
    def text(self) -> str:
        return clean(f"{self.code} {' '.join(self.lines)}")


class Line(Protocol):
    """What a batch asks of its connection."""

    offers: dict[str, str]
    lost: bool
    carried: int

    def write(self, octets: bytes) -> None: ...

    def abort(self) -> None: ...


class Batch:
    """The state machine of a batch on one connection.

    `_begun` is the message whose envelope is under way, `_dotted` the one whose content was sent. `_expected` names the replies that are
    due, in order; `_queue` holds what may not be written yet (without PIPELINING: all but one command).
    """

    def __init__(
        self,
        connection: Line,
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
            except Exception as fault:  # noqa: BLE001 - nothing was sent, and the other messages must not suffer
                self._report(dispatch, rejected(str(fault) if isinstance(fault, MimeFault) else f"can't be written: {type(fault).__name__}: {fault}"))
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
        found = STATUS.match(reply.lines[0]) if reply.lines else None
        status = found[1] if found else ""
        if reply.code in AUTH_CODES:
            return Result(state=CREDENTIALS, reason=reply.text, blames=CHANNEL)
        if reply.code // 100 == 5:
            said = {"code": reply.code, "status": status, "class": classify(reply.code, status, " ".join(reply.lines))}
            return rejected(reply.text, **said)
        if reply.code // 100 == 4:
            slow = asks_to_slow_down(reply.code, status, reply.text)
            return self._provider.failed("reply", reply.text, blames=CHANNEL if reply.code == 421 else MESSAGE, slow=slow)
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
