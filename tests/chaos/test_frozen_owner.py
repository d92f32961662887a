"""An owner that was frozen past its lease and thawed cannot commit; and this test notices when the check is taken out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.records import Update
from engine.storage.redis_store import AsyncRedisStore, RedisStore
from tests.chaos.frozen_owner import CONFIG
from tests.conformance.servers import Server, binary_of


async def thawed_after_a_takeover(url: str, *how: str) -> tuple[str, int]:
    """Let an owner freeze before its commit, take its partition over, and thaw it: what its commit came to, and the offset that stands."""
    intake = await AsyncRedisStore.connect(url, CONFIG)
    await intake.intake.append({0: [Update("ann", {"n": 1})]})
    await intake.close()
    with subprocess.Popen([sys.executable, "-m", "tests.chaos.frozen_owner", url, *how], stdout=subprocess.PIPE, text=True) as frozen:
        assert frozen.stdout is not None
        assert frozen.stdout.readline() == "frozen\n"
        successor = RedisStore.connect(url, CONFIG)
        lease = None
        while lease is None:
            time.sleep(0.02)
            lease = successor.leases.acquire(0, "successor", 60_000)
        before = successor.commits.load(lease)
        os.kill(frozen.pid, signal.SIGCONT)
        answer = frozen.stdout.readline().strip()
        frozen.wait()
        after = successor.commits.load(lease)
        successor.close()
    assert before.offset == 1
    return answer, after.offset


@pytest.fixture
def url() -> Iterator[str]:
    binary = binary_of("valkey")
    assert binary is not None
    with tempfile.TemporaryDirectory(prefix="wayfare-") as folder:
        server = Server(binary, Path(folder), CONFIG)
        yield server.url
        server.stop()


async def test_a_thawed_owner_is_fenced(url: str) -> None:
    assert await thawed_after_a_takeover(url) == ("Fenced", 1)


async def test_without_the_check_it_would_commit(url: str) -> None:
    """The canary: the same, with the comparison of tokens taken out of the commit script."""
    assert await thawed_after_a_takeover(url, "unfenced") == ("committed", 2)
