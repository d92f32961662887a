"""Logs are JSON on standard error and hold no secrets. In a process of its own, because logging is set up for a whole process."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import logging
from engine.logs import logger, set_up_logs
set_up_logs("info", "shard-1")
log = logger("test")
log.debug("unseen")
log.info("hello", url="redis://bob:hunter2@host/0", admin_key="hunter2", header="Bearer hunter2", n=5)
logging.getLogger("other").warning("from %s", "elsewhere")
try:
    raise ValueError("x")
except ValueError:
    log.exception("failed")
"""


def test_every_line_is_json_without_secrets():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert "hunter2" not in done.stderr
    first, second, third = (json.loads(line) for line in done.stderr.splitlines())
    assert (first["event"], first["n"], first["level"], first["process"]) == ("hello", 5, "info", "shard-1")
    assert first["url"] == "redis://bob:********@host/0"
    assert (second["event"], second["level"]) == ("from elsewhere", "warning")
    assert "ValueError: x" in third["exception"]
