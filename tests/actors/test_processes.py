"""Real processes: they die with their parent, are known by their start, and what a run left is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from actors.ports_open import listeners
from actors.processes import Process, descendants, end, end_leftovers, identify, name_of, remember, spawn

SLEEP = [sys.executable, "-S", "-c", "import time; print('up', flush=True); time.sleep(60)"]
DEAF = [sys.executable, "-S", "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"]


@pytest.fixture
def children():
    made: list[subprocess.Popen[bytes]] = []

    def start(command: list[str]) -> subprocess.Popen[bytes]:
        child = spawn(command, signal.SIGKILL, output=subprocess.PIPE)
        made.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        return child

    yield start
    for child in made:
        child.kill()
        child.wait()
        child.stdout.close()


def gone(pid: int) -> bool:
    for _ in range(500):
        if identify(pid) is None:
            return True
        time.sleep(0.01)
    return False


def test_a_process_is_known_by_id_and_start(children):
    child = children(SLEEP)
    known = identify(child.pid)
    assert known is not None
    assert known in descendants(os.getpid())
    assert os.getsid(child.pid) == child.pid
    assert name_of(child.pid).startswith("python")
    child.kill()
    child.wait()
    assert identify(child.pid) is None
    assert name_of(child.pid) == ""


def test_ending_asks_first_and_kills_the_deaf(children):
    polite, deaf = children(SLEEP), children(DEAF)
    known = [identify(polite.pid), identify(deaf.pid)]
    killed = end(known, 0.5)
    assert killed == [known[1]]
    assert polite.wait() == -signal.SIGTERM
    assert deaf.wait() == -signal.SIGKILL


def test_even_a_stopped_process_is_ended(children):
    child = children(SLEEP)
    child.send_signal(signal.SIGSTOP)
    end([identify(child.pid)], 0.1)
    assert child.wait() in (-signal.SIGKILL, -signal.SIGTERM)


def test_leftovers_are_ended_and_a_reused_id_is_left_alone(children, tmp_path):
    ours, stranger = children(SLEEP), children(SLEEP)
    file = tmp_path / "run.json"
    remember(file, [identify(ours.pid), Process(stranger.pid, identify(stranger.pid).started - 1)])
    assert end_leftovers(file, 2) == [Process(ours.pid, end_leftovers_start(file, ours.pid))]
    assert ours.wait() == -signal.SIGTERM
    assert stranger.poll() is None


def end_leftovers_start(file, pid: int) -> int:
    import msgspec

    return next(entry["started"] for entry in msgspec.json.decode(file.read_bytes())["processes"] if entry["pid"] == pid)


def test_leftovers_of_another_boot_or_an_unreadable_file_end_nobody(children, tmp_path):
    child = children(SLEEP)
    file = tmp_path / "run.json"
    remember(file, [identify(child.pid)])
    file.write_text(file.read_text().replace('"boot":"', '"boot":"another-'))
    assert end_leftovers(file, 1) == []
    file.write_text("{")
    assert end_leftovers(file, 1) == []
    assert end_leftovers(tmp_path / "missing.json", 1) == []
    assert child.poll() is None


def test_a_child_dies_with_its_parent_even_when_that_is_killed():
    program = f"""
import signal, subprocess, sys
from actors.processes import spawn
child = spawn({SLEEP!r}, signal.SIGKILL, output=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.read()
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with parent:
        child = int(parent.stdout.readline())
        assert identify(child) is not None
        parent.kill()
        parent.wait()
        assert gone(child)


def test_listening_ports_are_found_and_told_apart():
    import socket

    with socket.socket() as everywhere, socket.socket() as here, socket.socket() as silent:
        everywhere.bind(("0.0.0.0", 0))
        here.bind(("127.0.0.1", 0))
        silent.bind(("127.0.0.1", 0))
        everywhere.listen()
        here.listen()
        found = {listener.port: listener.everywhere for listener in listeners([os.getpid()])}
        assert found[everywhere.getsockname()[1]] is True
        assert found[here.getsockname()[1]] is False
        assert silent.getsockname()[1] not in found
    assert listeners([2**22 + 1]) == []
