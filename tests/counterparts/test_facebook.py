"""Audiences beside Meta's official SDK, which normalises, hashes and calls by itself; and round the ring at a strict server of our own.

No counterpart of the Graph API can be installed, so that server (tests/providers/graph_server.py) follows Meta's documentation by the letter.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from actions.audience import keys_of
from actions.messages import AudienceChange
from actions.providers.provider import DELIVERED, Dispatch, House, Result
from actions.providers.registry import make_provider
from engine.config import Config
from engine.core.effects import Effect
from tests.counterparts.needs import needs, path_of
from tests.counterparts.proofs import proves
from tests.end_to_end.ring import running, until
from tests.providers.graph_server import GraphServer
from tests.providers.http_server import HttpServer

TOKEN, APP_SECRET, AUDIENCE = "EAAtoken", "app-s3cret", "23847777777777777"
SCHEMA = ["EXTERN_ID", "EMAIL", "PHONE", "FN", "LN", "CT", "ST", "ZIP", "COUNTRY"]
PEOPLE: dict[str, dict[str, Any]] = {
    "c-1": {"email": " Ann@Example.COM ", "phone": "+1 (202) 555-0123", "first_name": "Mary-Ann", "last_name": "O'Brien", "city": "New York", "state": "NY"},
    "c-2": {"email": "bob@example.com", "phone": "+442079460958", "first_name": "Bob", "last_name": "de la Cruz", "city": "St. John's", "state": "CA"},
}
PLACES = {"c-1": {"zip": "94107-1702", "country": "US"}, "c-2": {"zip": "94035", "country": "us"}}


async def official(host: str) -> Any:
    """What Meta's SDK makes of the same people, and of the token."""
    rows = [
        [contact, *(fields[name] for name in ("email", "phone", "first_name", "last_name", "city", "state")), *PLACES[contact].values()]
        for contact, fields in PEOPLE.items()
    ]
    asked = {"host": host, "token": TOKEN, "app_secret": APP_SECRET, "audience": AUDIENCE, "schema": SCHEMA, "rows": rows}
    client = [str(path_of("counterparts-python")), str(Path(__file__).with_name("facebook_client.py"))]
    done = await asyncio.to_thread(subprocess.run, client, input=json.dumps(asked), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def ours(url: str, action: str) -> None:
    """The same people by our provider, in one request."""
    house = House(config=Config(), clock=lambda: 0)
    provider = make_provider("facebook", {"base_url": url, "token": TOKEN, "app_secret": APP_SECRET, "gather_ms": 5}, house, {})
    dispatches = []
    for contact, fields in PEOPLE.items():
        effect = Effect(f"{contact}-{action}", contact, "update_facebook_audience", "facebook", "t", AUDIENCE, "m", 1, "e", 1, 1, 0, 1, int(action == "remove"))
        keys = keys_of(contact, {**fields, **PLACES[contact]})
        dispatches.append(Dispatch(effect, AudienceChange(audience=AUDIENCE, action=action, keys=keys)))
    results: list[Result] = []
    await provider.send(dispatches, lambda _, result: results.append(result))
    await provider.close()
    assert {result.state for result in results} == {DELIVERED}


@proves(
    "update_facebook_audience",
    "Meta's official SDK `facebook_business`",
    "the same hashes, payload, proof, methods and path for the same people",
)
@needs("counterparts-python", "facebook-business")
async def test_the_official_sdk_makes_the_same_of_the_same_people() -> None:
    async with HttpServer({"session_id": "1", "num_received": 2, "num_invalid_entries": 0}) as mine, HttpServer({"num_received": 2}) as theirs:
        for action in ("add", "remove"):
            await ours(mine.url, action)
        found = await official(theirs.url)
    bodies = [json.loads(request["body"]) for request in mine.requests]
    assert [body["payload"]["data"] for body in bodies] == [found["data"]] * 2
    assert bodies[0]["appsecret_proof"] == found["proof"]
    assert [request["method"] for request in mine.requests] == [request["method"] for request in theirs.requests] == ["POST", "DELETE"]
    posted = parse_qs(theirs.requests[0]["body"].decode())
    payload = json.loads(posted["payload"][0])
    assert bodies[0]["payload"] == payload
    assert {path.rpartition("/v")[2].partition("/")[2] for path in paths(mine) + paths(theirs)} == {f"{AUDIENCE}/users"}


def paths(server: HttpServer) -> list[str]:
    return [urlsplit(request["path"]).path for request in server.requests]


@proves(
    "update_facebook_audience",
    "a strict server of our own after Meta's documentation (nothing else can be installed)",
    "a thousand people join in few requests, some leave again in order, whoever is flagged, erased or without any key does not stay",
)
async def test_audiences_round_the_ring() -> None:
    async with running() as ring, GraphServer(TOKEN, APP_SECRET) as server:
        ring.start_shard()
        block = {"base_url": server.url, "token": TOKEN, "app_secret": APP_SECRET, "audiences": {"buyers": AUDIENCE}, "gather_ms": 500}
        add, remove = ({"update_facebook_audience": {"audience": "buyers", "action": action}} for action in ("add", "remove"))
        path = [{"id": "in", **add}, {"id": "back", "wait": {"event": "order.refunded", "timeout": "30d", "then": [{"id": "out", **remove}]}}]
        maps = [{"map": "buyers", "triggers": [{"event": "order.placed"}], "path": path}]
        await ring.publish({"providers": {**ring.providers, "facebook": block}, "maps": maps})
        people = [f"c{number}" for number in range(1_000)]
        server.invalid = {"c7"}
        contacts = [{"contact": contact, "fields": {"email": f"{contact}@example.com"} if contact != "c8" else {"first_name": "C"}} for contact in people]
        await ring.accepted("/v1/contacts", contacts)
        await ring.accepted("/v1/events", [{"contact": contact, "name": "order.placed"} for contact in people])
        await ring.accepted("/v1/events", [{"contact": contact, "name": "order.refunded"} for contact in people[:100]])
        await ring.read_on()
        assert (await ring.call("DELETE", "/v1/contacts/c999"))[0] < 300
        await ring.start_pools("facebook")
        await ring.carried("facebook")
        await until(lambda: server.log != [], "something was sent")
        assert server.wrong == []
        assert set(server.members[AUDIENCE]) == set(people[100:999])
        assert len(server.sizes) <= 6, server.sizes
        found = await ring.effects("facebook")
        assert found["delivered"] + found["rejected"] == 999 + 99, found  # c8 has no key to be added by, c999 was erased
        assert found["rejected"] == 2, "c7 was flagged when it joined and when it left"
        await ring.conserved()
