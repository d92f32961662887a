"""Growth runs small inside the tests: counts must be right at every step; the costs of two thousand events mean nothing."""

import io

import msgspec
import pytest
from rich.console import Console

from benchmarks import main


@pytest.mark.timeout(180)
def test_a_small_growth_counts_right_on_both_axes(tmp_path):
    screen = io.StringIO()
    status = main.run("growth", small=True, results=tmp_path, console=Console(file=screen, width=160))
    (file,) = tmp_path.iterdir()
    maps, contacts = msgspec.json.decode(file.read_bytes())["results"]
    assert status == 0, screen.getvalue()
    assert maps["holds"]
    assert contacts["holds"]
    assert set(maps["ratios"]) == {"20 maps, same"}
    assert set(contacts["ratios"]) == {"5,000 contacts, same", "5,000 contacts, all"}
    assert contacts["steps"][0]["checks"]["contacts that wait"] == [5_000, 5_000]
    assert 200 < contacts["figures"]["server_bytes_per_contact"] < 2_000
