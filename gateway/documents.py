"""Documents over HTTP: read out of a body as YAML or JSON, a mapping in any case; and published."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from actions.limits import limit_problems
from actions.providers.registry import provider_problems
from engine.core.documents import read_document
from engine.core.errors import InvalidDocument, Problem
from engine.publish import Documents, Publication, Raced, publish
from gateway.bodies import JSON, LINES, YAML, decoded, type_of
from gateway.problems import Refusal
from gateway.routing import Call
from gateway.services import Services

KINDS = ("application/json", "application/yaml")


async def read_mapping(call: Call, name: str) -> dict[str, Any]:
    """The body as a mapping; `name` stands for the file in problems. Refusal or InvalidDocument for anything else."""
    kind = type_of(call.request)
    if kind == LINES:
        raise Refusal("unsupported-type", "Send application/json or application/yaml.")
    async with call.services.bodies.read(call.request) as body:
        if not body.strip():
            raise Refusal("unreadable", "The body is empty.")
        if kind == JSON:
            found = decoded(body, Any)
        else:
            found = await asyncio.to_thread(_read_yaml, body, f"{name}.{YAML}")
    if not isinstance(found, dict):
        raise InvalidDocument([Problem(file=name, message="must be a mapping")])
    return found


async def published(services: Services, change: Callable[[Documents], Documents], *, plan: bool = False) -> Publication:
    """Publish what `change` makes of the documents in force; Refusal (conflict) where others were always faster."""
    try:
        return await publish(services.workspaces, change, services.registry, services.config, services.clock(), plan=plan, more=_of_sending)
    except Raced as raced:
        raise Refusal("conflict", str(raced)) from None


def _of_sending(documents: Documents) -> list[Problem]:
    return [*provider_problems(documents.get("providers") or {}), *limit_problems(documents.get("limits") or {})]


def _read_yaml(body: bytes, file: str) -> Any:
    try:
        return read_document(body.decode(), file)
    except UnicodeDecodeError:
        raise Refusal("unreadable", "The body is not UTF-8.") from None
    except RecursionError:
        raise Refusal("invalid", "nested too deeply") from None
