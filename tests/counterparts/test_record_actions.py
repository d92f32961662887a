"""The actions whose counterpart is the contact's own record: driven through the public API and the whole ring, read back from what Valkey holds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.counterparts.needs import needs
from tests.counterparts.postfix import Sink, smtp_sink
from tests.counterparts.proofs import proves
from tests.end_to_end.ring import Ring, running, until

RECORD = "the contact's record in Valkey"


def on(event: str, *path: Any, **more: Any) -> dict[str, Any]:
    """A map that an event of its own name enters, and that rests at the end."""
    return {"map": event, "triggers": [{"event": event}], "path": [*path, {"id": "done", "end": True}], **more}


CHILD = {
    "map": "child",
    "path": [{"id": "hold", "wait": {"event": "let-go", "timeout": "30d"}}, {"change_tags": {"add": ["child-done"]}}, {"id": "done", "end": True}],
}
TIPS = {
    "sequence": "tips",
    "unsubscribe_after_last_step": True,
    "steps": [{"change_tags": {"add": ["tip-1"]}}, {"after": "30d", "id": "late", "change_tags": {"add": ["tip-2"]}}],
}
SHORT = {"sequence": "short", "unsubscribe_after_last_step": True, "steps": [{"change_tags": {"add": ["one"]}}, {"change_tags": {"add": ["two"]}}]}


@asynccontextmanager
async def published(*maps: dict[str, Any], **documents: Any) -> AsyncIterator[Ring]:
    """A ring that runs these maps."""
    async with running() as ring:
        ring.start_shard()
        await ring.publish({"maps": list(maps), **documents})
        yield ring
        await ring.conserved()


async def event(ring: Ring, name: str, contact: str = "ann", **data: Any) -> dict[str, Any]:
    """Send an event; the contact once everything was read."""
    await ring.accepted("/v1/events", {"contact": contact, "name": name, "data": data})
    await ring.read_on()
    return await ring.contact(contact)


def places(shown: dict[str, Any]) -> dict[str, list[str]]:
    """Where the contact stands, by map; a map that is over is not there."""
    return {one["map"]: [position["element"] for position in one["positions"]] for one in shown["enrollments"]}


async def arrived(ring: Ring, contact: str, where: dict[str, list[str]]) -> dict[str, Any]:
    """The contact once it stands there."""

    async def there() -> bool:
        return places(await ring.contact(contact)) == where

    await until(there, f"{contact} stands at {where}")
    return await ring.contact(contact)


def statuses(shown: dict[str, Any]) -> dict[str, str]:
    return {one["map"]: one["status"] for one in shown["enrollments"]}


@proves("change_tags", RECORD, "one tag is gone and one is there, each has fired its trigger once, and doing it again fires nothing")
async def test_change_tags() -> None:
    count = {"reentry": "parallel"}
    heard = [
        {"map": "came", "triggers": [{"tag_added": "vip"}], "path": [{"update_contact": {"increase": {"came": 1}}}, "exit"], **count},
        {"map": "went", "triggers": [{"tag_removed": "lead"}], "path": [{"update_contact": {"increase": {"went": 1}}}, "exit"], **count},
    ]
    async with published(
        on("go", {"change_tags": {"add": ["vip", "{{ event.colour }}"], "remove": ["lead", "never-had"]}}, reentry="after_end"), *heard
    ) as ring:
        await ring.accepted("/v1/contacts", {"contact": "ann", "tags": {"add": ["lead", "kept"]}})
        shown = await event(ring, "go", colour="green")
        assert sorted(shown["tags"]) == ["green", "kept", "vip"]
        again = await event(ring, "go", colour="green")
    assert sorted(again["tags"]) == ["green", "kept", "vip"]
    assert again["fields"] == {"came": 1, "went": 1}


@proves("update_contact", RECORD, "fields are set with their types from the event, cleared and increased, and the change fires its trigger")
async def test_update_contact() -> None:
    change = {
        "set": {"plan": {"value_of": "event.plan"}, "note": "{{ first_name }}: {{ event.plan }}"},
        "clear": ["trial"],
        "increase": {"ltv": {"value_of": "event.total"}},
    }
    heard = {"map": "heard", "triggers": [{"field_changed": "plan", "to": 3}], "path": [{"change_tags": {"add": ["on-3"]}}, "exit"]}
    async with published(on("go", {"update_contact": change}), heard) as ring:
        await ring.accepted("/v1/contacts", {"contact": "ann", "fields": {"first_name": "Ann", "trial": True, "ltv": 1.5}})
        shown = await event(ring, "go", plan=3, total=40)
    assert shown["fields"] == {"first_name": "Ann", "plan": 3, "note": "Ann: 3", "ltv": 41.5}
    assert shown["tags"] == ["on-3"]


@proves("add_purchase", RECORD, "the history holds quantity and total of both purchases, `purchased` fires, and a predicate finds the product")
async def test_add_purchase() -> None:
    buys = on("go", {"add_purchase": {"product": "course", "quantity": {"value_of": "event.pieces"}}}, {"add_purchase": {"product": "course", "price": 10}})
    heard = {"map": "heard", "reentry": "parallel", "triggers": [{"purchased": "course"}], "path": [{"update_contact": {"increase": {"heard": 1}}}, "exit"]}
    asks = on("ask", {"if": {"purchased": "course"}, "then": [{"change_tags": {"add": ["owner-of-course"]}}]})
    async with published(buys, heard, asks, products={"course": {"name": "Course", "price": 99}}) as ring:
        shown = await event(ring, "go", pieces=2)
        assert {name: (one["quantity"], one["total"]) for name, one in shown["purchases"].items()} == {"course": (3, 208)}
        assert shown["fields"] == {"heard": 2}
        assert (await event(ring, "ask"))["tags"] == ["owner-of-course"]


@proves("add_to_automation", RECORD, "the position holds until the child has come to its end, then goes on; both enrollments are where they must be")
async def test_add_to_automation() -> None:
    async with published(on("go", {"id": "call", "add_to_automation": {"map": "child"}}, {"change_tags": {"add": ["back"]}}), CHILD) as ring:
        held = await event(ring, "go")
        assert places(held) == {"go": ["call"], "child": ["hold"]}
        assert held["tags"] == []
        shown = await event(ring, "let-go")
    assert places(shown) == {"go": ["done"], "child": ["done"]}
    assert shown["tags"] == ["child-done", "back"]


@proves("remove_from_automation", RECORD, "the enrollment is gone, its wait hears nothing any more, `removed` fires once")
async def test_remove_from_automation() -> None:
    heard = {"map": "heard", "triggers": [{"removed": {"map": "child"}}], "path": [{"update_contact": {"increase": {"removed": 1}}}, "exit"]}
    async with published(on("out", {"remove_from_automation": {"map": "child"}}), CHILD, heard) as ring:
        assert (await ring.call("POST", "/v1/maps/child/contacts", {"contacts": ["ann"]}))[0] == 202
        await ring.read_on()
        assert places(await ring.contact("ann")) == {"child": ["hold"]}
        assert places(await event(ring, "out")) == {"out": ["done"]}
        shown = await event(ring, "let-go")
    assert (shown["tags"], shown["fields"]) == ([], {"removed": 1})


@proves("pause_automation", RECORD, "the contact stays on its wait, an event that the wait would take is kept, and the status says paused")
@proves("unpause_automation", RECORD, "the kept event is applied, and the contact goes on to the end")
async def test_pause_and_unpause_automation() -> None:
    maps = [on("stop", {"pause_automation": {"map": "child"}}), on("start", {"unpause_automation": {"map": "child"}}), CHILD]
    async with published(*maps) as ring:
        await ring.call("POST", "/v1/maps/child/contacts", {"contacts": ["ann"]})
        assert statuses(await event(ring, "stop"))["child"] == "paused"
        kept = await event(ring, "let-go")
        assert (places(kept)["child"], statuses(kept)["child"], kept["tags"]) == (["hold"], "paused", [])
        shown = await event(ring, "start")
    assert (places(shown)["child"], statuses(shown)["child"], shown["tags"]) == (["done"], "resting", ["child-done"])


@proves("add_to_sequence", RECORD, "all steps of the sequence are done in their order before the position goes on")
async def test_add_to_sequence() -> None:
    async with published(on("go", {"add_to_sequence": {"sequence": "short"}}, {"change_tags": {"add": ["three"]}}), sequences=[SHORT]) as ring:
        shown = await event(ring, "go")
    assert shown["tags"] == ["one", "two", "three"]
    assert places(shown) == {"go": ["done"]}


@proves("remove_from_sequence", RECORD, "the enrollment in the sequence is gone before its next step, and the position that held goes on")
async def test_remove_from_sequence() -> None:
    maps = [
        on("go", {"id": "call", "add_to_sequence": {"sequence": "tips"}}, {"change_tags": {"add": ["back"]}}),
        on("out", {"remove_from_sequence": {"sequence": "tips"}}),
    ]
    async with published(*maps, sequences=[TIPS]) as ring:
        held = await event(ring, "go")
        assert (held["tags"], places(held)["go"]) == (["tip-1"], ["call"])
        shown = await event(ring, "out")
    assert shown["tags"] == ["tip-1", "back"]
    assert places(shown) == {"go": ["done"], "out": ["done"]}


@proves("pause_sequence", RECORD, "the status in the sequence says paused, and the contact stays before its next step")
@proves("unpause_sequence", RECORD, "the sequence is active again, at the same step")
async def test_pause_and_unpause_sequence() -> None:
    maps = [
        on("go", {"id": "call", "add_to_sequence": {"sequence": "tips"}}),
        on("stop", {"pause_sequence": {"sequence": "tips"}}),
        on("start", {"unpause_sequence": {"sequence": "tips"}}),
    ]
    async with published(*maps, sequences=[TIPS]) as ring:
        before = await event(ring, "go")
        [name] = set(places(before)) - {"go"}
        paused = await event(ring, "stop")
        assert statuses(paused)[name] == "paused"
        assert places(paused)[name] == places(before)[name]
        shown = await event(ring, "start")
    assert (statuses(shown)[name], places(shown)[name]) == ("active", places(before)[name])


@proves(
    "assign_task",
    "the task list of the API",
    "the task is listed with its due date for its owner, an outcome that it does not have is refused, the one chosen runs its actions",
)
async def test_assign_task() -> None:
    task = {
        "subject": "Call {{ first_name }}",
        "to": "owner",
        "due": "2d",
        "outcomes": {"won": [{"change_tags": {"add": ["won"]}}], "lost": [{"change_tags": {"add": ["lost"]}}]},
    }
    heard = {"map": "heard", "triggers": [{"task_completed": "won"}], "path": [{"change_tags": {"add": ["heard"]}}, "exit"]}
    async with published(on("go", {"id": "call", "assign_task": task}), heard, team={"eve": {"name": "Eve"}}) as ring:
        await ring.accepted("/v1/contacts", {"contact": "ann", "fields": {"first_name": "Ann", "owner": "eve"}})
        shown = await event(ring, "go")
        [listed] = (await ring.call("GET", "/v1/tasks?to=eve"))[1]["tasks"]
        assert (listed["subject"], listed["contact"], listed["outcomes"]) == ("Call Ann", "ann", ["won", "lost"])
        [own] = shown["tasks"]
        assert listed["id"] == own["id"]
        assert listed["due_ms"] == own["due_ms"] == own["assigned_ms"] + 2 * 86_400_000
        assert (await ring.call("POST", f"/v1/tasks/{own['id']}/complete", {"outcome": "maybe"}))[0] == 422
        assert (await ring.call("POST", f"/v1/tasks/{own['id']}/complete", {"outcome": "won"}))[0] == 202
        await ring.read_on()
        done = await ring.contact("ann")
        assert (done["tags"], done["tasks"]) == (["won", "heard"], [])
        assert (await ring.call("GET", "/v1/tasks"))[1]["tasks"] == []


@needs("smtp-sink")
@proves("assign_task", "Postfix's smtp-sink", "everybody who has the role is told by mail, and nobody else")
async def test_a_task_is_told_to_those_it_is_for() -> None:
    team = {
        name: {"name": name, "email": f"{name}@example.com", "roles": roles} for name, roles in (("eve", ["sales"]), ("fay", ["sales", "care"]), ("gus", []))
    }
    with smtp_sink() as sink:
        async with published(on("go", {"assign_task": {"subject": "Call", "to": "role:sales", "notify": ["email"]}}), team=team, providers=by(sink)) as ring:
            await ring.start_pools("email")
            await event(ring, "go")
            await ring.carried("email")
        assert [mail.recipient for mail in sink.mails] == ["eve@example.com", "fay@example.com"]


@proves("add_to_lead_router", RECORD, "twelve contacts of four partitions get their owners exactly in turn")
async def test_add_to_lead_router() -> None:
    routers = {"inbound": {"kind": "round_robin", "members": ["eve", "fay", "gus"]}}
    team = {name: {"name": name} for name in ("eve", "fay", "gus")}
    async with published(
        on("go", {"add_to_lead_router": {"router": "inbound"}}, {"change_tags": {"add": ["{{ owner.name }}"]}}), team=team, routers=routers
    ) as ring:
        owners = []
        for number in range(12):
            await event(ring, "go", f"c{number}")
            shown = await arrived(ring, f"c{number}", {"go": ["done"]})  # the router's answer is a record of its own
            assert shown["tags"] == [shown["fields"]["owner"]]
            owners.append(shown["fields"]["owner"])
    assert owners == ["eve", "fay", "gus"] * 4


@proves("send_to_fulfillment", "the list of the API", "the contact is on the list once, in JSON and in CSV, however often it is added")
@proves("remove_from_fulfillment", "the list of the API", "the contact is off the list, and the others stay")
async def test_fulfillment_lists() -> None:
    maps = [on("go", {"send_to_fulfillment": {"list": "kits"}}), on("out", {"remove_from_fulfillment": {"list": "kits"}})]
    lists = {"kits": {"to": "ship@example.com", "every": "weekly", "at": "17:00"}}
    async with published(*maps, fulfillment=lists) as ring:
        await ring.accepted("/v1/contacts", [{"contact": name, "fields": {"first_name": name.title()}} for name in ("ann", "bob")])
        for name in ("ann", "bob", "ann"):
            await event(ring, "go", name)
        listed = (await ring.call("GET", "/v1/fulfillment/kits"))[1]
        assert sorted(row["contact"] for row in listed["contacts"]) == ["ann", "bob"]
        text = (await ring.call("GET", "/v1/fulfillment/kits", Accept="text/csv"))[1]
        assert sum("ann" in line for line in text.splitlines()) == 1
        await event(ring, "out", "ann")
        assert [row["contact"] for row in (await ring.call("GET", "/v1/fulfillment/kits"))[1]["contacts"]] == ["bob"]


def by(sink: Sink) -> dict[str, Any]:
    """providers.yaml with email by way of a sink."""
    return {"email": {"provider": "smtp", "host": "127.0.0.1", "port": sink.port, "from": "Shop <shop@example.com>"}}
