"""The workspace and its maps over HTTP."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from engine.codec import encode
from engine.core.contact import FORMAT, WAITING, Contact, Enrollment, Position
from engine.core.records import Command, UseSnapshot

WELCOME = {
    "map": "welcome",
    "title": "Welcome",
    "triggers": [{"event": "order.placed"}],
    "path": [{"id": "hold", "wait": "3d"}, {"id": "mark", "change_tags": {"add": ["vip"]}}, "exit"],
}
YAML = """
map: welcome
triggers:
  - event: order.placed
path:
  - {id: hold, wait: 3d}
  - chnge_tags: {add: [vip]}
"""
AS_YAML = {"Content-Type": "application/yaml"}


async def test_a_workspace_is_planned_published_and_read_back(gateway):
    assert (await gateway.call("GET", "/v1/workspace")).status == 404
    plan = await (await gateway.call("PUT", "/v1/workspace?plan", {"maps": [WELCOME]})).json()
    assert (plan["published"], plan["changes"][0]["name"]) == (False, "welcome")
    done = await (await gateway.call("PUT", "/v1/workspace", {"maps": [WELCOME]})).json()
    assert (done["published"], done["number"]) == (True, 1)
    read = await gateway.call("GET", "/v1/workspace", scope="read")
    assert (await read.json(), read.headers["ETag"]) == ({"maps": [WELCOME]}, '"1"')
    assert gateway.records() == [UseSnapshot(1)] * 4
    assert (await (await gateway.call("GET", "/v1/audit")).json())["acts"][0]["what"] == "publish workspace"
    assert (await gateway.call("PUT", "/v1/workspace", {"maps": []}, scope="ingest")).status == 403


async def test_a_map_is_published_beside_the_others(gateway):
    await gateway.call("PUT", "/v1/workspace", {"maps": [WELCOME]})
    other = {key: value for key, value in WELCOME.items() if key != "map"}
    assert (await gateway.call("PUT", "/v1/maps/other", other)).status == 200
    await gateway.call("PUT", "/v1/maps/other", {**other, "title": "Second"})
    maps = (await (await gateway.call("GET", "/v1/maps")).json())["maps"]
    assert [(one["map"], one["version"], one["title"]) for one in maps] == [("welcome", 1, "Welcome"), ("other", 2, "Second")]
    versions = await (await gateway.call("GET", "/v1/maps/other/versions")).json()
    assert versions["versions"] == [{"version": 2, "current": True}, {"version": 1, "current": False}]
    first = await (await gateway.call("GET", "/v1/maps/other?version=1")).json()
    assert (first["document"]["title"], first["current"]) == ("Welcome", False)
    assert (await gateway.call("GET", "/v1/maps/other?version=3")).status == 404
    assert (await gateway.call("PUT", "/v1/maps/third", {**other, "map": "fourth"})).status == 422


async def test_problems_of_a_yaml_map_name_their_line(gateway):
    answer = await gateway.call("PUT", "/v1/maps/welcome", YAML.encode(), headers=AS_YAML)
    body = await answer.json()
    assert (answer.status, body["type"]) == (422, "/problems/invalid")
    errors = [problem for problem in body["problems"] if not problem["warning"]]
    assert (errors[0]["line"], "change_tags" in str(errors)) == (7, True)
    fixed = await gateway.call("PUT", "/v1/maps/welcome", YAML.replace("chnge", "change").encode(), headers=AS_YAML)
    assert fixed.status == 200


async def test_contacts_are_put_in_and_out_and_paused(gateway):
    await gateway.call("PUT", "/v1/workspace", {"maps": [WELCOME]})
    calls = [("POST", "", "add_to"), ("DELETE", "", "remove_from"), ("POST", "/pause", "pause"), ("POST", "/unpause", "unpause")]
    for method, more, verb in calls:
        answer = await gateway.call(method, f"/v1/maps/welcome/contacts{more}", {"contact": f"{verb}-one"})
        assert (answer.status, await answer.json()) == (202, {"accepted": 1})
        many = await gateway.call(method, f"/v1/maps/welcome/contacts{more}", {"contacts": [f"{verb}-1", f"{verb}-2"]})
        assert await many.json() == {"accepted": 2}
    commands = {(record.contact, record.verb, record.map) for record in gateway.records() if isinstance(record, Command)}
    assert commands == {(f"{verb}-{who}", verb, "welcome") for _, _, verb in calls for who in ("one", "1", "2")}


@pytest.mark.parametrize("body", [{}, {"contacts": []}, {"contact": ""}, {"contacts": ["a", "b\n"]}, {"contact": 5}, {"where": {"tag": "vip"}}, {"who": "a"}])
async def test_whom_to_add_must_be_said(gateway, body):
    await gateway.call("PUT", "/v1/workspace", {"maps": [WELCOME]})
    assert (await gateway.call("POST", "/v1/maps/welcome/contacts", body)).status == 422
    assert not any(isinstance(record, Command) for record in gateway.records())


async def test_an_unknown_map_is_404(gateway):
    await gateway.call("PUT", "/v1/workspace", {"maps": [WELCOME]})
    for method, path in [("POST", "contacts"), ("DELETE", "contacts"), ("GET", "stats"), ("GET", "versions")]:
        assert (await gateway.call(method, f"/v1/maps/nothing/{path}", {"contact": "a"} if path == "contacts" else None)).status == 404


async def test_adding_with_an_idempotency_key_adds_once(gateway):
    await gateway.call("PUT", "/v1/workspace", {"maps": [WELCOME]})
    for _ in range(2):
        answer = await gateway.call("POST", "/v1/maps/welcome/contacts", {"contact": "ann"}, headers={"Idempotency-Key": "k"})
        assert await answer.json() == {"accepted": 1}
    assert len([record for record in gateway.records() if isinstance(record, Command)]) == 1


async def test_stats_count_and_check(gateway):
    await gateway.call("PUT", "/v1/workspace", {"maps": [WELCOME]})
    counters = {
        "map:welcome:entered": 5,
        "map:welcome:active": 3,
        "map:welcome:exited": 2,
        "el:welcome:hold:in": 5,
        "el:welcome:hold:out": 2,
        "map:welcome:ignored:active": 4,
        "map:welcome:suppressed": 1,
    }
    gateway.commit("ann", counters=counters)
    body = await (await gateway.call("GET", "/v1/maps/welcome/stats", scope="read")).json()
    assert body["elements"] == [{"element": "hold", "entered": 5, "waiting": 3}]
    assert (body["conservation"]["entered"], body["conservation"]["drift"], body["conservation"]["holds"]) == (5, 0, True)
    assert body["ignored"] == {"active": 4}
    assert body["suppressed"] == 1


async def test_a_contact_is_shown_where_it_stands(gateway):
    await gateway.call("PUT", "/v1/workspace", {"maps": [WELCOME]})
    enrollment = Enrollment(1, "welcome", 1, [Position(1, 0, WAITING, due=9, since=5)], entered=5)
    gateway.commit("ann", contacts={"ann": encode(Contact(FORMAT, "ann", enrollments=[enrollment]))})
    body = await (await gateway.call("GET", "/v1/contacts/ann")).json()
    positions = [{"element": "hold", "state": "waiting", "since_ms": 5, "due_ms": 9}]
    assert body["enrollments"] == [{"map": "welcome", "version": 1, "status": "active", "entered_ms": 5, "positions": positions}]


async def test_a_script_is_simulated(gateway):
    script = {
        "maps": [WELCOME],
        "start": "2026-01-05T09:00:00Z",
        "until": "10d",
        "script": [{"at": "0s", "contact": "ann", "event": "order.placed", "data": {}}],
    }
    answer = await gateway.call("POST", "/v1/simulate", script, scope="read")
    assert (answer.status, answer.content_type) == (200, "application/x-ndjson")
    lines = (await answer.text()).splitlines()
    assert '"contact"' in lines[-1]
    assert '"vip"' in lines[-1]


async def test_a_script_on_a_server_reads_no_folder(gateway):
    answer = await gateway.call("POST", "/v1/simulate", {"workspace": "/etc", "start": "2026-01-05T09:00:00Z", "until": "1d", "script": []})
    assert answer.status == 422


async def test_a_script_without_documents_runs_on_what_is_published(gateway):
    await gateway.call("PUT", "/v1/workspace", {"maps": [WELCOME]})
    script = {"start": "2026-01-05T09:00:00Z", "until": "10d", "script": [{"at": "0s", "contact": "ann", "event": "order.placed"}]}
    answer = await gateway.call("POST", "/v1/simulate", script)
    assert '"vip"' in (await answer.text()).splitlines()[-1]


async def test_a_provider_that_is_not_known_is_a_problem(gateway):
    answer = await gateway.call("PUT", "/v1/workspace", {"maps": [WELCOME], "providers": {"email": {"provider": "pigeon"}}})
    assert answer.status == 422
    assert "pigeon" in str((await answer.json())["problems"])


@pytest.mark.parametrize("limits", [{"rates": {"email": "fast"}}, {"delivery": {"email": "twice"}}, {"rates": [1]}, []])
async def test_limits_that_no_pool_could_read_are_a_problem(gateway, limits):
    answer = await gateway.call("PUT", "/v1/workspace", {"maps": [WELCOME], "limits": limits})
    assert answer.status == 422
    assert "limits" in str((await answer.json())["problems"])


async def test_always_being_slower_is_a_conflict(gateway):
    async def never(snapshot, expected):
        return False

    gateway.services.workspaces.publish = never
    assert (await gateway.call("PUT", "/v1/workspace", {"maps": [WELCOME]})).status == 409


async def test_a_script_that_never_ends_is_given_up(gateway):
    gateway.services.config = msgspec.structs.replace(gateway.config, simulation_ms_max=3_000)
    path = [{"id": "again", "wait": "1s"}, {"go_to": "again"}]
    script = {
        "maps": [{**WELCOME, "path": path}],
        "start": "2026-01-05T09:00:00Z",
        "until": "36500d",
        "script": [{"at": "0s", "contact": "ann", "event": "order.placed"}],
    }
    first = asyncio.create_task(gateway.call("POST", "/v1/simulate", script))
    while not gateway.services.simulating.locked():  # noqa: ASYNC110 -- nobody tells when a lock is taken
        await asyncio.sleep(0.001)
    assert (await gateway.call("POST", "/v1/simulate", script)).status == 429
    assert (await gateway.client.get("/livez")).status == 200
    answer = await first
    assert (answer.status, "more time" in await answer.text()) == (422, True)


@pytest.mark.parametrize("body", [b"7", b"a: [b", b"[1]", b"\xff", b'{"script":[{}],"start":1}', b"[" * 50_000])
async def test_a_script_that_is_none_is_told(gateway, body):
    for kind in ("application/json", "application/yaml"):
        assert 400 <= (await gateway.call("POST", "/v1/simulate", body, headers={"Content-Type": kind})).status < 500
