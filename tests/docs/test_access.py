"""The page about access: its map runs as it says, its settings can be used, its receiver takes what the engine sends."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from actions.providers.provider import House
from actions.providers.registry import make_provider, provider_problems
from actions.registry import detail_of, load_registry
from actions.signing import webhook_headers, webhook_key
from engine.config import Config
from engine.core.documents import read_document
from engine.core.workspace import problems_of
from engine.simulator import simulate

PAGE = (Path(__file__).parents[2] / "docs/reference/access.md").read_text()
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def documents() -> list[Any]:
    return [read_document(block, "access.md") for block in blocks("yaml")]


def test_the_map_does_what_the_page_says() -> None:
    assert [str(one) for one in simulate(documents()[0], load_registry(), detail_of, lambda folder: {}).differences] == []


async def test_the_settings_can_be_used_and_fit_the_map() -> None:
    providers = documents()[1]
    assert provider_problems(providers) == []
    assert [str(one) for one in problems_of({"maps": documents()[0]["maps"], "providers": providers}, load_registry(), Config()) if not one.warning] == []
    for channel in providers:
        house = House(config=Config(), clock=lambda: 0)
        await make_provider(channel, providers[channel], house, {"WP_PASSWORD": "abcd efgh", "ACADEMY_SECRET": SECRET}).close()


def test_the_receiver_takes_what_is_signed_and_nothing_else() -> None:
    names: dict[str, Any] = {}
    exec(blocks("python")[0], names)
    (example,) = blocks("json")
    body = example.strip().encode()
    headers = webhook_headers(webhook_key(SECRET), "1", int(time.time()), body)
    assert names["received"](body, headers, SECRET) == json.loads(body)
    with pytest.raises(Exception, match="signature"):
        names["received"](body + b" ", headers, SECRET)
