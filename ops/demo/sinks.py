"""The sinks: one process that takes SMTP, Twilio's API and webhooks on loopback, answers yes, and counts what arrives.

What is counted: messages by kind, and messages whose identity came before (duplicates). An email's identity is its
Message-ID and recipient, a webhook's its `webhook-id`, an SMS's its number and text. A kind is `email:` with the subject up
to its first comma or colon, `sms`, or `webhook:` with the path. `GET /counts` answers with all of it as JSON; `GET
/recipients?kind=…` lists who got what, `GET /arrivals?kind=…` when as well (seconds of the machine's
monotonic clock). With `--ledger FILE` each message is a line there, appended at once.

It is fast because nothing of a message is parsed but two headers.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import time
from array import array
from collections import Counter
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import parse_qs, urlsplit

import msgspec
import uvloop

GREETING = b"220 sink ESMTP\r\n"
EHLO = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 33554432\r\n"
HEADER = re.compile(rb"^(subject|message-id):[ \t]*(.*?)\r?$", re.IGNORECASE | re.MULTILINE)
HEAD_BYTES_MAX = 65_536


class Ledger:
    """What arrived, by kind, by identity, and as lines of a file if there is one."""

    def __init__(self, file: IO[str] | None = None) -> None:
        self.kinds: Counter[str] = Counter()
        self.duplicates: list[tuple[str, str, str]] = []
        self.recipients: dict[str, list[str]] = {}
        self.times_s: dict[str, array[float]] = {}
        self._seen: set[tuple[str, str]] = set()
        self._file = file

    def add(self, kind: str, recipient: str, identity: str) -> None:
        """Count one message."""
        self.kinds[kind] += 1
        self.recipients.setdefault(kind, []).append(recipient)
        self.times_s.setdefault(kind, array("d")).append(time.monotonic())
        if (kind, identity) in self._seen:
            self.duplicates.append((kind, recipient, identity))
        self._seen.add((kind, identity))
        if self._file is not None:
            self._file.write(f"{kind}\t{recipient}\t{identity}\n")

    def counts(self) -> dict[str, object]:
        """The answer of `GET /counts`."""
        return {
            "total": self.kinds.total(),
            "duplicates": len(self.duplicates),
            "duplicates_by_kind": dict(Counter(kind for kind, _, _ in self.duplicates)),
            "kinds": dict(self.kinds),
            "first_duplicates": self.duplicates[:20],
        }


class Smtp(asyncio.Protocol):
    """One SMTP session: every command is answered with yes; replies of pipelined commands go out in one write."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._buffer = bytearray()
        self._recipients: list[str] = []
        self._in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its base class
        self._transport.write(GREETING)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        replies: list[bytes] = []
        while (reply := self._message() if self._in_data else self._command()) is not None:
            replies.append(reply)
        if replies:
            self._transport.write(b"".join(replies))
        if replies and replies[-1].startswith(b"221"):
            self._transport.close()

    def _command(self) -> bytes | None:
        """Take one command line off the buffer; its reply, None where no whole line is there."""
        end = self._buffer.find(b"\n")
        if end < 0:
            return None
        line = bytes(self._buffer[:end]).strip()
        del self._buffer[: end + 1]
        verb = line[:4].upper()
        if verb == b"EHLO":
            return EHLO
        if verb == b"RCPT":
            self._recipients.append(line[line.find(b"<") + 1 : line.find(b">")].decode(errors="replace"))
        if verb == b"DATA":
            self._in_data = True
            return b"354 go on\r\n"
        if verb in (b"RSET", b"MAIL"):
            self._recipients.clear()
        return b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n"

    def _message(self) -> bytes | None:
        """Take one message off the buffer and count it for each of its recipients."""
        end = self._buffer.find(b"\r\n.\r\n")
        if end < 0:
            return None
        message = bytes(self._buffer[:end])
        del self._buffer[: end + 5]
        self._in_data = False
        headers = {name.lower(): value.decode(errors="replace") for name, value in HEADER.findall(message.partition(b"\r\n\r\n")[0])}
        kind = "email:" + re.split(r"[,:]", headers.get(b"subject", ""), maxsplit=1)[0]
        for recipient in self._recipients:
            self._ledger.add(kind, recipient, f"{headers.get(b'message-id', '')} {recipient}")
        self._recipients.clear()
        return b"250 taken\r\n"


