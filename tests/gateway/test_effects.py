"""Effects that need somebody, tasks, fulfillment lists, unsubscribe links."""

from __future__ import annotations

import csv
import io

import pytest
from aiohttp import ClientPayloadError

from actions.list_exports import Link, make_link
from actions.unsubscribe import make_token
from engine.codec import encode
from engine.core.effects import Effect, Row
from engine.core.errors import Unavailable
from engine.core.fulfillment import Export
from engine.core.records import Command, Update
from engine.ports import Settle


def effect(number, channel="email", map_id="welcome"):
    return Effect(f"{number:032x}", "ann", "send_email", channel, "b", "", map_id, 1, "thanks", 1, number, 0, 1, 0)


async def settled(gateway, state, numbers, channel="email"):
    """Decide effects of ann and settle them into a state."""
    gateway.commit("ann", effects=[effect(number, channel) for number in numbers])
    claims = await gateway.store.outbox.claim(channel, range(4), "pool", 100, 30_000, {}, [])
    await gateway.store.outbox.mark(claims, 30_000, once=True)
    await gateway.store.outbox.settle([Settle(claim=claim, state=state, reason="out of attempts") for claim in claims])


async def test_dead_letters_are_listed_replayed_and_dropped(gateway):
    await settled(gateway, "dead", [1, 2, 3])
    listed = (await (await gateway.call("GET", "/v1/dead-letters?channel=email&reason=out")).json())["dead_letters"]
    assert {one["effect"] for one in listed} == {effect(number).id for number in (1, 2, 3)}
    assert (await (await gateway.call("GET", "/v1/dead-letters?map=other")).json())["dead_letters"] == []
    one = await gateway.call("POST", "/v1/dead-letters/replay", {"ids": [effect(1).id]})
    rest = await gateway.call("POST", "/v1/dead-letters/drop", {"channel": "email"})
    assert (await one.json(), await rest.json()) == ({"moved": 1}, {"moved": 2})
    counters = await gateway.store.directory.counters()
    assert (counters["fx:email:pending"], counters["fx:email:dropped"], counters["fx:email:dead"]) == (1, 2, 0)
    acts = (await (await gateway.call("GET", "/v1/audit")).json())["acts"]
    assert [act["what"] for act in acts] == ["drop dead letters", "replay dead letters"]


async def test_unknown_effects_are_listed_and_resolved(gateway):
    await settled(gateway, "unknown", [1, 2])
    assert len((await (await gateway.call("GET", "/v1/unknown")).json())["unknown"]) == 2
    assert (await gateway.call("POST", "/v1/unknown/resolve", {"ids": [effect(1).id], "into": "maybe"})).status == 422
    answer = await gateway.call("POST", "/v1/unknown/resolve", {"ids": [effect(1).id], "into": "delivered"})
    assert await answer.json() == {"moved": 1}
    assert (await gateway.store.directory.counters())["fx:email:delivered"] == 1


async def test_sending_is_stopped_and_resumed(gateway):
    gateway.commit("ann", effects=[effect(1)])
    claim = lambda: gateway.store.outbox.claim("email", range(4), "pool", 10, 30_000, {}, [])  # noqa: E731
    for what, name in [({"channel": "email"}, "channel:email"), ({"map": "welcome"}, "map:welcome"), ({}, "*")]:
        assert (await (await gateway.call("POST", "/v1/stop-sending", what)).json())["stopped"] == [name]
        assert await claim() == []
        assert (await (await gateway.call("POST", "/v1/resume-sending", what)).json())["stopped"] == []
    assert len(await claim()) == 1
    assert (await gateway.call("POST", "/v1/stop-sending", {"channel": "email", "map": "welcome"})).status == 422
    assert (await gateway.call("POST", "/v1/stop-sending", {}, scope="read")).status == 403


async def test_tasks_are_listed_and_completed_with_an_outcome(gateway):
    task = {"contact": "ann", "subject": "Call", "to": "owner", "assignee": "eve", "due_ms": 5, "outcomes": ["won", "lost"]}
    gateway.commit("ann", rows=[Row("tasks", "t1", encode(task)), Row("tasks", "t2", encode({**task, "due_ms": 0, "outcomes": []}))])
    tasks = (await (await gateway.call("GET", "/v1/tasks?to=eve", scope="read")).json())["tasks"]
    assert [one["id"] for one in tasks] == ["t1", "t2"]
    assert (await (await gateway.call("GET", "/v1/tasks?to=fay")).json())["tasks"] == []
    assert (await gateway.call("POST", "/v1/tasks/t1/complete", {"outcome": "perhaps"})).status == 422
    assert (await gateway.call("POST", "/v1/tasks/none/complete", {"outcome": "won"})).status == 404
    assert (await gateway.call("POST", "/v1/tasks/t1/complete", {"outcome": "won"})).status == 202
    assert gateway.records() == [Command("ann", "complete_task", "t1", "task:t1", {"outcome": "won"})]


