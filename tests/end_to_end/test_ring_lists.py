"""A fulfillment list through the whole ring: put on by a map, sent at its time by mail or as a link, emptied of what was sent, whoever is killed."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Any

import msgspec
import pytest

from actors.awaited import epoch_ms
from engine.codec import encode
from engine.core.fulfillment import ListState, list_key
from engine.core.partitioning import partition_of
from engine.storage.redis_call import checked, command, partition_key
from tests.end_to_end.ring import Ring, running, until
from tests.end_to_end.test_ring_sending import Deaf
from tests.end_to_end.test_ring_takeover import Dying

NAME = "kits & more"
HOSTILE = '=HYPERLINK("http://evil.example","x")'
MAPS = [
    {"map": "on", "reentry": "parallel", "triggers": [{"event": "on"}], "path": [{"send_to_fulfillment": {"list": NAME}}, "exit"]},
    {"map": "off", "reentry": "parallel", "triggers": [{"event": "off"}], "path": [{"remove_from_fulfillment": {"list": NAME}}, "exit"]},
]
HOUR_MS = 3_600_000


async def set_up(ring: Ring, **changed: Any) -> None:
    """Publish the list, with times at which nothing happens by itself, and put nobody on it."""
    at = f"{(datetime.now(UTC).hour + 12) % 24:02}:00"
    await ring.publish({"maps": MAPS, "fulfillment": {NAME: {"to": "ship@example.com", "every": "daily", "at": at, "empty_after": True, **changed}}})
    ring.start_shard()
    await ring.read_on()


async def put(ring: Ring, *contacts: str, event: str = "on") -> None:
    await ring.accepted("/v1/contacts", [{"contact": contact, "fields": {"name": f"Zoë {contact}", "note": HOSTILE}} for contact in contacts])
    await ring.accepted("/v1/events", [{"contact": contact, "name": event} for contact in contacts])
    await ring.read_on()


async def let_time_come(ring: Ring, name: str = NAME) -> None:
    """The engine is down, and the list's time passes: its due time is moved to an hour ago. Nobody runs afterwards."""
    await ring.stop_shards()
    key = list_key(name)
    where = [partition_key(partition_of(key, ring.config.partitions), table) for table in ("cp", "due")]
    [stored] = checked(await ring.store.lists._client.run([command("HGET", where[0], key)]))
    state = msgspec.msgpack.decode(stored, type=ListState)
    state.due_ms = epoch_ms() - HOUR_MS
    calls = [command("HSET", where[0], key, encode(state), writes=True), command("ZADD", where[1], state.due_ms, key, writes=True)]
    checked(await ring.store.lists._client.run(calls))


async def listed(ring: Ring) -> list[str]:
    """Who is on the list, as the gateway says."""
    status, body, _ = await ring.call("GET", "/v1/fulfillment/kits%20%26%20more")
    assert status == 200
    return [one["contact"] for one in body["contacts"]]


def mail_of(ring: Ring, number: int = 0) -> Any:
    return message_from_bytes(ring.mail.mails[number][2], policy=policy.default)


def file_of(message: Any) -> list[dict[str, str]]:
    (file,) = message.iter_attachments()
    return list(csv.DictReader(io.StringIO(file.get_payload(decode=True).decode("utf-8-sig"))))


async def test_a_list_is_mailed_once_and_emptied() -> None:
    async with running() as ring:
        await set_up(ring)
        await put(ring, *(f"c{number}" for number in range(30)))
        await put(ring, "c29", event="off")
        await let_time_come(ring)
        await ring.start_pools("email", "lists")
        ring.start_shard()
        await until(lambda: bool(ring.mail.mails))
        await ring.carried("email", "lists")
        rows = file_of(mail_of(ring))
        assert sorted(row["contact"] for row in rows) == sorted(f"c{number}" for number in range(29))
        assert {row["note"] for row in rows} == {"'" + HOSTILE}
        assert {row["name"] for row in rows} >= {"Zoë c0"}
        assert await listed(ring) == []
        assert await ring.effects("email") == {"decided": 1, "delivered": 1}
        assert await ring.effects("lists") == {"decided": 2, "delivered": 2}
        await ring.stop_shards()
        ring.start_shard()  # nothing is due any more
        await put(ring, "late")
        await ring.carried("email", "lists")
        assert len(ring.mail.mails) == 1
        assert await listed(ring) == ["late"]
        await ring.conserved()


