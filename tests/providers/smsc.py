"""A scripted SMSC on loopback: it takes binds and messages, shows faults, and delivers receipts and messages to whoever is bound."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from typing import Any, Self

import smpp34

from actions import smpp_pdu as pdus
from actions.sms_text import HEADER_INDICATOR, decode, parted

SLOW_S = 0.2
TEXT_TLV = 0x001D


class Smsc:
    """`behave` is "" (well), silence, slow, drop (after a message came), or a mapping: `bind` or `submit` → a status to refuse with, `text` → what it
    says about that, `binds` or `submits` → a status for each that is to come. `receipts`: the stat of the receipt that follows each accepted message, "" for none."""

    def __init__(self) -> None:
        self.behave: Any = ""
        self.receipts = ""
        self.port = 0
        self.submits: list[smpp34.SubmitSm] = []
        self.binds: list[tuple[str, ...]] = []
        self.asked = 0  # enquire_link
        self.deaf = False  # answers no enquire_link
        self.sessions: list[asyncio.StreamWriter] = []
        self._answers: dict[int, asyncio.Future[int]] = {}
        self._sequence = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*self._tasks)

    def drop(self) -> None:
        """Hang up on everybody."""
        for writer in self.sessions:
            writer.close()
        self.sessions.clear()

    def texts(self) -> list[str]:
        """The whole messages that came, each put together of its segments, in the order of their first."""
        found: dict[Any, list[str]] = {}
        for number, one in enumerate(self.submits):
            part, octets = parted(bytes(one.short_message)) if one.esm_class & HEADER_INDICATOR else (None, bytes(one.short_message))
            key = (one.destination_addr, part.reference, part.total) if part else number
            found.setdefault(key, []).append(decode(one.data_coding, octets))
        return ["".join(parts) for parts in found.values()]

    def received(self) -> int:
        """How many messages came; of several segments the first counts."""
        parts = [parted(bytes(one.short_message))[0] if one.esm_class & HEADER_INDICATOR else None for one in self.submits]
        return sum(part is None or part.number == 1 for part in parts)

    async def deliver(self, sender: str, to: str, octets: bytes, *, session: int = -1, **changed: Any) -> int:
        """Deliver a message or a receipt; the status that it was answered with."""
        self._sequence += 1
        made = smpp34.DeliverSm(sender, to, octets, **{"source_addr_ton": 1, "source_addr_npi": 1, "sequence_number": self._sequence, **changed})
        return await self.deliver_raw(made.encode(), session=session)

    async def deliver_raw(self, wire: bytes, *, session: int = -1) -> int:
        sequence = int.from_bytes(wire[12:16], "big")
        answer = self._answers[sequence] = asyncio.get_running_loop().create_future()
        self.sessions[session].write(wire)
        return await asyncio.wait_for(answer, 10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readexactly(16)
                length, command, status, sequence = pdus.HEADER.unpack(head)
                await self._take(writer, command, status, sequence, head + await reader.readexactly(length - 16))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _take(self, writer: asyncio.StreamWriter, command: int, status: int, sequence: int, wire: bytes) -> None:
        if command == pdus.BIND_TRANSCEIVER:
            self.binds.append(tuple(part.decode() for part in wire[16:].split(b"\0")[:3]))
            refused = self._said("bind")
            writer.write(pdus.pdu(command | pdus.RESPONSE, sequence, refused, b"" if refused else b"smsc\0"))
            if not refused:
                self.sessions.append(writer)
        elif command == 4:
            await self._submitted(writer, sequence, wire)
        elif command == pdus.ENQUIRE_LINK:
            self.asked += 1
            if not self.deaf:
                writer.write(pdus.pdu(pdus.ENQUIRE_LINK_RESP, sequence))
        elif command == pdus.UNBIND:
            writer.write(pdus.pdu(pdus.UNBIND_RESP, sequence))
            if writer in self.sessions:
                self.sessions.remove(writer)
        elif command == pdus.DELIVER_SM_RESP:
            self._answers.pop(sequence).set_result(status)

    async def _submitted(self, writer: asyncio.StreamWriter, sequence: int, wire: bytes) -> None:
        one = smpp34.decode(wire)
        assert isinstance(one, smpp34.SubmitSm)
        self.submits.append(one)
        if self.behave == "slow":
            await asyncio.sleep(SLOW_S)
        if self.behave == "drop":
            writer.close()
            return
        if self.behave == "silence":
            return
        status = self._said("submit")
        message_id = f"m{len(self.submits)}"
        writer.write(pdus.pdu(pdus.SUBMIT_SM_RESP, sequence, status, self._text() if status else message_id.encode() + b"\0"))
        if self.receipts and one.registered_delivery and not status:
            self._sequence += 1
            body = f"id:{message_id} sub:001 dlvrd:001 submit date:2601050900 done date:2601050901 stat:{self.receipts} err:000 text:".encode()
            receipt = smpp34.DeliverSm(
                one.destination_addr, one.source_addr, body, source_addr_ton=1, source_addr_npi=1, esm_class=4, sequence_number=self._sequence
            )
            self._answers[self._sequence] = asyncio.get_running_loop().create_future()
            writer.write(receipt.encode())

    def _said(self, what: str) -> int:
        if isinstance(self.behave, dict) and self.behave.get(f"{what}s"):
            return int(self.behave[f"{what}s"].pop(0))
        return int(self.behave.get(what, 0)) if isinstance(self.behave, dict) else 0

    def _text(self) -> bytes:
        text = self.behave.get("text", "").encode() if isinstance(self.behave, dict) else b""
        return b"\0" + struct.pack(">HH", TEXT_TLV, len(text)) + text if text else b""
