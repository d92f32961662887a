"""The page about tasks: its script does what it says, and every parameter of `assign_task` is on it."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from actions.kinds.assign_task import AssignTask
from actions.registry import detail_of, load_registry
from engine.core.documents import read_document
from engine.simulator import simulate
from gateway.routes import tasks

PAGE = (Path(__file__).parents[2] / "docs/reference/tasks.md").read_text()
(SCRIPT,) = (read_document(block, "tasks.md") for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))


def test_the_script_does_what_the_page_says() -> None:
    assert isinstance(SCRIPT, dict)
    assert [str(one) for one in simulate(SCRIPT, load_registry(), detail_of, lambda folder: {}).differences] == []


def test_every_parameter_and_route_is_on_the_page() -> None:
    assert [field.name for field in msgspec.structs.fields(AssignTask) if field.name not in {"subject", "body"} and f"| `{field.name}` |" not in PAGE] == []
    assert [route.path for route in tasks.ROUTES if f"`{route.method} {route.path}" not in PAGE] == []