async def test_a_fulfillment_list_comes_as_json_or_csv_without_formulas(gateway):
    hostile = {"contact": "ann", "added_ms": 5, "fields": {"name": '=HYPERLINK("x")', "city": "Ghent, BE", "phone": "+32", "debt": -5, "+col": "\t=1"}}
    gateway.commit("ann", rows=[Row("fulfillment:kits", "ann", encode(hostile))])
    found = await (await gateway.call("GET", "/v1/fulfillment/kits", scope="read")).json()
    assert found["contacts"][0]["fields"]["city"] == "Ghent, BE"
    answer = await gateway.call("GET", "/v1/fulfillment/kits?format=csv")
    assert answer.content_type == "text/csv"
    rows = list(csv.DictReader(io.StringIO(await answer.text())))
    assert rows == [{"contact": "ann", "added_ms": "5", "city": "Ghent, BE", "debt": "-5", "name": '\'=HYPERLINK("x")', "phone": "'+32", "'+col": "'\t=1"}]
    assert (await gateway.call("GET", "/v1/fulfillment/none")).status == 404


async def test_a_get_of_an_unsubscribe_link_changes_nothing_and_a_post_acts(gateway):
    path = f"/u/{make_token('s3cret', 'ann', 'email')}"
    shown = await gateway.client.get(path)
    assert (shown.status, shown.content_type) == (200, "text/html")
    assert gateway.records() == []
    done = await gateway.client.post(path, data={"List-Unsubscribe": "One-Click"})
    assert done.status == 200
    assert gateway.records() == [Update("ann", consent={"email": "transactional_only"}, tighten=True)]


async def test_a_forged_unsubscribe_link_is_404(gateway):
    for token in (make_token("other", "ann", "email"), "x", "a.b", "é"):
        assert (await gateway.client.get(f"/u/{token}")).status == 404
        assert (await gateway.client.post(f"/u/{token}")).status == 404
    assert gateway.records() == []


async def test_a_link_to_an_export_expires(gateway):
    export = Export("kits", 0, 1_000)
    gateway.commit("ann", rows=[Row("fulfillment:kits", "ann", encode({"contact": "ann", "added_ms": 5, "fields": {"name": "Ann"}}))])
    await gateway.store.lists.freeze(export, 60_000)
    path = make_link("", "s3cret", Link(export, gateway.now_ms + 5_000, []))
    answer = await gateway.client.get(path)
    assert (answer.status, await answer.text()) == (200, "\ufeffcontact,added_ms,name\r\nann,5,Ann\r\n")
    assert answer.headers["Cache-Control"] == "private, no-store"
    later = make_link("", "s3cret", Link(Export("kits", 0, 999), gateway.now_ms + 5_000, []))
    assert (await gateway.client.get(later)).status == 410  # another export stands in its place
    assert (await gateway.client.get(path.replace("kits", "gifts"))).status == 404
    gateway.now_ms += 5_000
    assert (await gateway.client.get(path)).status == 410


async def test_an_export_that_breaks_off_is_no_whole_file(gateway):
    export = Export("kits", 0, 1_000)
    for contact in ("ann", "bob", "cyd", "dan"):
        gateway.commit(contact, rows=[Row("fulfillment:kits", contact, encode({"contact": contact, "added_ms": 5, "fields": {}}))])
    await gateway.store.lists.freeze(export, 60_000)
    rows, calls = gateway.store.lists.rows, []

    async def failing(*args):
        calls.append(args)
        if len(calls) > 1:
            raise Unavailable("storage went away")
        return await rows(*args)

    gateway.store.lists.rows = failing
    answer = await gateway.client.get(make_link("", "s3cret", Link(export, gateway.now_ms + 5_000, ["contact"])))
    assert answer.status == 200
    with pytest.raises(ClientPayloadError):
        await answer.read()
