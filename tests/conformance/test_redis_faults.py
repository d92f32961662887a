"""What only Redis can do to us: lost replies, full memory, torn files, restarts, replicas, keys of the wrong type."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.core.effects import Post, Row
from engine.core.errors import DamagedLog, Fenced, Full, InvalidConfig, ResultUnknown, Unavailable, UnreadableBatch, WayfareError
from engine.core.records import UseSnapshot
from engine.ports import Commit, Settle, Snapshot
from engine.storage.redis_store import AsyncRedisStore, RedisStore
from tests.conformance.conftest import CONFIG, Storage
from tests.conformance.making import claim, commit, counts, effect, events, take
from tests.conformance.proxy import Proxy
from tests.conformance.servers import Server, binary_of

Start = Callable[..., Server]
Connect = Callable[..., Awaitable[Storage]]
REAL = pytest.mark.parametrize("server", ["valkey", "redis"], indirect=True)


@pytest.fixture(params=["valkey", "redis"])
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    """Start a server of its own for a test; settings by keyword, `_` for `-`."""
    binary = binary_of(request.param)
    if binary is None:
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    with ExitStack() as stack:

        def begin(**settings: str) -> Server:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="wayfare-"))
            server = Server(binary, Path(folder), CONFIG, **{name.replace("_", "-"): value for name, value in settings.items()})
            stack.callback(server.kill)
            return server

        yield begin


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Connect both sides to a URL, with the configuration changed by keyword; closed at the end."""
    opened: list[tuple[RedisStore, AsyncRedisStore]] = []

    async def begin(url: str, **changed: Any) -> Storage:
        config = msgspec.structs.replace(CONFIG, **changed)
        opened.append((RedisStore.connect(url, config), await AsyncRedisStore.connect(url, config)))
        return Storage("redis", config, list(opened[-1]))

    yield begin
    for sync, asynchronous in opened:
        sync.close()
        await asynchronous.close()


@pytest.fixture
def proxied(start: Start, tmp_path: Path) -> Iterator[Proxy]:
    """A proxy before a server of its own."""
    proxy = Proxy(start(appendonly="no").folder / "valkey.sock", tmp_path / "p.sock")
    yield proxy
    proxy.close()


@pytest.mark.parametrize("lose", ["reply", "request"])
async def test_after_a_lost_reply_the_owner_looks_and_then_knows(connect, proxied, lose):
    storage = await connect(proxied.url)
    lease = take(storage)
    made = Commit(expected=0, offset=2, time_ms=5, snapshot=0, contacts={"ann": b"A"}, counters={"c": 1}, effects=[effect(1)])
    proxied.lose = lose
    (answer,) = storage.commits.commit([(lease, made)])
    assert isinstance(answer, ResultUnknown)
    proxied.lose = ""
    found = storage.commits.look(lease)
    assert found == (1 if lose == "reply" else 0)
    (again,) = storage.commits.commit([(lease, made)])
    assert isinstance(again, Fenced) if lose == "reply" else again is None
    assert storage.commits.look(lease) == 1
    assert (await storage.directory.counters())["c"] == 1
    assert await counts(storage) == {"pending": 1}


async def test_a_lost_reply_of_an_append_is_unknown_and_of_a_read_is_not(connect, proxied):
    storage = await connect(proxied.url)
    await storage.intake.append({0: events(1)})
    proxied.lose = "reply"
    answer = (await storage.intake.append({0: events(1), 1: events(1)}, reserve=True))[0]
    assert isinstance(answer, ResultUnknown)
    for read in (storage.leases.owners, lambda: storage.log.read({0: 1}, 10)):
        with pytest.raises(Unavailable) as caught:
            read()
        assert not isinstance(caught.value, ResultUnknown)
    proxied.lose = ""
    assert sum(len(batch.records) for batch in storage.log.read({0: 1}, 10).batches[0]) == 2


async def test_a_server_that_does_not_answer_in_time_leaves_writes_unknown(start, connect):
    server = start(appendonly="no")
    storage = await connect(server.url, redis_timeout_ms=100)
    lease = take(storage)
    await storage.directory.ping()
    server.freeze()
    try:
        assert isinstance(storage.commits.commit([(lease, Commit(expected=0, offset=1, time_ms=0, snapshot=0))])[0], ResultUnknown)
        assert isinstance((await storage.intake.append({0: events(1)}, reserve=True))[0], ResultUnknown)
        with pytest.raises(Unavailable):
            await storage.directory.ping()
    finally:
        server.thaw()
    assert storage.commits.look(lease) == 1


