"""Every script in this folder holds, and gives the same lines when it runs again."""

from pathlib import Path

import pytest

from actions.registry import detail_of, load_registry
from engine.core.documents import read_document
from engine.simulator import Simulation, simulate

SCRIPTS = sorted(Path(__file__).parent.glob("*.yaml"))


def run(path: Path) -> Simulation:
    script = read_document(path.read_text(), path.name)
    assert isinstance(script, dict)
    return simulate(script, load_registry(), detail_of, lambda folder: {})


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) >= 25


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script_holds(path: Path) -> None:
    simulation = run(path)
    assert [str(difference) for difference in simulation.differences] == []
    assert simulation.jsonl() == run(path).jsonl()
