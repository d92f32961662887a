"""Tasks for team members: list the open ones, look at one, complete one, give one to somebody else."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from engine.codec import decode_any
from engine.core.partitioning import partition_of
from engine.core.records import Command
from engine.core.tasks import TABLE, members_of, roles_of
from gateway.bodies import decoded
from gateway.problems import Refusal
from gateway.requests import TaskAssignment, TaskOutcome
from gateway.routing import Call, Route, json_answer

LISTED_MAX = 10_000
_YES = {"": None, "true": True, "1": True, "false": False, "0": False}


async def get_tasks(call: Call) -> web.Response:
    """Open tasks, those due first. `?to=eve` (or `user:eve`, `role:sales`) only of one member, `?contact=ID` only of one contact, `?overdue=true`
    only what should be done by now, `?overdue=false` only the others."""
    to, contact, overdue = call.query("to"), call.query("contact"), call.query("overdue")
    if overdue not in _YES:
        raise Refusal("invalid-request", "`overdue` must be true or false.")
    wanted = _YES[overdue]
    tasks = [_shown(call, name, row) for name, row in (await call.services.directory.rows(TABLE)).items()]
    tasks = [
        task
        for task in tasks
        if (not to or to.removeprefix("user:") in (task.get("to"), task.get("assignee")))
        and (not contact or task.get("contact") == contact)
        and wanted in (None, task["overdue"])
    ]
    tasks.sort(key=lambda task: (task.get("due_ms") or 2**63, task["id"]))
    return json_answer({"tasks": tasks[: call.number("limit", 1_000, LISTED_MAX)], "open": len(tasks)})


async def get_task(call: Call) -> web.Response:
    """One open task."""
    name, row = await _open(call)
    return json_answer(_shown(call, name, row))


async def complete(call: Call) -> web.Response:
    """Complete a task with one of its outcomes."""
    services, name = call.services, call.named("id")
    services.admission.check_open()
    async with services.bodies.read(call.request) as body:
        said = decoded(body, TaskOutcome)
    before = await _completed(call, name)
    if before == said.outcome:
        return json_answer({"accepted": 1}, 202)  # the same again, from somebody who did not get the first answer
    _, row = await _open(call)
    task: dict[str, Any] = decode_any(row)
    outcomes = task.get("outcomes") or []
    if outcomes and said.outcome not in outcomes:
        raise Refusal("invalid", f"`outcome` must be one of {', '.join(outcomes)}.")
    if said.by:
        await _check_by(call, task, said.by)
    contact = task["contact"]
    # The id makes a second completion of the same task a duplicate.
    data = {"outcome": said.outcome, **({"by": said.by} if said.by else {})}
    record = Command(contact, "complete_task", name, f"task:{name}", data)
    await services.admission.append_one(record, partition_of(contact, services.config.partitions))
    await services.directory.once(_key(name), said.outcome.encode(), services.config.idempotency_ms)
    await call.audit("complete task", task=name, **data)
    return json_answer({"accepted": 1}, 202)


async def assign(call: Call) -> web.Response:
    """Give a task to somebody else."""
    services, name = call.services, call.named("id")
    services.admission.check_open()
    async with services.bodies.read(call.request) as body:
        to = decoded(body, TaskAssignment).to
    _, row = await _open(call)
    task: dict[str, Any] = decode_any(row)
    team = await _team(call)
    known = to.startswith(("user:", "role:")) and members_of(team, to, "")
    if to != "owner" and not known:
        raise Refusal("invalid", "`to` must be `owner`, `user:ID` or `role:NAME` of somebody in team.yaml.")
    contact = task["contact"]
    record = Command(contact, "assign_task", name, data={"to": to, "row": task})
    await services.admission.append_one(record, partition_of(contact, services.config.partitions))
    await call.audit("assign task", task=name, to=to)
    return json_answer({"accepted": 1}, 202)


async def _open(call: Call) -> tuple[str, bytes]:
    """The id and row of the open task that the path names. Refusal where it is not open, with how it ended where that is still known."""
    name = call.named("id")
    before = await _completed(call, name)
    if before is not None:
        raise Refusal("conflict", f"This task was completed{f' as {before}' if before else ''}.")
    row = (await call.services.directory.rows(TABLE)).get(name)
    if row is not None:
        return name, row
    raise Refusal("not-found", "There is no open task of this id: it was never assigned, was completed long ago, or its contact was erased.")


async def _completed(call: Call, name: str) -> str | None:
    """The outcome with which a task was completed through a gateway, as long as that is remembered."""
    kept = await call.services.directory.kept(_key(name))
    return None if kept is None else kept.decode()


async def _check_by(call: Call, task: dict[str, Any], by: str) -> None:
    """Refusal for who is not in the team, and for a task that is somebody else's."""
    member = (await _team(call)).get(by)
    if member is None:
        raise Refusal("invalid", "`by` must be somebody in team.yaml.")
    to = str(task.get("to", ""))
    if by != task.get("assignee") and not (to.startswith("role:") and to.removeprefix("role:") in roles_of(member)):
        raise Refusal("conflict", f"This task is not {by}'s: it was assigned to {task.get('assignee') or to}.")


async def _team(call: Call) -> dict[str, Any]:
    snapshot = await call.services.published.newest()
    return (snapshot.documents.get("team") or {}) if snapshot else {}


def _shown(call: Call, name: str, row: bytes) -> dict[str, Any]:
    task = decode_any(row)
    return {"id": name, **task, "overdue": 0 < task.get("due_ms", 0) <= call.services.clock()}


def _key(name: str) -> str:
    return f"task:{name}"


ROUTES = [
    Route(method="GET", path="/v1/tasks", handler=get_tasks, scope="read", summary="Open tasks.", query=("to", "contact", "overdue", "limit")),
    Route(method="GET", path="/v1/tasks/{id}", handler=get_task, scope="read", summary="One open task."),
    Route(
        method="POST",
        path="/v1/tasks/{id}/complete",
        handler=complete,
        scope="admin",
        summary="Complete a task with its outcome.",
        body=TaskOutcome,
        status=202,
    ),
    Route(
        method="POST",
        path="/v1/tasks/{id}/assign",
        handler=assign,
        scope="admin",
        summary="Give a task to somebody else, who is told as the map says.",
        body=TaskAssignment,
        status=202,
    ),
]
