"""What README and the pages under docs say about files is true: the table of the actions, and every link."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.counterparts.needs import ROOT
from tests.counterparts.table import ACTIONS, README, between

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("ops/**/*.md"), ROOT / "benchmarks/README.md"])
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def test_the_table_names_every_action_and_tests_that_prove_it() -> None:
    rows = [line.split(" | ") for line in between(README.read_text()).splitlines()[2:]]
    assert [tuple(re.findall(r"`(\w+)`", row[1])) for row in rows] == list(ACTIONS), "run `make test-counterparts`"
    for row in rows:
        files = LINK.findall(row[3])
        assert files
        text = "".join((ROOT / file).read_text() for file in files)
        for kind in re.findall(r"`(\w+)`", row[1]):
            assert re.search(rf'proves\(\s*"{kind}"', text), kind


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_index_of_the_reference_names_every_page() -> None:
    folder = ROOT / "docs/reference"
    listed = set(LINK.findall((folder / "index.md").read_text()))
    assert {page.name for page in folder.glob("*.md")} - {"index.md"} <= listed
