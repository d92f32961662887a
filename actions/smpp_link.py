"""One SMPP session: framing, the window, keepalive. Segments come from a queue that all links of a provider share.

Invariants: no more than `window` submits wait for an answer; everything that is written within one turn of the loop goes out in one
write; a segment that was written belongs to this link until it is answered, given up, or the link is lost, and is then reported to its
letter exactly once.
"""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from actions import smpp_pdu as pdus
from actions.smpp_pdu import HEADER, OK

END_S = 1.0  # a server that does not read any more is left alone after
_QUICK_ACK = getattr(socket, "TCP_QUICKACK", None)  # Linux has it


class Letter(Protocol):
    """A message whose segments travel. `over`: its result is known, so segments that are still queued are not written."""

    over: bool

    def wrote(self) -> None:
        """One more of its segments is on its way."""

    def answered(self, segment: Segment, status: int, wire: bytes) -> None:
        """The server's answer, also one that comes after the letter was given up."""

    def lost(self, reason: str) -> None:
        """The link was lost before the answer."""


class Segment:
    """One submit_sm. `index` counts from 0."""

    __slots__ = ("index", "letter", "link", "sequence", "wire")

    def __init__(self, letter: Letter, index: int, wire: bytes) -> None:
        self.letter, self.index, self.wire = letter, index, wire
        self.link: Link | None = None
        self.sequence = 0


class Refused(Exception):
    """The server refused the bind, with this status; caught by the provider."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Link(asyncio.Protocol):
    """A connection that is bound, or about to be. `deliver` is handed each deliver_sm and answers it with `answer` later."""

    def __init__(
        self, queue: deque[Segment], window: int, alive_ms: int, deliver: Callable[[Link, int, bytes], None], gone: Callable[[Link, str], None]
    ) -> None:
        self._queue, self._window, self._alive_s = queue, window, alive_ms / 1_000
        self._deliver, self._gone = deliver, gone
        self._transport: asyncio.WriteTransport | None = None
        self._waiting: dict[int, Segment] = {}
        self._late: OrderedDict[int, Segment] = OrderedDict()  # given up; their answer may still name the message
        self._sequence = 0
        self._buffer = b""
        self._out: list[bytes] = []
        self._bound: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._beat: asyncio.TimerHandle | None = None
        self._ready = False  # bound, and not being closed: segments may be written
        self._heard = True
        self._reason = "the server closed the connection"
        self.closed = asyncio.Event()

    async def bind(self, body: bytes) -> None:
        """Log in as a transceiver. Raises Refused, or ConnectionError where the link is lost first."""
        self._write(pdus.pdu(pdus.BIND_TRANSCEIVER, self._next(), body=body))
        self._flush()
        await self._bound
        self._beat = asyncio.get_running_loop().call_later(self._alive_s, self._keep_alive)

    def pump(self) -> None:
        """Write what is queued, as far as the window allows."""
        queue, waiting = self._queue, self._waiting
        while self._ready and queue and len(waiting) < self._window:
            segment = queue.popleft()
            if segment.letter.over:
                continue
            sequence = self._next()
            segment.link, segment.sequence = self, sequence
            waiting[sequence] = segment
            segment.letter.wrote()
            self._write(pdus.numbered(segment.wire, sequence))
        self._flush()

    def give_up(self, segment: Segment) -> None:
        """No longer wait for an answer; its place in the window is free."""
        if self._waiting.pop(segment.sequence, None) is not None:
            self._late[segment.sequence] = segment
            if len(self._late) > self._window:
                self._late.popitem(last=False)

    def answer(self, sequence: int, status: int) -> None:
        """Answer a deliver_sm; goes out with `pump`."""
        self._write(pdus.pdu(pdus.DELIVER_SM_RESP, sequence, status, b"\0"))

    async def end(self) -> None:
        """Unbind and hang up; what waits is lost."""
        self._write(pdus.pdu(pdus.UNBIND, self._next()))
        self._hang_up("closed")
        with suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                await self.closed.wait()
                return
        self.abort()

    def abort(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's are no subclasses
        self._socket = transport.get_extra_info("socket")

    def data_received(self, data: bytes) -> None:
        self._heard = True
        if _QUICK_ACK is not None:  # a server with Nagle's algorithm holds its next answer until ours comes: 40 ms, where we have nothing to write
            self._socket.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
        buffer, at = self._buffer + data if self._buffer else data, 0
        while len(buffer) - at >= HEADER.size:
            length, command, status, sequence = HEADER.unpack_from(buffer, at)
            if not HEADER.size <= length <= pdus.PDU_BYTES_MAX:
                self._hang_up("the server sent what is no SMPP")
                return
            if len(buffer) - at < length:
                break
            self._take(command, status, sequence, buffer[at : at + length])
            at += length
        self._buffer = buffer[at:]
        self.pump()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ready = False
        if self._beat is not None:
            self._beat.cancel()
        reason = f"{self._reason}: {exc}" if exc else self._reason
        if not self._bound.done():
            self._bound.set_exception(ConnectionError(reason))
            self._bound.exception()  # seen, also where nobody waits for it any more
        waiting, self._waiting = list(self._waiting.values()), {}
        self.closed.set()
        self._gone(self, reason)
        for segment in waiting:
            segment.letter.lost(reason)

    # -- inside ----------------------------------------------------------------------------------------------------------

    def _take(self, command: int, status: int, sequence: int, wire: bytes) -> None:
        if command in (pdus.SUBMIT_SM_RESP, pdus.GENERIC_NACK):
            segment = self._waiting.pop(sequence, None) or self._late.pop(sequence, None)
            if segment is not None:
                segment.letter.answered(segment, status if command == pdus.SUBMIT_SM_RESP else status or pdus.INVALID_COMMAND, wire)
            elif not self._bound.done():
                self._bound.set_exception(Refused(status, pdus.status_text(status, wire[16:])))
        elif command == pdus.DELIVER_SM:
            self._deliver(self, sequence, wire)
        elif command == pdus.ENQUIRE_LINK:
            self._write(pdus.pdu(pdus.ENQUIRE_LINK_RESP, sequence))
        elif command == pdus.UNBIND:
            self._write(pdus.pdu(pdus.UNBIND_RESP, sequence))
            self._hang_up("the server ended the session")
        elif command == pdus.BIND_TRANSCEIVER | pdus.RESPONSE and not self._bound.done():
            if status == OK:
                self._ready = True
                self._bound.set_result(None)
            else:
                self._bound.set_exception(Refused(status, pdus.status_text(status, wire[16:])))
        elif not command & pdus.RESPONSE:
            self._write(pdus.pdu(pdus.GENERIC_NACK, sequence, pdus.INVALID_COMMAND))

    def _keep_alive(self) -> None:
        """Ask whether the server is there, and hang up where nothing at all came since it was asked last."""
        if not self._heard:
            self._reason = "the server fell silent"
            self.abort()
            return
        self._heard = False
        self._write(pdus.pdu(pdus.ENQUIRE_LINK, self._next()))
        self._flush()
        self._beat = asyncio.get_running_loop().call_later(self._alive_s, self._keep_alive)

    def _hang_up(self, reason: str) -> None:
        self._ready = False
        self._reason = reason
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def _next(self) -> int:
        self._sequence = self._sequence % 0x7FFFFFFF + 1
        return self._sequence

    def _write(self, wire: bytes) -> None:
        self._out.append(wire)

    def _flush(self) -> None:
        if self._out and self._transport is not None:
            out, self._out = b"".join(self._out), []
            if not self._transport.is_closing():
                self._transport.write(out)
