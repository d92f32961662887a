"""The page about limits.yaml: its example can be published, and means what the page says."""

from __future__ import annotations

import re
from pathlib import Path

from actions.limits import limit_problems, read_limits
from actions.registry import load_registry
from engine.config import Config
from engine.core import send_limits
from engine.core.documents import read_document
from engine.core.sender_care import Health
from engine.core.workspace import problems_of

PAGE = (Path(__file__).parents[2] / "docs/reference/limits.md").read_text()
(EXAMPLE,) = (read_document(block, "limits.yaml") for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))


def test_the_example_can_be_published_and_has_every_key() -> None:
    assert [str(one) for one in problems_of({"maps": [], "limits": EXAMPLE}, load_registry(), Config())] == []
    assert limit_problems(EXAMPLE) == []
    assert set(EXAMPLE) == set(send_limits.KEYS)
    assert re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", PAGE.partition("## Rates")[0], re.MULTILINE) == list(EXAMPLE)


def test_its_defaults_are_those_of_the_page() -> None:
    nothing, example = send_limits.read_limits({}, []), send_limits.read_limits(EXAMPLE, [])
    assert nothing.health == example.health == {"email": Health()}
    assert nothing.quiet_hours == example.quiet_hours
    assert nothing.default_consent == example.default_consent


def test_what_it_says_of_mail() -> None:
    limits = read_limits(EXAMPLE, "email")
    assert limits.throttled == {"gmail.com", "yahoo.com", "outlook.com"}
    assert [limits.allowance("gmail.com", day) for day in ("2026-11-30", "2026-12-03", "2026-12-31")] == [20, 200, 40_000]
    assert [limits.allowance("", day) for day in ("2026-12-01", "2026-12-07")] == [50, None]
    assert limits.suppressed == {"eve@example.com", "spam.example"}
