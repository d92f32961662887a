"""Exports of fulfillment lists: made once, never changed, erased from, and what they take off the list again."""

from __future__ import annotations

from typing import Any

import pytest

from engine.core.effects import Row
from engine.core.errors import WayfareError
from engine.core.fulfillment import Export, export_table
from tests.conformance.making import commit, take

EXPORT = Export("kits", 3, 1_000)
LIFE_MS = 60_000


def put(storage: Any, leases: list[Any], rows: dict[str, bytes | None], table: str = "fulfillment:kits") -> None:
    """Rows by contact; the first letter says in which partition."""
    for number, lease in enumerate(leases):
        commit(storage, lease, rows=[Row(table, contact, row) for contact, row in rows.items() if ord(contact[0]) % 4 == number])


async def export_rows(storage: Any, export: Export = EXPORT) -> dict[str, bytes | None]:
    found: dict[str, bytes | None] = {}
    for partition in range(4):
        contacts = await storage.lists.contacts(export, partition)
        assert contacts is not None
        found.update(zip(contacts, await storage.lists.rows(export, partition, contacts), strict=True))
    return found


async def test_an_export_is_made_once_and_does_not_change(storage):
    leases = [take(storage, number) for number in range(4)]
    put(storage, leases, {"ann": b"A", "bob": b"B", "cyd": b"C"})
    assert await storage.lists.freeze(EXPORT, LIFE_MS) == 3
    put(storage, leases, {"ann": None, "bob": b"B2", "dan": b"D"})
    assert await storage.lists.freeze(EXPORT, LIFE_MS) == 3
    assert await export_rows(storage) == {"ann": b"A", "bob": b"B", "cyd": b"C"}
    assert await storage.directory.rows("fulfillment:kits") == {"bob": b"B2", "cyd": b"C", "dan": b"D"}


async def test_only_what_was_exported_is_taken_off(storage):
    leases = [take(storage, number) for number in range(4)]
    put(storage, leases, {"ann": b"A", "bob": b"B", "cyd": b"C"})
    await storage.lists.freeze(EXPORT, LIFE_MS)
    put(storage, leases, {"bob": b"B2", "cyd": None, "dan": b"D"})
    for _ in range(2):  # a second time changes nothing
        for partition in range(4):
            await storage.lists.take_off(EXPORT, partition, await storage.lists.contacts(EXPORT, partition))
        assert await storage.directory.rows("fulfillment:kits") == {"bob": b"B2", "dan": b"D"}
    assert len(await export_rows(storage)) == 3


async def test_a_newer_export_takes_the_place_of_an_older_one_and_never_the_other_way_round(storage):
    leases = [take(storage, number) for number in range(4)]
    newer = Export("kits", 3, 2_000)
    put(storage, leases, {"ann": b"A"})
    await storage.lists.freeze(EXPORT, LIFE_MS)
    put(storage, leases, {"bob": b"B"})
    assert await storage.lists.freeze(newer, LIFE_MS) == 2
    assert await storage.lists.contacts(EXPORT, ord("a") % 4) is None
    with pytest.raises(WayfareError, match="newer"):
        await storage.lists.freeze(EXPORT, LIFE_MS)
    with pytest.raises(WayfareError, match="gone"):
        await storage.lists.take_off(EXPORT, ord("a") % 4, ["ann"])
    assert sorted(await export_rows(storage, newer)) == ["ann", "bob"]


async def test_an_empty_list_is_exported_empty_and_stays_so(storage):
    leases = [take(storage, number) for number in range(4)]
    assert await storage.lists.freeze(EXPORT, LIFE_MS) == 0
    put(storage, leases, {"ann": b"A"})
    assert await storage.lists.freeze(EXPORT, LIFE_MS) == 0
    assert await export_rows(storage) == {}


async def test_an_erasure_reaches_exports(storage):
    leases = [take(storage, number) for number in range(4)]
    put(storage, leases, {"ann": b"A", "bob": b"B"})
    await storage.lists.freeze(EXPORT, LIFE_MS)
    put(storage, leases, {"ann": None}, export_table("kits", 3))
    assert await export_rows(storage) == {"bob": b"B"}
    assert await storage.lists.rows(EXPORT, ord("a") % 4, ["ann"]) == [None]


async def test_an_export_expires(storage):
    leases = [take(storage, number) for number in range(4)]
    put(storage, leases, {"ann": b"A"})
    await storage.lists.freeze(EXPORT, 30)
    await storage.pass_ms(40)
    assert [await storage.lists.contacts(EXPORT, number) for number in range(4)] == [None] * 4
