"""Tasks over HTTP: who has what to do, and clear answers to whoever completes one twice, wrongly, or in somebody's place."""

from __future__ import annotations

import pytest

from engine.codec import encode
from engine.core.effects import Row
from engine.core.records import Command
from engine.ports import Snapshot
from tests.gateway.conftest import NOW_MS

TEAM = {"eve": {"name": "Eve", "roles": ["sales"]}, "fay": {"name": "Fay"}}


def task(**changed):
    return encode({"contact": "ann", "subject": "Call", "to": "user:eve", "assignee": "eve", "due_ms": NOW_MS + 5_000, "outcomes": ["won", "lost"], **changed})


@pytest.fixture
async def tasks(gateway):
    await gateway.store.workspaces.publish(Snapshot(1, {"team": TEAM}), 0)
    rows = {"t1": task(), "t2": task(due_ms=NOW_MS), "t3": task(contact="bob", due_ms=0, to="role:sales", assignee="role:sales", outcomes=[])}
    gateway.commit("ann", rows=[Row("tasks", name, row) for name, row in rows.items()])
    gateway.records()
    return gateway


async def ids(gateway, query):
    answer = await gateway.call("GET", f"/v1/tasks{query}", scope="read")
    assert answer.status == 200
    return [one["id"] for one in (await answer.json())["tasks"]]


async def test_tasks_are_found_by_member_contact_and_lateness(tasks):
    assert await ids(tasks, "") == ["t2", "t1", "t3"]
    assert await ids(tasks, "?to=eve") == await ids(tasks, "?to=user:eve") == ["t2", "t1"]
    assert await ids(tasks, "?to=role:sales") == ["t3"]
    assert await ids(tasks, "?contact=bob") == ["t3"]
    assert await ids(tasks, "?overdue=true") == ["t2"]
    assert await ids(tasks, "?overdue=false&contact=ann") == ["t1"]
    assert (await tasks.call("GET", "/v1/tasks?overdue=perhaps")).status == 400


async def test_one_task_is_shown(tasks):
    found = await (await tasks.call("GET", "/v1/tasks/t2", scope="read")).json()
    assert (found["id"], found["subject"], found["overdue"]) == ("t2", "Call", True)
    assert (await tasks.call("GET", "/v1/tasks/t9", scope="read")).status == 404


async def test_completing_twice_is_told(tasks):
    assert (await tasks.call("POST", "/v1/tasks/t1/complete", {"outcome": "won"})).status == 202
    assert (await tasks.call("POST", "/v1/tasks/t1/complete", {"outcome": "won"})).status == 202
    again = await tasks.call("POST", "/v1/tasks/t1/complete", {"outcome": "lost"})
    assert (again.status, (await again.json())["detail"]) == (409, "This task was completed as won.")
    assert (await tasks.call("POST", "/v1/tasks/t1/assign", {"to": "user:fay"})).status == 409
    assert (await tasks.call("GET", "/v1/tasks/t1")).status == 409
    assert [record for record in tasks.records() if isinstance(record, Command)] == [Command("ann", "complete_task", "t1", "task:t1", {"outcome": "won"})]


async def test_a_task_without_outcomes_is_completed_once_too(tasks):
    assert (await tasks.call("POST", "/v1/tasks/t3/complete", {})).status == 202
    again = await tasks.call("POST", "/v1/tasks/t3/complete", {"outcome": "done"})
    assert (await again.json())["detail"] == "This task was completed."


@pytest.mark.parametrize(
    ("name", "by", "status"),
    [("t1", "eve", 202), ("t1", "fay", 409), ("t1", "gus", 422), ("t3", "eve", 202), ("t3", "fay", 409)],
)
async def test_a_task_is_completed_by_whom_it_was_assigned_to(tasks, name, by, status):
    outcome = {"outcome": "won"} if name == "t1" else {}
    answer = await tasks.call("POST", f"/v1/tasks/{name}/complete", {**outcome, "by": by})
    assert answer.status == status, await answer.text()


async def test_a_task_goes_to_somebody_else(tasks):
    assert (await tasks.call("POST", "/v1/tasks/t1/assign", {"to": "user:fay"})).status == 202
    (command,) = [record for record in tasks.records() if isinstance(record, Command)]
    assert (command.contact, command.verb, command.map, command.data["to"], command.data["row"]["subject"]) == ("ann", "assign_task", "t1", "user:fay", "Call")
    for to in ("user:gus", "role:cook", "fay", "role:"):
        assert (await tasks.call("POST", "/v1/tasks/t1/assign", {"to": to})).status == 422
    assert (await tasks.call("POST", "/v1/tasks/t1/assign", {"to": "owner"}, scope="read")).status == 403
    assert (await tasks.call("POST", "/v1/tasks/t9/assign", {"to": "owner"})).status == 404
