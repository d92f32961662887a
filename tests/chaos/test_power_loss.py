"""A server that dies while its disk is slow: under `fsync` nothing that was accepted is lost, and the disk of these tests does lose things.

The disk is tests/chaos/power_loss.c, preloaded into the server: what was not synced is gone with the process.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.config import Config
from engine.core.errors import Unavailable
from engine.core.records import Event
from engine.storage.redis_store import AsyncRedisStore, RedisStore
from tests.conformance.servers import Server, binary_of

DELAY_MS = 15
WRITERS = 8


@pytest.fixture(scope="module")
def forgetful_disk() -> Iterator[str]:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed: apt-get install gcc")
    with tempfile.TemporaryDirectory(prefix="wayfare-") as folder:
        library = Path(folder) / "power_loss.so"
        source = Path(__file__).with_name("power_loss.c")
        subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-Wall", "-o", library, source, "-ldl"], check=True)
        yield str(library)


async def accepted_before_the_kill(server: Server, config: Config) -> dict[int, int]:
    """Append from several writers until the server is killed; per partition the number of the last record that was acknowledged."""
    store = await AsyncRedisStore.connect(server.url, config)
    acknowledged: dict[int, int] = {}
    writing = asyncio.Event()

    async def writer(name: int) -> None:
        for count in range(10_000):
            partition = (name + count) % config.partitions
            answer = (await store.intake.append({partition: [Event(f"contact-{name}", "e", {"n": count})]}))[partition]
            if isinstance(answer, Unavailable):
                return
            assert isinstance(answer, int)
            acknowledged[partition] = max(acknowledged.get(partition, 0), answer)
            if count == 20:
                writing.set()

    writers = [asyncio.create_task(writer(name)) for name in range(WRITERS)]
    await writing.wait()
    server.kill()
    await asyncio.gather(*writers)
    await store.close()
    return acknowledged


def last_records(store: RedisStore, config: Config) -> dict[int, int]:
    """The number of the last record of each partition's log, read from its beginning."""
    offsets = dict.fromkeys(range(config.partitions), 1)
    while batches := store.log.read(offsets, 1_000).batches:
        offsets |= {number: found[-1].first + len(found[-1].records) for number, found in batches.items()}
    return {number: offset - 1 for number, offset in offsets.items()}


@pytest.mark.parametrize(("durability", "loses"), [("fsync", False), ("relaxed", True)])
async def test_a_kill_while_the_disk_is_slow(forgetful_disk: str, durability: str, *, loses: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(partitions=4, durability=durability)
    binary = binary_of("valkey")
    assert binary is not None
    with tempfile.TemporaryDirectory(prefix="wayfare-") as folder:
        monkeypatch.setenv("LD_PRELOAD", forgetful_disk)
        monkeypatch.setenv("DISK_DELAY_MS", str(DELAY_MS))
        server = Server(binary, Path(folder), config)
        monkeypatch.delenv("LD_PRELOAD")
        acknowledged = await accepted_before_the_kill(server, config)
        server.start()
        store = RedisStore.connect(server.url, config)
        found = last_records(store, config)
        missing = {number: last - found.get(number, 0) for number, last in acknowledged.items() if found.get(number, 0) < last}
        store.close()
        server.stop()
    assert acknowledged
    assert bool(missing) == loses, f"acknowledged {acknowledged}, found {found}"