class Http(asyncio.Protocol):
    """One kept HTTP/1.1 connection. Bodies need a Content-Length, which is what the pools' client sends."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its base class

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        answers: list[bytes] = []
        while (request := self._request()) is not None:
            status, answer = self._answer(*request)
            answers.append(f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n".encode() + answer)
        if answers:
            self._transport.write(b"".join(answers))
        elif len(self._buffer) > HEAD_BYTES_MAX and b"\r\n\r\n" not in self._buffer:
            self._transport.close()

    def _request(self) -> tuple[str, str, dict[str, str], bytes] | None:
        """Take one request off the buffer: method, target, headers by lower-case name, body."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        whole = end + 4 + int(headers.get("content-length", 0))
        if len(self._buffer) < whole:
            return None
        body = bytes(self._buffer[end + 4 : whole])
        del self._buffer[:whole]
        method, target, _ = first.split(" ", 2)
        return method, target, headers, body

    def _answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[str, bytes]:
        path = urlsplit(target).path
        if method == "GET" and path == "/counts":
            return "200 OK", msgspec.json.encode(self._ledger.counts())
        if method == "GET" and path in ("/recipients", "/arrivals"):
            kind = parse_qs(urlsplit(target).query).get("kind", [""])[0]
            found: list[Any] = self._ledger.recipients.get(kind, [])
            if path == "/arrivals":
                found = list(zip(found, self._ledger.times_s.get(kind, ()), strict=True))
            return "200 OK", msgspec.json.encode(found)
        if path.startswith("/2010-04-01/Accounts/") and path.endswith("/Messages.json"):
            form = parse_qs(body.decode())
            to, text = form.get("To", [""])[0], form.get("Body", [""])[0]
            self._ledger.add("sms", to, f"{to} {text}")
            return "201 Created", msgspec.json.encode({"sid": f"SM{self._ledger.kinds['sms']:032x}", "status": "queued", "to": to})
        self._ledger.add(f"webhook:{path}", contact_in(body), headers.get("webhook-id", ""))
        return "200 OK", b"{}"


def contact_in(body: bytes) -> str:
    """The `contact` of a JSON body; empty where there is none."""
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return ""
    return str(found.get("contact", "")) if isinstance(found, dict) else ""


async def serve(smtp_port: int, http_port: int, ledger: Ledger, *, follow_stdin: bool) -> None:
    """Serve until cancelled, or until standard input closes; prints the ports as one line of JSON."""
    loop = asyncio.get_running_loop()
    smtp = await loop.create_server(lambda: Smtp(ledger), "127.0.0.1", smtp_port, backlog=1024)
    http = await loop.create_server(lambda: Http(ledger), "127.0.0.1", http_port, backlog=1024)
    ports = {"smtp": smtp.sockets[0].getsockname()[1], "http": http.sockets[0].getsockname()[1]}
    print(msgspec.json.encode(ports).decode(), flush=True)
    ended = asyncio.Event()
    if follow_stdin:
        loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()


def main() -> None:
    """`python -m ops.demo.sinks`: see `--help`."""
    parser = argparse.ArgumentParser(description="Take SMTP, Twilio's API and webhooks on loopback, and count what arrives.")
    parser.add_argument("--smtp", type=int, default=2525, help="port of the SMTP sink, 0 for any (default 2525)")
    parser.add_argument("--http", type=int, default=2526, help="port of the HTTP sink, 0 for any (default 2526)")
    parser.add_argument("--ledger", type=Path, help="append a line for each message: kind, recipient, identity, separated by tabs")
    parser.add_argument("--follow-stdin", action="store_true", help="end when standard input closes, and so with whoever started it")
    options = parser.parse_args()
    file = options.ledger.open("a", buffering=1) if options.ledger else None
    uvloop.run(serve(options.smtp, options.http, Ledger(file), follow_stdin=options.follow_stdin))


if __name__ == "__main__":
    main()
