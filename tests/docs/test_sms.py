"""The page about SMS: its map runs as it says, its settings can be used and are all there are, its words are those that count."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actions.providers.provider import House
from actions.providers.registry import load_providers, make_provider, provider_problems
from actions.registry import detail_of, load_registry
from actions.sms_keywords import WORDS
from engine.config import Config
from engine.core.documents import read_document
from engine.core.workspace import problems_of
from engine.simulator import simulate

PAGE = (Path(__file__).parents[2] / "docs/reference/sms.md").read_text()
SCRIPT, TWILIO, SMPP = (read_document(block, "sms.md") for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))


def test_the_map_does_what_the_page_says() -> None:
    assert [str(one) for one in simulate(SCRIPT, load_registry(), detail_of, lambda folder: {}).differences] == []


@pytest.mark.parametrize("providers", [TWILIO, SMPP])
async def test_the_settings_can_be_used_and_fit_the_map(providers: dict[str, Any]) -> None:
    assert provider_problems(providers) == []
    assert [str(one) for one in problems_of({"maps": SCRIPT["maps"], "providers": providers}, load_registry(), Config()) if not one.warning] == []
    house = House(config=Config(), clock=lambda: 0)
    await make_provider("sms", providers["sms"], house, {"TWILIO_TOKEN": "t", "SMPP_PASSWORD": "p"}).close()


def test_every_setting_of_smpp_is_on_the_page_with_its_default() -> None:
    fields = {field.encode_name: field for field in msgspec.structs.fields(load_providers()["sms", "smpp"].Settings)}
    assert set(SMPP["sms"]) == set(fields)
    shown = {name: value for name, value in SMPP["sms"].items() if not fields[name].required and name not in {"provider", "from", "keywords", "tls"}}
    assert shown == {name: fields[name].default for name in shown}


def test_every_word_is_on_the_page() -> None:
    for words in WORDS.values():
        assert ", ".join(words) in PAGE
