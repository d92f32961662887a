"""The page on orders keeps its word: its example runs, its settings are those of the provider, its tables are complete."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from actions.providers.registry import provider_problems
from actions.providers.stripe import StripeSettings
from actions.registry import detail_of, load_registry
from actions.stripe_events import FACTS
from engine.config import Config
from engine.core.documents import read_document
from engine.core.orders import EVENTS
from engine.simulator import simulate

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/orders.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def rows(heading: str) -> set[str]:
    """The first cells of the table that has this heading."""
    table = PAGE.partition(f"| {heading} |")[2].partition("\n\n")[0]
    return set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE))


def test_the_example_does_what_it_says() -> None:
    [script] = [block for block in BLOCKS if block.startswith("start:")]
    read = read_document(script, "orders.md")
    assert isinstance(read, dict)
    assert simulate(read, load_registry(), detail_of, lambda folder: {}).differences == []


def test_the_settings_are_those_of_the_provider() -> None:
    [block] = [block for block in BLOCKS if "webhook_secret" in block]
    read = read_document(block, "providers.yaml")
    assert isinstance(read, dict)
    assert provider_problems(read) == []
    assert set(read["payments"]) == {field.encode_name for field in msgspec.structs.fields(StripeSettings)} - {"from"}


def test_the_tables_are_complete() -> None:
    assert rows("event") == EVENTS
    assert rows("Stripe's event") == set(FACTS)


def test_the_bounds_are_those_of_the_configuration() -> None:
    assert f"keeps {Config().orders_max} orders and {Config().transactions_max} transactions" in PAGE