async def test_a_large_list_is_fetched_by_its_link_without_a_key() -> None:
    async with running(attachment_bytes_max=3_000, export_page_rows=7) as ring:
        await set_up(ring, columns=["contact", "name"])
        await put(ring, *(f"c{number:03}" for number in range(300)))
        await let_time_come(ring)
        await ring.start_pools("email", "lists")
        ring.start_shard()
        await ring.carried("email", "lists")
        await until(lambda: bool(ring.mail.mails))
        await ring.carried("email", "lists")
        assert await listed(ring) == []
        message = mail_of(ring)
        assert not list(message.iter_attachments())
        text = message.get_body(("plain",)).get_content().replace("=\n", "")
        (link,) = [line.partition(":8080")[2] for line in text.splitlines() if line.startswith("http://127.0.0.1:8080/")]
        async with ring.client.get(link) as answer:
            assert (answer.status, answer.content_type) == (200, "text/csv")
            assert answer.headers["Content-Disposition"].startswith('attachment; filename="kits---more-20')
            rows = list(csv.DictReader(io.StringIO((await answer.read()).decode("utf-8-sig"))))
        assert sorted(row["contact"] for row in rows) == [f"c{number:03}" for number in range(300)]
        assert set(rows[0]) == {"contact", "name"}
        # who is erased is gone from it at once; other links are worth nothing
        await ring.call("DELETE", "/v1/contacts/c007")
        await ring.read_on()
        async with ring.client.get(link) as answer:
            assert "c007" not in await answer.text()
        for wrong in (link[:-8] + ("A" if link[-8] != "A" else "B") + link[-7:], link.replace("kits", "kats"), link.rpartition("/")[0] + "/x"):
            async with ring.client.get(wrong) as answer:
                assert answer.status == 404


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("last", [1, 2, 3])
async def test_a_shard_that_dies_on_the_way_neither_loses_nor_repeats_a_sending(last: int, written: bool) -> None:
    async with running() as ring:
        await set_up(ring)
        await put(ring, *(f"c{number}" for number in range(10)))
        await let_time_come(ring)
        await ring.start_pools("email", "lists")
        shard = ring.start_shard(lambda commits: Dying(commits, last, written))
        await until(shard.dead.is_set)
        ring.start_shard()

        async def emptied() -> bool:
            return not await listed(ring)

        await until(emptied)
        await ring.carried("email", "lists")
        assert [len(file_of(mail_of(ring, number))) for number in range(len(ring.mail.mails))] == [10]
        assert await ring.effects("email") == {"decided": 1, "delivered": 1}
        assert await ring.effects("lists") == {"decided": 2, "delivered": 2}


async def test_what_a_dying_pool_had_mailed_is_unknown_and_the_list_stays() -> None:
    async with running(claim_lease_ms=700, send_timeout_ms=400) as ring:
        await set_up(ring)
        await put(ring, "ann", "bob")
        await let_time_come(ring)
        deaf = Deaf(ring.store.outbox)
        await ring.start_pools("lists")
        lists = ring.pools.pop("lists")
        await ring.start_pools("email", outbox=deaf)  # type: ignore[arg-type]
        ring.start_shard()
        await until(lambda: bool(deaf.unheard))
        await ring.kill_pools()
        await ring.start_pools("email")
        ring.pools["lists"] = lists
        await ring.carried("email", "lists")
        assert await ring.effects("email") == {"decided": 1, "unknown": 1}
        (entry,) = (await ring.call("GET", "/v1/unknown"))[1]["unknown"]
        assert (entry["kind"], entry["contact"], entry["element"]) == ("fulfillment", f"fulfillment:{NAME}", NAME)
        assert len(ring.mail.mails) == 1
        assert await listed(ring) == ["ann", "bob"]


async def test_a_killed_pool_of_lists_leaves_its_job_to_the_next() -> None:
    async with running(claim_lease_ms=700, send_timeout_ms=400) as ring:
        await set_up(ring)
        await put(ring, "ann", "bob")
        await let_time_come(ring)
        deaf = Deaf(ring.store.outbox)
        await ring.start_pools("lists", outbox=deaf)  # type: ignore[arg-type]
        ring.start_shard()
        await until(lambda: bool(deaf.unheard))  # the export is made, and nobody will hear of it
        await ring.kill_pools()
        await put(ring, "cyd")
        await ring.start_pools("lists", "email")

        async def emptied() -> bool:
            return await listed(ring) == ["cyd"]

        await until(emptied)
        assert [row["contact"] for row in sorted(file_of(mail_of(ring)), key=lambda row: row["contact"])] == ["ann", "bob"]
        await ring.carried("email", "lists")
        assert await ring.effects("lists") == {"decided": 2, "delivered": 2}
