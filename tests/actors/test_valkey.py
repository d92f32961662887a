"""The embedded server, really started: it answers, keeps its data, and comes back."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from actors.processes import identify
from actors.valkey import Valkey
from engine.config import Config
from engine.core.errors import WayfareError
from engine.storage.redis_call import command, only
from engine.storage.redis_client import RedisClient

CONFIG = Config(memory_bytes_max=64 * 1024**2)


class Clock:
    now = 0

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("v")


@pytest.fixture
def valkey(folder):
    made = Valkey(folder / "data", folder / "data" / "s", folder / "log", CONFIG)
    made.start()
    made.wait_ready(30)
    yield made
    made.stop(10)


def ask(valkey: Valkey, *args: str) -> object:
    client = RedisClient(valkey.url, CONFIG)
    try:
        return only(client.run([command(*args, writes=True)]))
    finally:
        client.close()


def test_it_listens_for_its_owner_alone(valkey, folder):
    assert stat.S_IMODE((folder / "data").stat().st_mode) == 0o700
    assert ask(valkey, "CONFIG", "GET", "port")[1] == b"0"
    assert os.getsid(valkey.pid) == valkey.pid


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_was_written_survives_its_death(valkey, number):
    ask(valkey, "SET", "k", "v")
    before = valkey.pid
    os.kill(before, number)
    while valkey.pid:
        time.sleep(0.01)
    valkey.keep()
    valkey.wait_ready(30)
    assert valkey.pid not in (0, before)
    assert ask(valkey, "GET", "k") == b"v"


def test_a_server_that_cannot_start_says_why(folder):
    (folder / "data").mkdir()
    (folder / "data" / "appendonlydir").write_text("in the way")
    broken = Valkey(folder / "data", folder / "data" / "s", folder / "log", CONFIG)
    broken.start()
    with pytest.raises(WayfareError, match="appendonlydir"):
        broken.wait_ready(30)


def test_one_that_dies_again_is_not_started_at_once_again(folder):
    clock = Clock()
    (folder / "data").mkdir()
    (folder / "data" / "appendonlydir").write_text("in the way")
    broken = Valkey(folder / "data", folder / "data" / "s", folder / "log", CONFIG, clock=clock)
    broken.start()
    assert starts_at_once(broken)
    assert not starts_at_once(broken)
    clock.now += CONFIG.restart_ms_min
    broken.keep()
    broken._process.wait()
    assert (folder / "log").read_text().count("appendonlydir") == 3


def starts_at_once(valkey: Valkey) -> bool:
    """After its death."""
    before = valkey._process
    before.wait()
    valkey.keep()
    return valkey._process is not before


def test_it_ends_when_its_parent_is_killed(folder):
    program = (
        "import sys\nfrom pathlib import Path\nfrom actors.valkey import Valkey\nfrom engine.config import Config\n"
        f"v = Valkey(Path({str(folder / 'data')!r}), Path({str(folder / 'data' / 's')!r}), Path({str(folder / 'log')!r}), Config())\n"
        "v.start(); v.wait_ready(30); print(v.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        assert identify(pid) is not None
        parent.kill()
        parent.wait()
        for _ in range(500):
            if identify(pid) is None:
                break
            time.sleep(0.01)
        assert identify(pid) is None
