"""Tasks for team members: list the open ones, complete one."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from engine.codec import decode_any
from engine.core.partitioning import partition_of
from engine.core.records import Command
from gateway.bodies import decoded
from gateway.problems import Refusal
from gateway.requests import TaskOutcome
from gateway.routing import Call, Route, json_answer

LISTED_MAX = 10_000


async def get_tasks(call: Call) -> web.Response:
    """Open tasks, those due first; `?to=eve` only of one member, `?contact=ID` only of one contact."""
    to, contact = call.query("to"), call.query("contact")
    rows = await call.services.directory.rows("tasks")
    tasks = [{"id": name, **decode_any(row)} for name, row in rows.items()]
    tasks = [task for task in tasks if (not to or to in (task.get("to"), task.get("assignee"))) and (not contact or task.get("contact") == contact)]
    tasks.sort(key=lambda task: (task.get("due_ms") or 2**63, task["id"]))
    return json_answer({"tasks": tasks[: call.number("limit", 1_000, LISTED_MAX)], "open": len(tasks)})


async def complete(call: Call) -> web.Response:
    """Complete a task with one of its outcomes."""
    services, name = call.services, call.named("id")
    services.admission.check_open()
    async with services.bodies.read(call.request) as body:
        outcome = decoded(body, TaskOutcome).outcome
    row = (await services.directory.rows("tasks")).get(name)
    if row is None:
        raise Refusal("not-found", "There is no open task of this id.")
    task: dict[str, Any] = decode_any(row)
    outcomes = task.get("outcomes") or []
    if outcomes and outcome not in outcomes:
        raise Refusal("invalid", f"`outcome` must be one of {', '.join(outcomes)}.")
    contact = task["contact"]
    # The id makes a second completion of the same task a duplicate.
    record = Command(contact, "complete_task", name, f"task:{name}", {"outcome": outcome})
    await services.admission.append_one(record, partition_of(contact, services.config.partitions))
    await call.audit("complete task", task=name, outcome=outcome)
    return json_answer({"accepted": 1}, 202)


ROUTES = [
    Route(method="GET", path="/v1/tasks", handler=get_tasks, scope="read", summary="Open tasks.", query=("to", "contact", "limit")),
    Route(
        method="POST",
        path="/v1/tasks/{id}/complete",
        handler=complete,
        scope="admin",
        summary="Complete a task with its outcome.",
        body=TaskOutcome,
        status=202,
    ),
]
