"""`/openapi.json`, `/docs` (the same for people), and `/problems/{name}` behind the types of the problem documents."""

from __future__ import annotations

from functools import cache
from html import escape
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from aiohttp import web

from gateway.openapi import describe
from gateway.pages import page
from gateway.problems import PROBLEMS, Refusal
from gateway.routing import TABLE, Call, Route, json_answer

STYLE = "code{background:#f3f3f3;padding:.1em .3em}table{border-collapse:collapse}td,th{text-align:left;padding:.3em 1em .3em 0;vertical-align:top}"


@cache
def own_version() -> str:
    """The version of the distribution."""
    try:
        return version("wayfare")
    except PackageNotFoundError:
        return "0"


def described(call: Call) -> dict[str, Any]:
    """The OpenAPI document of this gateway."""
    routes = call.request.app[TABLE]
    return describe(routes, call.services.config, own_version())


async def openapi(call: Call) -> web.Response:
    """The OpenAPI document."""
    return json_answer(described(call))


async def docs(call: Call) -> web.Response:
    """The routes, the limits and the problems on one page."""
    document = described(call)
    rows = [
        f"<tr><td><code>{method.upper()} {escape(path)}</code></td><td>{escape(operation['summary'])}</td><td>{operation.get('x-scope', '')}</td></tr>"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    limits = "".join(f"<tr><td><code>{name}</code></td><td>{value:,}</td></tr>" for name, value in document["x-limits"].items())
    problems = "".join(
        f"<tr><td>{status}</td><td><code>{name}</code></td><td>{escape(title)}. {escape(remedy)}</td></tr>"
        for name, (status, title, remedy) in PROBLEMS.items()
    )
    body = (
        '<p>Keys: <code>Authorization: Bearer KEY</code>. Types of all bodies: <a href="/openapi.json">/openapi.json</a>.</p>'
        f"<table><tr><th>Route</th><th>What it does</th><th>Scope</th></tr>{''.join(rows)}</table>"
        f"<h2>Limits</h2><table>{limits}</table><h2>Problems</h2><table>{problems}</table>"
    )
    return page("Wayfare", body, style=STYLE)


async def problem(call: Call) -> web.Response:
    """What one type of problem means, and its remedy."""
    name = call.named("name")
    if name not in PROBLEMS:
        raise Refusal("not-found")
    status, title, remedy = PROBLEMS[name]
    return page(escape(title), f"<p>Status {status}. {escape(remedy)}</p>")


ROUTES = [
    Route(method="GET", path="/openapi.json", handler=openapi, scope=None, summary="This description."),
    Route(method="GET", path="/docs", handler=docs, scope=None, summary="The description for people.", gives="text/html"),
    Route(method="GET", path="/problems/{name}", handler=problem, scope=None, summary="What a problem means.", gives="text/html"),
]
