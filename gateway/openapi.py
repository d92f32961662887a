"""`/openapi.json`, made from the table of routes and the types of the bodies, so that it cannot differ from what is served."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from engine.config import Config
from gateway.problems import CONTENT_TYPE, PROBLEMS
from gateway.routing import Route

LIMITS = ("event_bytes_max", "body_bytes_max", "events_per_request_max", "contact_id_chars_max", "event_depth_max", "simulation_bytes_max")
REF = "#/components/schemas/{name}"


def describe(routes: Sequence[Route], config: Config, version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    types = [kind for route in routes for kind in (route.body, route.answer) if kind is not None]
    schemas, components = msgspec.json.schema_components([*types, _Problem], ref_template=REF)
    by_type = {id(kind): schema for kind, schema in zip(types, schemas, strict=False)}
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_type)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Wayfare", "version": version, "description": "An execution engine for marketing automation. Errors are RFC 9457 problem documents."},
        "x-limits": {name: getattr(config, name) for name in LIMITS},
        "x-problems": {f"/problems/{name}": {"status": status, "title": title, "remedy": remedy} for name, (status, title, remedy) in PROBLEMS.items()},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic", "description": "The key as the user name."},
            },
        },
    }


class _Problem(msgspec.Struct):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str = ""


def _operation(route: Route, by_type: dict[int, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "Accepted" if route.status == 202 else "OK"}
    answer["content"] = {route.gives: {"schema": by_type.get(id(route.answer), {})}}
    problem = {"description": "A problem", "content": {CONTENT_TYPE: {"schema": {"$ref": REF.format(name="_Problem")}}}}
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": f"{route.method.lower()}_{re.sub(r'[^a-z0-9]+', '_', route.path.lower()).strip('_')}",
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in re.findall(r"{(\w+)}", route.path)),
            *({"name": name, "in": "query", "schema": {"type": "string"}} for name in route.query),
        ],
        "responses": {str(route.status): answer, "default": problem},
    }
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {kind: {"schema": by_type[id(route.body)]} for kind in route.kinds}}
    if route.scope is not None:
        operation["security"] = [{"bearer": []}, {"basic": []}]
        operation["x-scope"] = route.scope
    return operation
