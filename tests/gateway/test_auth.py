"""Keys: who may do what, and what becomes of bad ones."""

from __future__ import annotations

from base64 import b64encode

import pytest

from engine.core.errors import Unavailable
from gateway.auth import digest_of, ensure_admin_key, key_of, make_key

EVENT = {"contact": "a", "name": "n"}


@pytest.fixture
def settings():
    return {"bad_keys_per_minute_max": 5}


async def test_no_key_and_a_bad_key_are_401(gateway):
    for header in ({}, {"Authorization": "Bearer nope"}, {"Authorization": "Basic %%%"}, {"Authorization": "Bearer"}, {"Authorization": "Digest x"}):
        answer = await gateway.client.post("/v1/events", json=EVENT, headers=header)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        gateway.services.keys.bad.clear()


async def test_the_key_may_be_the_basic_user_name(gateway):
    basic = b64encode(f"{gateway.keys['ingest']}:".encode()).decode()
    assert (await gateway.client.post("/v1/events", json=EVENT, headers={"Authorization": f"Basic {basic}"})).status == 202


@pytest.mark.parametrize(("scope", "statuses"), [("ingest", (202, 403, 403)), ("read", (403, 200, 403)), ("admin", (202, 200, 200))])
async def test_scopes(gateway, scope, statuses):
    answers = [
        await gateway.call("POST", "/v1/events", EVENT, scope=scope),
        await gateway.call("GET", "/v1/maps", scope=scope),
        await gateway.call("GET", "/v1/audit", scope=scope),
    ]
    assert tuple(answer.status for answer in answers) == statuses


async def test_a_new_key_works_at_once_and_a_revoked_one_ends(gateway):
    now = [0.0]
    gateway.services.keys.monotonic = lambda: now[0]
    gateway.services.keys.read_at = -10.0
    assert (await gateway.call("GET", "/v1/maps")).status == 200
    now[0] = 1.0
    gateway.keys["new"] = await make_key(gateway.store.directory, "new", ["read"], 0)
    assert (await gateway.call("GET", "/v1/maps", scope="new")).status == 200
    await gateway.store.directory.put_key(digest_of(gateway.keys["new"]), None)
    now[0] = 4.0
    assert (await gateway.call("GET", "/v1/maps", scope="new")).status == 401


async def test_only_the_digest_of_a_key_is_stored(gateway):
    assert gateway.keys["admin"] not in str(await gateway.store.directory.keys())


async def test_guessing_is_slowed_down_but_a_good_neighbour_goes_on(gateway):
    assert (await gateway.call("GET", "/v1/maps", scope="read")).status == 200
    statuses = [(await gateway.client.get("/v1/maps", headers={"Authorization": f"Bearer guess{number}"})).status for number in range(8)]
    assert statuses == [401] * 5 + [429] * 3
    assert (await gateway.call("GET", "/v1/maps", scope="read")).status == 200
    late = await gateway.call("GET", "/v1/maps", scope="admin")  # a right guess is not told either
    assert (late.status, int(late.headers["Retry-After"]) > 0) == (429, True)


async def test_storage_away_is_503_and_not_401(gateway):
    async def away():
        raise Unavailable

    gateway.services.keys.directory.keys = away
    assert (await gateway.call("GET", "/v1/maps")).status == 503


async def test_the_first_start_makes_one_admin_key(gateway):
    directory = gateway.store.directory
    for digest in list(await directory.keys()):
        await directory.put_key(digest, None)
    made = await ensure_admin_key(directory, "")
    assert made
    assert await ensure_admin_key(directory, "") is None
    assert (await directory.keys())[digest_of(made)]["scopes"] == ["admin"]


async def test_a_configured_key_replaces_the_one_before(gateway):
    directory = gateway.store.directory
    await ensure_admin_key(directory, "first")
    assert await ensure_admin_key(directory, "second") is None
    keys = await directory.keys()
    assert digest_of("second") in keys
    assert digest_of("first") not in keys


@pytest.mark.parametrize("header", ["", "Bearer", "Basic", "Basic ÿ", "Basic /w==", "bearer  x ", "Basic eDo="])
def test_any_header_gives_a_key_or_none(header):
    assert key_of(header) in {"", "x"}
