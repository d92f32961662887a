"""Reading a body: bounded before it is read, while it is read, and while it is decompressed; then cut into items.

All bodies of this process together are bounded too (`bodies_bytes_max`), so that many large requests at once become 429s
and not a growing process. A compressed bomb stops at `body_bytes_max` of output.
"""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from typing import Any, NoReturn

import msgspec
import zstandard
from aiohttp import web

from engine.config import Config
from gateway.problems import Refusal, busy

JSON = "json"
LINES = "lines"
YAML = "yaml"
TYPES = {
    "application/json": JSON,
    "application/x-ndjson": LINES,
    "application/ndjson": LINES,
    "application/jsonl": LINES,
    "application/x-jsonlines": LINES,
    "application/yaml": YAML,
    "application/x-yaml": YAML,
    "text/yaml": YAML,
    "text/x-yaml": YAML,
}
THREAD_BYTES = 256 * 1024
"""Compressed bodies above this are decompressed in a thread: it takes milliseconds, and zlib lets others run meanwhile."""

# A string, or one of the marks that nest and separate. The string is possessive-like (no alternative can match twice), so it is linear.
MARKS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)

decode_raw = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Bodies:
    """How many bytes of bodies this process holds now, and the bound of it."""

    def __init__(self, config: Config) -> None:
        self.most, self.each, self.timeout_s = config.bodies_bytes_max, config.body_bytes_max, config.body_timeout_ms / 1000
        self.held = 0

    def read(self, request: web.Request) -> Held:
        """`async with bodies.read(request) as body`: the body, decompressed. Refusal where it is too large or broken."""
        return Held(self, request)

    async def whole(self, request: web.Request) -> bytes:
        """The body, decompressed but not counted."""
        raw = await self._raw(request)
        encoding = request.headers.get("Content-Encoding")
        return raw if encoding is None else await self._decompressed(raw, encoding.strip().lower())

    def hold(self, size: int) -> None:
        """Count bytes; busy where the bound is reached."""
        if self.held + size > self.most:
            raise busy("Too many bytes of requests are being worked on.", 1000)
        self.held += size

    async def _raw(self, request: web.Request) -> bytes:
        content = request.content
        if content.is_eof():  # it came with the head, as small ones do
            return self._bounded(content.read_nowait())
        pieces, size = [], 0
        try:
            async with asyncio.timeout(self.timeout_s):
                async for piece in content.iter_any():
                    size += len(piece)
                    pieces.append(piece)
                    if size > self.each:
                        break
        except TimeoutError:
            raise Refusal("unreadable", f"The body did not arrive within {self.timeout_s:g} s.") from None
        except (web.RequestPayloadError, ConnectionError):
            raise Refusal("unreadable", "The body ended before it was complete.") from None
        return self._bounded(b"".join(pieces))

    def _bounded(self, body: bytes) -> bytes:
        if len(body) > self.each:
            raise Refusal("too-large", f"A body may have {self.each} bytes.")
        return body

    async def _decompressed(self, raw: bytes, encoding: str) -> bytes:
        if encoding in ("", "identity"):
            return raw
        unpack = {"gzip": _gunzip, "x-gzip": _gunzip, "zstd": _unzstd}.get(encoding)
        if unpack is None:
            raise Refusal("unsupported-type", f"Content-Encoding {encoding!r} is not understood; use gzip or zstd.", headers={"Accept-Encoding": "gzip, zstd"})
        if len(raw) > THREAD_BYTES:
            return self._bounded(await asyncio.to_thread(unpack, raw, self.each))
        return self._bounded(unpack(raw, self.each))


class Held:
    """One body, counted as long as the block lasts. A class and not a generator: it stands on the hot path."""

    __slots__ = ("bodies", "request", "size")

    def __init__(self, bodies: Bodies, request: web.Request) -> None:
        self.bodies, self.request, self.size = bodies, request, 0

    async def __aenter__(self) -> bytes:
        """Read it; what was counted is given back if that fails."""
        bodies, size = self.bodies, self.request.content_length or 0
        if size > bodies.each:
            raise Refusal("too-large", f"A body may have {bodies.each} bytes, this one has {size}.")
        try:
            self._hold(size)
            body = await bodies.whole(self.request)
            if len(body) > size:
                self._hold(len(body) - size)
        except BaseException:
            await self.__aexit__()
            raise
        return body

    async def __aexit__(self, *_: object) -> None:
        """Give the bytes back."""
        self.bodies.held -= self.size
        self.size = 0

    def _hold(self, size: int) -> None:
        self.bodies.hold(size)
        self.size += size


