"""The benchmark runs small inside the tests, so that it cannot rot; its counts must be right, its figures mean nothing."""

import io

import msgspec
import pytest
from rich.console import Console

from benchmarks import main


@pytest.mark.timeout(180)
def test_a_small_run_counts_right_and_writes_its_results(tmp_path):
    screen = io.StringIO()
    status = main.run(small=True, results=tmp_path, console=Console(file=screen, width=160))
    (file,) = tmp_path.iterdir()
    result = msgspec.json.decode(file.read_bytes())
    (found,) = result["results"]
    assert status == 0, screen.getvalue()
    assert found["holds"]
    assert found["medians"]["committed_per_s"] > 0
    assert found["latency"]["p99_ms"] > 0
    assert result["commit"]
    assert {"gateway", "shard", "valkey"} <= {role for role, used in found["medians"]["cpu_us_per_event"].items() if used > 0}
    assert "events/s committed" in screen.getvalue()


@pytest.mark.timeout(180)
def test_a_small_run_of_the_senders_delivers_everything(tmp_path):
    screen = io.StringIO()
    status = main.run("sending", small=True, results=tmp_path, console=Console(file=screen, width=160))
    (file,) = tmp_path.iterdir()
    (found,) = msgspec.json.decode(file.read_bytes())["results"]
    assert status == 0, screen.getvalue()
    assert found["holds"]
    assert {"webhook", "sms"} <= set(found["ratios"])
    assert bool(found["left_out"]) != ("email rsa-2048" in found["ratios"])
    assert "messages/s" in screen.getvalue()
