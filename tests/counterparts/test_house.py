"""The house of these tests itself: starting, waiting, ending, and finding what is installed."""

from __future__ import annotations

import os
import sys
import time

import pytest

from tests.counterparts import needs as tools
from tests.counterparts.needs import missing, needs, path_of
from tests.counterparts.process import ENDS_WITHIN_S, NotStarted, answers, free_port, listens, started
from tests.counterparts.proofs import proves

SERVER = "import http.server, sys; http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()"
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[2], sys.argv[1]])"


def test_a_counterpart_is_waited_for_and_its_children_end_with_it() -> None:
    port = free_port()
    with started(sys.executable, "-c", PARENT, str(port), SERVER, port=port, url=f"http://127.0.0.1:{port}/") as counterpart:
        assert answers(f"http://127.0.0.1:{port}/nothing"), "a 404 is an answer"
        assert "nothing" in counterpart.output()
    end = time.monotonic() + ENDS_WITHIN_S
    while listens(port) and time.monotonic() < end:
        time.sleep(0.01)
    assert not answers(f"http://127.0.0.1:{port}/")


def test_one_that_ends_is_not_waited_for_and_says_why() -> None:
    with pytest.raises(NotStarted, match="no such option"), started(sys.executable, "-c", "raise SystemExit('no such option')", port=free_port()):
        pass


def test_one_that_never_listens_is_given_up() -> None:
    with pytest.raises(NotStarted, match="not ready"), started(sys.executable, "-c", "import time; time.sleep(60)", port=free_port(), within_s=0.2):
        pass


def test_it_gets_variables_beside_those_that_are_there() -> None:
    port = free_port()
    command = "import os, sys; print(os.environ['COLOUR'], os.environ['PATH'], flush=True);" + SERVER
    with started(sys.executable, "-c", command, str(port), port=port, env={"COLOUR": "green"}) as counterpart:
        assert counterpart.output().startswith("green ")
        assert counterpart.output().rstrip().endswith(os.environ["PATH"])


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tools.TOOLS, "there", lambda: tools.ROOT)
    monkeypatch.setitem(tools.TOOLS, "gone", lambda: None)
    assert missing(("there", "gone")) == ["gone"]
    assert path_of("there") == tools.ROOT
    with pytest.raises(RuntimeError, match="make counterparts"):
        path_of("gone")
    with pytest.raises(KeyError, match="telegraph"):
        needs("there", "telegraph")


@pytest.mark.parametrize("said", [("fly", "a bird", "it flew"), ("send_sms", "a | b", "it came"), ("send_sms", "an SMSC", " ")])
def test_a_proof_is_of_a_kind_and_fits_into_a_table(said: tuple[str, str, str]) -> None:
    with pytest.raises(ValueError):
        proves(*said)
