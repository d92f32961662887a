"""Publishing: numbers, versions, differences, races."""

from __future__ import annotations

import pytest

from actions.registry import load_registry
from engine.config import Config
from engine.core.errors import InvalidDocument
from engine.publish import Raced, publish, with_map
from engine.storage.memory import MemoryStore

CONFIG = Config(partitions=2)
REGISTRY = load_registry()


def a_map(name, tag="vip"):
    return {"map": name, "triggers": [{"event": "order.placed"}], "path": [{"id": "mark", "change_tags": {"add": [tag]}}, "exit"]}


@pytest.fixture
def workspaces():
    return MemoryStore(CONFIG, lambda: 1_000).workspaces


async def put(workspaces, documents, *, plan=False):
    return await publish(workspaces, lambda _: documents, REGISTRY, CONFIG, 1_000, plan=plan)


def told(publication):
    return [(one.what, one.name, one.change, one.version) for one in publication.changes]


async def test_only_what_changed_gets_a_new_version(workspaces):
    first = await put(workspaces, {"maps": [a_map("a"), a_map("b")]})
    second = await put(workspaces, {"maps": [a_map("a"), a_map("b", "gold")], "products": {"course": {"name": "Course", "price": 99}}})
    assert (first.number, told(first)) == (1, [("map", "a", "added", 1), ("map", "b", "added", 1)])
    assert (second.number, told(second)) == (2, [("map", "b", "changed", 2), ("products", "course", "added", 0)])
    snapshot = await workspaces.get(2)
    assert {name: sorted(known) for name, known in snapshot.versions.items()} == {"a": ["1"], "b": ["1", "2"]}
    assert snapshot.versions["b"]["1"] == a_map("b")


async def test_publishing_the_same_again_publishes_nothing(workspaces):
    await put(workspaces, {"maps": [a_map("a")]})
    again = await put(workspaces, {"maps": [a_map("a")], "products": {}})
    assert (again.published, again.number, again.changes) == (False, 1, [])


async def test_a_plan_only_tells(workspaces):
    plan = await put(workspaces, {"maps": [a_map("a")]}, plan=True)
    assert (plan.published, plan.number, told(plan)) == (False, 0, [("map", "a", "added", 1)])
    assert await workspaces.newest() == 0


async def test_a_removed_map_keeps_its_versions_and_comes_back_under_the_next_number(workspaces):
    await put(workspaces, {"maps": [a_map("a"), a_map("b")]})
    removed = await put(workspaces, {"maps": [a_map("b")]})
    assert told(removed) == [("map", "a", "removed", 0)]
    assert "a" in (await workspaces.get(2)).versions
    back = await put(workspaces, {"maps": [a_map("b"), a_map("a", "new")]})
    assert told(back) == [("map", "a", "added", 2)]


async def test_an_invalid_document_publishes_nothing_and_tells_every_problem(workspaces):
    broken = a_map("a")
    broken["path"] = [{"send_fax": {}}, {"go_to": "nowhere"}]
    with pytest.raises(InvalidDocument) as caught:
        await put(workspaces, {"maps": [broken]})
    assert len(caught.value.problems) >= 2
    assert await workspaces.newest() == 0


@pytest.mark.parametrize(
    "documents", [{"maps": 7}, {"maps": [7]}, {"maps": [{"map": 7}]}, {"maps": [{}]}, {"templates": []}, {"unheard": {}}, {"maps": [a_map("a"), a_map("a")]}]
)
async def test_nonsense_is_an_invalid_document(workspaces, documents):
    with pytest.raises(InvalidDocument):
        await put(workspaces, documents)


async def test_two_publishers_at_once_both_get_in(workspaces):
    await put(workspaces, {"maps": [a_map("a")]})
    straight, raced = workspaces.publish, []

    async def slower(snapshot, expected):
        if not raced:
            raced.append(True)
            await put(workspaces, {"maps": [a_map("a"), a_map("b")]})
        return await straight(snapshot, expected)

    workspaces.publish = slower
    done = await publish(workspaces, lambda documents: with_map(documents, a_map("c")), REGISTRY, CONFIG, 1_000)
    assert done.number == 3
    assert [document["map"] for document in (await workspaces.get(3)).documents["maps"]] == ["a", "b", "c"]


async def test_a_publisher_that_is_always_slower_gives_up(workspaces):
    async def never(snapshot, expected):
        return False

    workspaces.publish = never
    with pytest.raises(Raced):
        await put(workspaces, {"maps": [a_map("a")]})
