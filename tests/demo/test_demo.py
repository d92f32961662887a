"""A small part of the demo, so that it cannot rot: three hundred customers, the first forty days."""

import io

import pytest
from rich.console import Console

from ops.demo import main


@pytest.mark.timeout(180)
def test_a_part_of_the_demo_adds_up(tmp_path):
    screen = io.StringIO()
    report = tmp_path / "report.html"
    status = main.run(report, console=Console(file=screen, width=160), customers=300, days=40)
    assert status == 0, screen.getvalue()
    assert "checks hold" in screen.getvalue()
    assert report.stat().st_size > 2_000
