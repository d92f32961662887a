"""Reading documents out of bodies: YAML or JSON, a mapping in any case."""

from __future__ import annotations

import asyncio
from typing import Any

from engine.core.documents import read_document
from engine.core.errors import InvalidDocument, Problem
from gateway.bodies import JSON, LINES, YAML, decoded, type_of
from gateway.problems import Refusal
from gateway.routing import Call

KINDS = ("application/json", "application/yaml")


async def read_mapping(call: Call, name: str, bytes_max: int = 0) -> dict[str, Any]:
    """The body as a mapping; `name` stands for the file in problems. Refusal or InvalidDocument for anything else."""
    kind = type_of(call.request)
    if kind == LINES:
        raise Refusal("unsupported-type", "Send application/json or application/yaml.")
    async with call.services.bodies.read(call.request) as body:
        if bytes_max and len(body) > bytes_max:
            raise Refusal("too-large", f"This may have {bytes_max} bytes.")
        if not body.strip():
            raise Refusal("unreadable", "The body is empty.")
        if kind == JSON:
            found = decoded(body, Any)
        else:
            found = await asyncio.to_thread(_read_yaml, body, f"{name}.{YAML}")
    if not isinstance(found, dict):
        raise InvalidDocument([Problem(file=name, message="must be a mapping")])
    return found


def _read_yaml(body: bytes, file: str) -> Any:
    try:
        return read_document(body.decode(), file)
    except UnicodeDecodeError:
        raise Refusal("unreadable", "The body is not UTF-8.") from None
    except RecursionError:
        raise Refusal("invalid", "nested too deeply") from None
