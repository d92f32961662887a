"""The page about fulfillment lists: its lists can be published, and its keys and bounds are those that count."""

from __future__ import annotations

import re
from pathlib import Path

from actions.registry import load_registry
from engine.config import Config
from engine.core import fulfillment
from engine.core.documents import read_document
from engine.core.workspace import compile_workspace, problems_of

PAGE = (Path(__file__).parents[2] / "docs/reference/fulfillment.md").read_text()
(LISTS,) = (read_document(block, "fulfillment.yaml") for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))


def test_the_lists_can_be_published_and_are_sent_but_for_the_one_by_hand() -> None:
    documents = {"fulfillment": LISTS}
    assert problems_of(documents, load_registry(), Config()) == []
    lists = compile_workspace(documents, load_registry(), Config()).lists
    assert set(lists) == set(LISTS) - {"by-hand"}
    assert lists["kits"].to == ("ship@example.com", "copy@example.com")


def test_every_key_and_bound_is_on_the_page() -> None:
    assert [key for key in fulfillment._KEYS if f"| `{key}` |" not in PAGE] == []
    assert all(every in PAGE for every in fulfillment.EVERY)
    assert f"{fulfillment.SLOTS} latest files" in PAGE
    assert Config().export_life_ms == 7 * 86_400_000
    assert "7 days from the scheduled time" in PAGE