async def test_what_could_not_be_sent_has_not_happened(start, connect):
    server = start(appendonly="no")
    storage = await connect(server.url)
    lease = take(storage)
    await storage.directory.ping()
    server.kill()
    (answer,) = storage.commits.commit([(lease, Commit(expected=0, offset=1, time_ms=0, snapshot=0))])
    appended = (await storage.intake.append({0: events(1)}))[0]
    for error in (answer, appended):
        assert isinstance(error, Unavailable)
        assert not isinstance(error, ResultUnknown)
    with pytest.raises(Unavailable):
        await storage.outbox.claim("email", [0], "pool-1", 1, 1_000, {}, [])
    with pytest.raises(Unavailable):
        RedisStore.connect(server.url, CONFIG)
    server.start()


async def test_a_restarted_server_is_used_again_without_a_word(start, connect):
    """Its scripts are gone and every idle connection is dead; what was acknowledged is there."""
    server = start()
    storage = await connect(server.url)
    lease = take(storage)
    await storage.intake.append({0: events(3)})
    commit(storage, lease, contacts={"ann": b"A"}, effects=[effect(1)])
    server.kill()
    server.start()
    await storage.pass_ms(5)  # the event loop hears that its connections were closed
    commit(storage, lease, offset=2)
    assert await storage.intake.append({0: events(1)}) == {0: 4}
    assert storage.commits.fetch({0: ["ann"]}) == {0: [b"A"]}
    assert len(await claim(storage)) == 1


async def test_a_torn_aof_keeps_whole_commits_only(start, connect):
    """The file is cut at many places, as a crash of the machine might; each commit is there wholly or not at all."""
    server = start()
    storage = await connect(server.url)
    lease = take(storage)
    for number in range(1, 7):
        contacts = {f"{number}-{index}": str(number).encode() for index in range(20)}
        commit(storage, lease, offset=number, contacts=contacts, effects=[effect(number)], counters={"c": 1}, due=dict.fromkeys(contacts, number))
    file = max((server.folder / "appendonlydir").glob("*.incr.aof"), key=lambda path: path.stat().st_size)
    seen = set()
    for _ in range(5):  # each restart drops the torn commit, so the next cut meets the one before it
        server.kill()
        size = file.stat().st_size
        with file.open("r+b") as content:
            content.truncate(size - 911)
        server.start()
        with server.client() as client:
            done = int(client.hget("{p0}:meta", "commit") or 0)
            assert client.hlen("{p0}:cp") == client.zcard("{p0}:due") == done * 20
            assert client.hlen("{p0}:fx") == client.llen("{p0}:q:email:b:|welcome") == done
            assert int(client.hget("{p0}:n", "c") or 0) == done
            assert int(client.hget("{p0}:fxn", "email:decided") or 0) == done
            seen.add(done)
    assert len(seen) > 1, "the cuts must reach into commits"


async def test_a_full_server_refuses_clients_and_still_drains(start, connect):
    server = start(appendonly="no", maxmemory="4mb")
    storage = await connect(server.url, memory_watermark=0.99, log_records_max=10_000_000, memory_look_ms=0)
    lease = take(storage)
    commit(storage, lease, effects=[effect(1)])
    for _ in range(3_000):
        answer = (await storage.intake.append({1: [events(1, contact="x" * 2_000)[0]]}))[1]
        if isinstance(answer, Exception):
            break
    assert isinstance(answer, Full)
    assert storage.intake.refusing() > 0
    with server.client() as client:
        client.config_set("maxmemory", "1mb")
    careless = await connect(server.url, memory_look_ms=3_600_000, memory_watermark=0.999_999, log_records_max=10_000_000)
    careless.intake._looked = float("inf")  # it has not noticed yet: the server itself refuses
    assert isinstance((await careless.intake.append({1: events(1)}))[1], Full)
    storage.leases.renew([lease], 60_000)
    storage.log.append({2: events(1)})
    commit(storage, lease, contacts={"ann": b"A"}, effects=[effect(2)])
    claims = await claim(storage)
    assert await storage.outbox.mark(claims, 30_000, once=True) == ["", ""]
    assert await storage.outbox.settle([Settle(claim=one, state="delivered", report=True) for one in claims]) == [True, True]
    await storage.intake.unsubscribe("ann", "email", "unsubscribed")
    await storage.outbox.stop("*", True)
    await storage.directory.audit({"who": "admin", "what": "stopped"})
    other = take(storage, 1)
    commit(storage, other, offset=1_000_000)
    assert storage.log.trim(1, 1_000_000) > 0


WRONG = {
    "cp": {"contacts": {"ann": b"A"}},
    "due": {"due": {"ann": 5}},
    "fx": {"effects": [effect(1)]},
    "lanes": {"effects": [effect(1)]},
    "q:email:b:|welcome": {"effects": [effect(1)]},
    "later:email": {"effects": [effect(1, not_before_ms=5)]},
    "posts": {"posts": [Post("x", "route", {})]},
    "marks": {"marks": {1: 1}},
    "t:tasks": {"rows": [Row("tasks", "t1", b"x")]},
    "guard": {"guard": {"ann": "email=subscribed"}},
    "parked:email/": {"parked": [("email/", "ann")]},
    "n": {"counters": {"c": 1}},
    "dd:5": {"dedupe": (5, b"k" * 8)},
    "aside": {"set_aside": [(1, b"r", "why")]},
}


