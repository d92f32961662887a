"""A raw SMTP server on asyncio streams whose behaviour a test chooses, command by command; fast enough to measure against."""

from __future__ import annotations

import asyncio
from typing import Any, Self


class RawSmtp:
    """`behave` maps a command (greeting, EHLO, AUTH, MAIL, RCPT, DATA, dot, RSET) to a reply, or to `drop`, `silence` or `slow`."""

    def __init__(self, *, extensions: tuple[str, ...] = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 1000000", "AUTH PLAIN LOGIN"), ssl: Any = None) -> None:
        self.extensions = extensions
        self.behave: dict[str, str] = {}
        self.mails: list[tuple[str, str, bytes]] = []
        self.commands: list[str] = []
        self.connections = 0
        self.reads = 0
        self._ssl = ssl
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._client, "127.0.0.1", 0, limit=4 * 1024 * 1024, ssl=self._ssl)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await self._answer(writer, "greeting", "220 raw ready"):
            return
        sender = to = ""
        while line := await reader.readline():
            text = line.decode().strip()
            verb = text.split(" ")[0].upper()
            self.commands.append(text)
            fine = "250 2.0.0 fine"
            if verb == "EHLO":
                fine = "\r\n".join(f"250-{word}" for word in ("raw", *self.extensions)) + "\r\n250 HELP"
            elif verb == "AUTH":
                fine = "235 2.7.0 welcome"
                if text == "AUTH LOGIN":
                    for prompt in (b"334 VXNlcm5hbWU6\r\n", b"334 UGFzc3dvcmQ6\r\n"):
                        writer.write(prompt)
                        self.commands.append((await reader.readline()).decode().strip())
            elif verb == "DATA":
                fine = "354 go on" if to else "554 5.5.1 no valid recipients"
            elif verb == "QUIT":
                return
            if await self._answer(writer, verb, fine):
                return
            behaviour = self.behave.get(verb, "2")
            if verb == "MAIL":
                sender, to = text, ""
            elif verb == "RCPT" and behaviour[0] == "2":
                to = text
            elif verb == "DATA" and behaviour[0] in "23" and to:
                data = b""
                while not data.endswith(b"\r\n.\r\n") and data != b".\r\n":
                    data += await reader.readuntil(b".\r\n")
                if self.behave.get("dot", "2")[0] in "2s":
                    self.mails.append((sender, to, data[:-3].replace(b"\r\n..", b"\r\n.")))
                to = ""
                if await self._answer(writer, "dot", "250 2.0.0 queued"):
                    return

    async def _answer(self, writer: asyncio.StreamWriter, command: str, fine: str) -> bool:
        """Answer as told; True where the conversation is over."""
        reply = self.behave.get(command, fine)
        if reply == "drop":
            return True
        if reply == "silence":
            await asyncio.sleep(30)
            return True
        if reply == "slow":
            await asyncio.sleep(0.05)
            reply = fine
        writer.write(reply.encode() + b"\r\n")
        return reply.startswith("421")
