"""The soak runs small inside the tests: counts must be right, and every series must be there; what memory does in three seconds means nothing."""

import io

import msgspec
import pytest
from rich.console import Console

from benchmarks import main


@pytest.mark.timeout(180)
def test_a_small_soak_counts_right_and_samples_every_role(tmp_path):
    screen = io.StringIO()
    status = main.run("soak", small=True, results=tmp_path, console=Console(file=screen, width=160))
    (file,) = tmp_path.iterdir()
    (found,) = msgspec.json.decode(file.read_bytes())["results"]
    assert status == 0, screen.getvalue()
    assert found["holds"]
    assert found["laps"] > 1
    assert set(found["memory"]) == {"gateway", "shard", "pool", "valkey", "other", "server's data"}
    assert all(used["bytes_last"] > 2**20 and used["verdict"] in ("flat", "grows", "shrinks", "undecided") for used in found["memory"].values())
    assert all(found["series"].values())
    assert found["percentiles"]["from the 202 until it is seen"]["99"] > 0
