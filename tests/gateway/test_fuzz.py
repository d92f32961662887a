"""Nothing that a client can send brings a 500: bodies, types, encodings, keys, paths made by hypothesis."""

from __future__ import annotations

import asyncio
import gzip
import json

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from engine.config import Config
from gateway.bodies import JSON, LINES
from gateway.ingestion import read_items
from gateway.problems import Refusal
from gateway.routes.contacts import CONTACTS
from gateway.routes.events import EVENTS

CONFIG = Config(event_bytes_max=200, body_bytes_max=10_000)
KEYS = st.sampled_from(["contact", "name", "id", "time", "data", "fields", "tags", "consent", "timezone", "__proto__", "tag", "add", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["a", "\ud800", "2026-01-05T09:00:00Z", 2**64, -(2**70), 1e308]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(), inner, max_size=4),
    max_leaves=12,
)
ITEMS = (
    st.dictionaries(KEYS, VALUES, max_size=6) | st.fixed_dictionaries({"contact": st.text(), "name": st.text(), "data": st.dictionaries(KEYS, VALUES)}) | VALUES
)
SETTINGS = hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def read(body: bytes, kind: str) -> None:
    """Every item is a record or rejected, each index once; or the whole body is refused."""
    for item in (EVENTS, CONTACTS):
        try:
            batch = asyncio.run(read_items(body, kind, item, CONFIG))
        except Refusal as refusal:
            assert refusal.name in {"unreadable", "too-large"}  # noqa: PT017 -- either is fine, and so is none
            continue
        indexes = [*batch.indexes, *(one.index for one in batch.rejected)]
        assert sorted(indexes) == list(range(len(indexes)))
        assert sum(map(len, batch.batches.values())) == len(batch.records)


@SETTINGS
@given(st.lists(ITEMS, max_size=6))
def test_any_items(items):
    read(json.dumps(items).encode(), JSON)
    read("\n".join(json.dumps(item, ensure_ascii=False) for item in items).encode(errors="surrogatepass"), LINES)


@SETTINGS
@given(st.binary(max_size=200), st.sampled_from([JSON, LINES]))
def test_any_bytes(body, kind):
    read(body, kind)
    read(b'[{"contact":"a","name":"n"},' + body + b"]", kind)
    read(b'{"contact":"a","name":"n","data":{"x":' + body + b"}}", kind)


@SETTINGS
@given(st.text(alphabet='[]{}",:\\a1 ', max_size=60))
def test_any_brackets(text):
    read(text.encode(), JSON)
    read(f"[{text}]".encode(), JSON)


async def test_any_request(gateway):
    paths = [("POST", "/v1/events"), ("POST", "/v1/contacts"), ("PUT", "/v1/workspace"), ("PUT", "/v1/maps/m"), ("POST", "/v1/maps/m/contacts")]
    paths += [("POST", "/v1/tasks/t/complete"), ("POST", "/v1/dead-letters/replay"), ("POST", "/v1/unknown/resolve")]
    paths += [("POST", "/v1/stop-sending"), ("DELETE", "/v1/maps/m/contacts"), ("DELETE", "/v1/contacts/%ff%00"), ("GET", "/v1/contacts/%00")]
    deep = b"[" * 10_000 + b"]" * 10_000
    bodies = [b"", b"null", b"[]", b"{}", b"1", b'"x"', b"\xff\xfe{}", deep, b'{"a":' * 5_000 + b"1" + b"}" * 5_000, b"[" * 300_000, b'{"maps":[{"map":1}]}']
    bodies += [
        b'{"maps":7,"templates":[]}',
        b'{"script":[{}],"start":1}',
        b'{"ids":[1]}',
        b'{"since":1e400}',
        b'{"channel":{}}',
        b"a: [b",
        b"a: &x [*x]",
        gzip.compress(b"{}"),
    ]
    headers = [{}, {"Content-Type": "application/x-ndjson"}, {"Content-Type": "application/yaml"}, {"Content-Encoding": "gzip"}, {"Idempotency-Key": "k"}]
    for method, path in paths:
        for body in bodies:
            for more in headers:
                answer = await gateway.call(method, path, body, headers=more)
                assert answer.status < 500, (method, path, body[:40], more, await answer.text())


async def test_any_path_and_query(gateway):
    for path in [
        "/",
        "/v1",
        "/%00",
        "/v1/maps/%2e%2e",
        "/u/" + "x" * 5_000,
        "/u/%ff.%ff",
        "/v1/dead-letters?limit=-1",
        "/v1/dead-letters?since=%ff",
        "/v1/audit?limit=9e9",
    ]:
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"):
            answer = await gateway.call(method, path)
            assert answer.status < 500, (method, path)
            if answer.status >= 400 and not path.startswith("/u/"):
                assert answer.content_type == "application/problem+json"
