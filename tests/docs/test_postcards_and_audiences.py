"""The pages about postcards and audiences: their maps run as they say, their settings can be used, their tables are those of the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from actions.audience import SCHEMA
from actions.lob_events import EVENTS
from actions.postal import NAMES
from actions.providers.facebook import BUSY, LATER, FacebookSettings
from actions.providers.lob import LobSettings
from actions.providers.provider import House
from actions.providers.registry import make_provider, provider_problems
from actions.registry import detail_of, load_registry
from engine.config import Config
from engine.core.documents import read_document
from engine.core.workspace import problems_of
from engine.simulator import simulate

FOLDER = Path(__file__).parents[2] / "docs/reference"
PAGES = {name: (FOLDER / f"{name}.md").read_text() for name in ("postcards", "audiences")}
ENVIRON = {"LOB_KEY": "test_k", "LOB_WEBHOOK_SECRET": "s", "META_TOKEN": "t", "META_APP_SECRET": "a"}


def documents(page: str) -> list[Any]:
    return [read_document(block, page) for block in re.findall(r"```yaml\n(.*?)```", PAGES[page], re.DOTALL)]


@pytest.mark.parametrize("page", PAGES)
def test_the_map_does_what_the_page_says(page: str) -> None:
    assert [str(one) for one in simulate(documents(page)[0], load_registry(), detail_of, lambda folder: {}).differences] == []


@pytest.mark.parametrize("page", PAGES)
async def test_the_settings_can_be_used_and_fit_the_map(page: str) -> None:
    script, providers = documents(page)
    assert provider_problems(providers) == []
    workspace = {"maps": script["maps"], "templates": script.get("templates", {}), "providers": providers}
    assert [str(one) for one in problems_of(workspace, load_registry(), Config()) if not one.warning] == []
    for channel in providers:
        await make_provider(channel, providers[channel], House(config=Config(), clock=lambda: 0), ENVIRON).close()


def test_every_setting_stands_on_its_page() -> None:
    for page, channel, settings in (("postcards", "postcard", LobSettings), ("audiences", "facebook", FacebookSettings)):
        documented = set(documents(page)[1][channel]) | {"provider", "from"}
        assert documented == set(settings.__struct_encode_fields__) | {"provider", "from"}


def test_the_tables_are_those_of_the_code() -> None:
    for told, event in EVENTS.items():
        assert re.search(rf"`{re.escape(told)}`.*\| `{re.escape(event)}` \|", PAGES["postcards"]), told
    for names in NAMES.values():
        assert ", ".join(f"`{name}`" for name in names) in PAGES["postcards"], names
    for key in SCHEMA:
        assert re.search(rf"\|[^|]*`{key}`[^|]*\|", PAGES["audiences"]), key
    assert ", ".join(map(str, sorted(BUSY))) in PAGES["audiences"]
    assert ", ".join(map(str, sorted(LATER))) in PAGES["audiences"]
