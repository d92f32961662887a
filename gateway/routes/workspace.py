"""`PUT`, `GET /v1/workspace`: all documents as one snapshot. What `wayfare apply` uses."""

from __future__ import annotations

from aiohttp import web

from engine.publish import Publication
from gateway.documents import KINDS, published, read_mapping
from gateway.problems import Refusal
from gateway.routing import Call, Route, json_answer


async def put_workspace(call: Call) -> web.Response:
    """Publish all of it; with `?plan`, only show the difference."""
    documents = await read_mapping(call, "workspace")
    services = call.services
    plan = "plan" in call.request.query and call.query("plan") not in ("0", "false")
    done = await published(services, lambda _: documents, plan=plan)
    if done.published:
        await call.audit("publish workspace", number=done.number, changes=len(done.changes))
    return json_answer(done)


async def get_workspace(call: Call) -> web.Response:
    """The documents in force, in the shape that PUT takes; the snapshot's number is the ETag."""
    snapshot = await call.services.published.newest()
    if snapshot is None:
        raise Refusal("not-found", "No workspace was published yet.")
    return json_answer(snapshot.documents, ETag=f'"{snapshot.number}"')


ROUTES = [
    Route(
        method="PUT",
        path="/v1/workspace",
        handler=put_workspace,
        scope="admin",
        summary="Publish the whole workspace as one snapshot.",
        body=dict,
        answer=Publication,
        kinds=KINDS,
        query=("plan",),
    ),
    Route(method="GET", path="/v1/workspace", handler=get_workspace, scope="read", summary="The documents in force.", answer=dict),
]