@REAL
@pytest.mark.parametrize("key", WRONG)
async def test_a_key_of_the_wrong_type_is_found_before_anything_is_written(server, storage, key):
    lease = take(storage)
    with server.client() as client:
        if key == "dd:5":
            client.lpush("{p0}:dd:5", "x")
        else:
            client.set(f"{{p0}}:{key}", "x")
        changed = {"contacts": {"bob": b"B"}, "rows": [Row("other", "x", b"y")], **WRONG[key]}
        before = set(client.keys())
        (answer,) = storage.commits.commit([(lease, Commit(expected=0, offset=2, time_ms=0, snapshot=0, **changed))])
        assert isinstance(answer, WayfareError)
        assert key in str(answer)
        assert set(client.keys()) == before
        assert storage.commits.look(lease) == 0


@REAL
async def test_another_count_of_partitions_is_refused(server, storage):
    with pytest.raises(InvalidConfig, match="4 partitions"):
        RedisStore.connect(server.url, msgspec.structs.replace(CONFIG, partitions=8))
    with pytest.raises(InvalidConfig):
        await AsyncRedisStore.connect(server.url, msgspec.structs.replace(CONFIG, partitions=2))


@REAL
async def test_an_entry_that_cannot_be_decoded_is_handed_over_once_it_is_first(server, storage):
    await storage.intake.append({0: events(2)})
    with server.client() as client:
        client.xadd("{p0}:log", {"t": 77, "b": b"\xc1rubbish"}, id="5-3")
        client.hset("{p0}:meta", "next", 6)
    await storage.intake.append({0: events(1)})
    assert [batch.first for batch in storage.log.read({0: 1}, 100).batches[0]] == [1]
    with pytest.raises(UnreadableBatch) as caught:
        storage.log.read({0: 3}, 100)
    error = caught.value
    assert (error.partition, error.first, error.count, error.stamp_ms, error.raw) == (0, 3, 3, 77, b"\xc1rubbish")
    assert [batch.first for batch in storage.log.read({0: 6}, 100).batches[0]] == [6]


@REAL
async def test_a_gap_in_the_log_is_seen(server, storage):
    for _ in range(3):
        await storage.intake.append({0: events(2)})
    with server.client() as client:
        client.xdel("{p0}:log", "4-2")
    with pytest.raises(DamagedLog) as caught:
        storage.log.read({0: 1}, 100)
    assert (caught.value.partition, caught.value.expected, caught.value.found) == (0, 3, 5)


@REAL
async def test_a_publisher_that_died_half_way_is_finished_by_the_next(server, storage):
    await storage.workspaces.publish(Snapshot(1, {}), 0)
    with server.client() as client:
        client.hset("wf:snapshots", "announced", 0)
    later = await AsyncRedisStore.connect(server.url, CONFIG)
    await later.close()
    records = [batch.records for batch in storage.log.read({3: 1}, 10).batches[3]]
    assert records == [[UseSnapshot(1)], [UseSnapshot(1)]]
    again = await AsyncRedisStore.connect(server.url, CONFIG)
    await again.close()
    assert len(storage.log.read({3: 1}, 10).batches[3]) == 2


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


async def test_replicated_appends_wait_for_a_replica(start, connect):
    port = free_port()
    server = start(appendonly="no", port=port, repl_diskless_sync_delay="0")
    storage = await connect(server.url, durability="replicated", replica_wait_ms=50)
    answer = (await storage.intake.append({0: events(1)}))[0]
    assert isinstance(answer, ResultUnknown)
    replica = start(appendonly="no", replicaof=f"127.0.0.1 {port}")
    with replica.client() as client:
        for _ in range(100):
            if client.info("replication")["master_link_status"] == "up":
                break
            await storage.pass_ms(20)
    patient = await connect(server.url, durability="replicated", replica_wait_ms=2_000)
    assert await patient.intake.append({0: events(1)}) == {0: 2}


@REAL
async def test_a_server_whose_clock_is_behind_does_not_stamp_back(server, storage):
    """A promoted replica's clock may be behind the one that stamped the last record."""
    ahead_ms = storage.log.read({}, 1).now_ms + 60_000
    with server.client() as client:
        client.hset("{p0}:meta", "stamp", ahead_ms)
    await storage.intake.append({0: events(1)})
    assert storage.log.read({0: 1}, 10).batches[0][0].stamp_ms == ahead_ms
