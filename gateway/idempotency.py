"""`Idempotency-Key`: a POST that is sent again with the same key does nothing twice, and brings the first answer.

Two things work together. The records of a keyed request get ids made of the key, so the shard's dedupe window holds even
where this gateway died between the append and its answer. And the answer is kept for `idempotency_ms`, so that a later
repetition is answered from it. The same key with another body is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

import msgspec
from aiohttp import web

from engine.config import Config
from engine.core.records import Command, Event, Record, Update
from engine.ports import Directory
from gateway.problems import Refusal

KEY_CHARS_MAX = 255
PEEK_MS = 1


class _Answer(msgspec.Struct, array_like=True):
    status: int
    body: bytes


decode_answer = msgspec.msgpack.Decoder(_Answer).decode


class Idempotency:
    """Remembers keyed requests in the directory, each under its caller and its path."""

    def __init__(self, directory: Directory, config: Config) -> None:
        self.directory, self.ttl_ms = directory, config.idempotency_ms

    async def begin(self, caller: str, path: str, key: str, body: bytes) -> web.Response | None:
        """The answer that was given before, or None where the request is to be carried out."""
        if not 0 < len(key) <= KEY_CHARS_MAX or not key.isprintable():
            raise Refusal("invalid-request", f"Idempotency-Key must have 1 to {KEY_CHARS_MAX} printable characters.")
        place = self._place(caller, path, key)
        print_of_body = sha256(body).digest()
        before = await self.directory.once(f"asked:{place}", print_of_body, self.ttl_ms)
        if before is None:
            return None
        if before != print_of_body:
            raise Refusal("invalid", "This Idempotency-Key was used before with another body.")
        # `once` is the only way to read: what it leaves here vanishes at once, and should it meet the first answer's `end`, the ids still hold.
        kept = await self.directory.once(f"answered:{place}", b"", PEEK_MS)
        if not kept:
            return None
        answer = decode_answer(kept)
        return web.Response(status=answer.status, body=answer.body, content_type="application/json")

    async def end(self, caller: str, path: str, key: str, response: web.Response) -> None:
        """Keep the answer of a request that was carried out."""
        body = response.body
        kept = msgspec.msgpack.encode(_Answer(response.status, body if isinstance(body, bytes) else b""))
        await self.directory.once(f"answered:{self._place(caller, path, key)}", kept, self.ttl_ms)

    def name(self, records: Sequence[Record], indexes: Iterable[int], caller: str, key: str) -> None:
        """Give an id to each record that has none, made of the key and its place."""
        for index, record in zip(indexes, records, strict=True):
            if isinstance(record, Event | Update | Command) and not record.id:
                record.id = f"key:{self._place(caller, '', key)}:{index}"

    @staticmethod
    def _place(caller: str, path: str, key: str) -> str:
        return sha256(f"{caller}\x00{path}\x00{key}".encode()).hexdigest()[:32]
