"""API keys: who may do what. Only the sha256 of a key is stored, so whoever reads the storage still has no key.

A key comes as `Authorization: Bearer KEY` or as the Basic user name. Keys are cached for `keys_cached_ms`; a revoked one ends
with that, a new one is found at once. Whoever sends many bad keys is told to wait, and until then only keys that this address used
before are looked at: guessing becomes slow, and a neighbour behind the same address goes on.
"""

from __future__ import annotations

import asyncio
import binascii
import hmac
import secrets
import time
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

import msgspec
from aiohttp import web

from engine.config import Config
from engine.ports import Directory
from gateway.problems import Refusal, busy

SCOPES = ("ingest", "read", "admin")
CONFIGURED = "admin (configured)"
ADDRESSES_MAX = 10_000
MINUTE_S = 60.0
UNKNOWN_KEY_LOOK_S = 0.25
"""A key that is not in the cache makes it be read again, but not more often than this."""


class Caller(msgspec.Struct, frozen=True):
    """Who calls: the name of the key and what it may do."""

    name: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Whether the key has a scope; `admin` includes them all."""
        return scope in self.scopes or "admin" in self.scopes


def digest_of(key: str) -> str:
    """What is stored of a key."""
    return sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def key_of(header: str) -> str:
    """The key in an Authorization header; empty where there is none."""
    scheme, _, rest = header.partition(" ")
    scheme, rest = scheme.lower(), rest.strip()
    if scheme == "bearer":
        return rest
    if scheme == "basic":
        try:
            return b64decode(rest, validate=True).decode().partition(":")[0]
        except (binascii.Error, ValueError):
            return ""
    return ""


class Keys:
    """The keys of the directory, cached, and the addresses that sent bad ones."""

    def __init__(self, directory: Directory, config: Config, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.directory, self.monotonic = directory, monotonic
        self.ttl_s, self.bad_max = config.keys_cached_ms / 1000, config.bad_keys_per_minute_max
        self.callers: dict[str, Caller] = {}
        self.read_at = -1e9
        self.reading = asyncio.Lock()
        self.bad: OrderedDict[str, list[float]] = OrderedDict()  # address → [count, when the minute ends]
        self.good: OrderedDict[tuple[str, str], None] = OrderedDict()  # (address, digest) that worked

    async def check(self, request: web.Request, scope: str) -> Caller:
        """The caller, or a Refusal: 401 without a good key, 403 without the scope, 429 after too many bad ones."""
        key = key_of(request.headers.get("Authorization", ""))
        if not key:
            raise _no_key("There is no key in this request.")
        address = request.remote or ""
        digest = digest_of(key)
        if address in self.bad:
            self._check_guessing(address, digest)
        if self.monotonic() - self.read_at > self.ttl_s:
            await self._read(self.ttl_s)
        caller = self._find(digest)
        if caller is None:
            await self._read(UNKNOWN_KEY_LOOK_S)
            caller = self._find(digest)
        if caller is None:
            self._count_bad(address)
            raise _no_key("This key is not known.")
        if (address, digest) not in self.good:
            _bounded(self.good)[(address, digest)] = None
        if not caller.may(scope):
            raise Refusal("wrong-scope", f"This needs a key with the scope `{scope}`; this one has {', '.join(sorted(caller.scopes)) or 'none'}.")
        return caller

    def _find(self, digest: str) -> Caller | None:
        for known, caller in self.callers.items():
            if hmac.compare_digest(known, digest):
                return caller
        return None

    async def _read(self, older_than_s: float) -> None:
        async with self.reading:
            if self.monotonic() - self.read_at <= older_than_s:
                return
            entries = await self.directory.keys()
            self.callers = {digest: caller_of(entry) for digest, entry in entries.items()}
            self.read_at = self.monotonic()

    def _check_guessing(self, address: str, digest: str) -> None:
        count, until = self.bad[address]
        left_s = until - self.monotonic()
        if left_s <= 0:
            del self.bad[address]
        elif count >= self.bad_max and (address, digest) not in self.good:
            raise busy("Too many bad keys came from this address.", int(left_s * 1000), "too-many-bad-keys")

    def _count_bad(self, address: str) -> None:
        if address not in self.bad:
            _bounded(self.bad)[address] = [0, self.monotonic() + MINUTE_S]
        self.bad[address][0] += 1


def _bounded(table: OrderedDict[Any, Any]) -> OrderedDict[Any, Any]:
    if len(table) >= ADDRESSES_MAX:
        table.popitem(last=False)
    return table


def _no_key(detail: str) -> Refusal:
    return Refusal("no-key", detail, headers={"WWW-Authenticate": 'Bearer realm="wayfare"'})


def caller_of(entry: dict[str, Any]) -> Caller:
    """A stored key as a caller; unknown scopes are left out."""
    return Caller(str(entry.get("name", "")), frozenset(scope for scope in entry.get("scopes", ()) if scope in SCOPES))


async def make_key(directory: Directory, name: str, scopes: Sequence[str], made_ms: int, key: str = "") -> str:
    """Store a new key (or the one given) and return it; it cannot be read again."""
    key = key or f"wf_{secrets.token_urlsafe(32)}"
    await directory.put_key(digest_of(key), {"name": name, "scopes": list(scopes), "made_ms": made_ms})
    return key


async def ensure_admin_key(directory: Directory, wanted: str, made_ms: int = 0) -> str | None:
    """At start: a key that may do everything exists. The new key where one was made, None where there was one or `wanted` gives it.

    A configured key replaces the one configured before.
    """
    keys = await directory.keys()
    if wanted:
        for digest, entry in keys.items():
            if entry.get("name") == CONFIGURED and digest != digest_of(wanted):
                await directory.put_key(digest, None)
        await make_key(directory, CONFIGURED, ["admin"], made_ms, wanted)
        return None
    if any("admin" in entry.get("scopes", ()) for entry in keys.values()):
        return None
    return await make_key(directory, "admin", ["admin"], made_ms)