def _gunzip(raw: bytes, most: int) -> bytes:
    pieces, size = [], 0
    while raw:
        member = zlib.decompressobj(wbits=31)
        try:
            pieces.append(member.decompress(raw, most + 1 - size))
        except zlib.error as error:
            raise Refusal("unreadable", f"The body is not gzip: {error}") from None
        size += len(pieces[-1])
        if size > most:
            raise Refusal("too-large", f"A body may have {most} bytes after decompression.")
        if not member.eof:
            raise Refusal("unreadable", "The gzip body is cut off.")
        raw = member.unused_data.lstrip(b"\0")  # padding is allowed after a member
    return b"".join(pieces)


def _unzstd(raw: bytes, most: int) -> bytes:
    try:
        if zstandard.frame_content_size(raw) > most:  # it is allocated at once, so look before
            raise Refusal("too-large", f"A body may have {most} bytes after decompression.")
        return zstandard.ZstdDecompressor().decompress(raw, max_output_size=most + 1, allow_extra_data=False)
    except zstandard.ZstdError as error:
        if _overflows(raw, most):
            raise Refusal("too-large", f"A body may have {most} bytes after decompression.") from None
        raise Refusal("unreadable", f"The body is not one zstd frame: {error}") from None


def _overflows(raw: bytes, most: int) -> bool:
    """Whether a frame failed for its size (one that does not state it fails in the same words as one that is cut off)."""
    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(raw) as reader:
            return len(reader.read(most + 1)) > most
    except zstandard.ZstdError:
        return False


def type_of(request: web.Request) -> str:
    """JSON, LINES or YAML, by the Content-Type (JSON where none is given); Refusal for others and for charsets other than UTF-8."""
    header = request.headers.get("Content-Type", "")
    known = JSON if not header else TYPES.get(header)
    if known is not None:
        return known
    kind = TYPES.get(header.partition(";")[0].strip().lower())
    if kind is None:
        raise Refusal("unsupported-type", f"Content-Type {header[:100]!r} is not understood; use application/json or application/x-ndjson.")
    charset = request.charset
    if charset and charset.lower() not in ("utf-8", "utf8", "us-ascii", "ascii"):
        raise Refusal("unsupported-type", f"The charset {charset[:40]!r} is not understood; use UTF-8.")
    return kind


def items_of(body: bytes, kind: str) -> list[bytes]:
    """The items of a body in which something is wrong, still encoded; Refusal (unreadable) where they cannot be told apart.

    Only used after the straight way failed: it may take microseconds per item.
    """
    if kind == LINES:
        return [line for line in body.split(b"\n") if line.strip()]
    if not body.lstrip().startswith(b"["):
        _require_json(body, "")
        return [body]
    try:
        return [bytes(item) for item in decode_raw(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        items = _split(body)
    for index, item in enumerate(items):
        _require_json(item, f"item {index}: ")
    return items


def _split(body: bytes) -> list[bytes]:
    items: list[bytes] = []
    depth, start = 0, 0
    for mark in MARKS.finditer(body):
        byte = body[mark.start()]
        if byte in b"[{":
            depth += 1
            if depth == 1:
                start = mark.end()
        elif byte in b"]}":
            depth -= 1
        if depth < 0 or (depth == 0 and body[mark.end() :].strip()):
            break
        if (depth == 1 and byte == ord(",")) or depth == 0:
            items.append(body[start : mark.start()])
            start = mark.end()
        if depth == 0:
            return items
    return _unreadable("the array does not end, or something stands behind it")


def _require_json(item: bytes, place: str) -> None:
    """Pass what is JSON by its grammar, even where it holds what no event may hold (that is a fault of the item, not of the body)."""
    try:
        json.loads(item, parse_constant=_unreadable)
    except RecursionError:
        return
    except UnicodeDecodeError:
        return
    except ValueError as error:
        _unreadable(f"{place}{error}")


def _unreadable(what: str) -> NoReturn:
    raise Refusal("unreadable", f"The body is not JSON: {what[:200]}")


def decoded(body: bytes, kind: Any) -> Any:
    """One JSON object of a type; Refusal: unreadable where it is no JSON, invalid where it has another shape."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise Refusal("invalid", str(error)) from None
    except RecursionError:
        raise Refusal("invalid", "nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal("unreadable", str(error)[:200]) from None
