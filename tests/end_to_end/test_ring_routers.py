"""Lead routers across two shards, of which one is killed: the turns are exact, every lead gets one owner and goes on."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from engine.core.partitioning import partition_of
from tests.end_to_end.ring import Killed, Ring, running, until
from tests.end_to_end.test_ring_takeover import Dying

LEADS = 200
TEAM = {"eve": {}, "fay": {}, "gus": {}}
MAPS: list[dict[str, Any]] = [
    {
        "map": "lead",
        "triggers": [{"event": "lead"}],
        "path": [{"id": "route", "add_to_lead_router": {"router": "inbound"}}, {"change_tags": {"add": ["routed"]}}, "exit"],
    },
    {"map": "seen", "reentry": "parallel", "triggers": [{"field_changed": "owner"}], "path": [{"update_contact": {"increase": {"owners": 1}}}, "exit"]},
]
ROUND = {"inbound": {"kind": "round_robin", "members": ["eve", "fay", "gus"]}}
WEIGHTED = {"inbound": {"kind": "weighted", "members": {"eve": 50, "fay": 30, "gus": 20}}}
HOME = partition_of("router:inbound", 4)


async def send_leads(ring: Ring, numbers: range) -> None:
    """In many requests at once."""
    events = [{"contact": f"lead-{number}", "name": "lead"} for number in numbers]
    await asyncio.gather(*(ring.accepted("/v1/events", events[at : at + 10]) for at in range(0, len(events), 10)))


async def owners(ring: Ring) -> dict[str, str]:
    """Who got whom; each lead went on, with one owner that was set once."""
    found = {}
    for number in range(LEADS):
        contact = await ring.contact(f"lead-{number}")
        assert contact["tags"] == ["routed"], contact
        assert contact["fields"]["owners"] == 1
        found[contact["contact"]] = contact["fields"]["owner"]
    return found


async def settled(ring: Ring) -> None:
    async def all_exited() -> bool:
        return not await ring.lag() and (await ring.counters()).get("map:lead:exited", 0) == LEADS

    await until(all_exited, "every lead went on")


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("victim", ["home", "other"])
async def test_round_robin_is_exact_across_shards_and_a_kill(victim: str, written: bool) -> None:
    async with running() as ring:
        await ring.publish({"maps": MAPS, "routers": ROUND, "team": TEAM})
        others = [number for number in range(4) if number != HOME]
        mine, theirs = ([HOME, others[0]], others[1:]) if victim == "home" else (others[:2], [HOME, others[2]])
        dies = ring.start_shard(lambda commits: Dying(commits, 3, written), mine)
        lives = ring.start_shard(partitions=theirs)
        sending = asyncio.create_task(send_leads(ring, range(LEADS)))
        await until(dies.dead.is_set)
        await sending
        lives.shard.assign(frozenset(range(4)))
        await settled(ring)
        found = Counter((await owners(ring)).values())
        assert sum(found.values()) == LEADS
        assert max(found.values()) - min(found.values()) <= 1, found
        assert found.keys() == {"eve", "fay", "gus"}
        await ring.conserved()


async def test_a_weighted_router_gives_the_same_on_two_shards_as_on_one() -> None:
    drawn = []
    for shards in ([range(4)], [[0, 1], [2, 3]]):
        async with running() as ring:
            await ring.publish({"maps": MAPS, "routers": WEIGHTED, "team": TEAM})
            for partitions in shards:
                ring.start_shard(partitions=list(partitions))
            await send_leads(ring, range(LEADS))
            await settled(ring)
            drawn.append(await owners(ring))
    assert drawn[0] == drawn[1]
    shares = Counter(drawn[0].values())
    assert all(abs(shares[name] - LEADS * weight / 100) < 25 for name, weight in WEIGHTED["inbound"]["members"].items()), shares  # three deviations


class DyingAsker(Dying):
    """The shard dies with its question committed and not yet delivered to the router's home."""

    def commit(self, commits: Any) -> Any:
        answer = self._commits.commit(commits)
        if any(commit.posts for _, commit in commits):
            raise Killed
        return answer


@pytest.mark.parametrize(("routers", "team", "owner"), [({"inbound": {"kind": "round_robin", "members": ["gus"]}}, {"gus": {}}, "gus"), ({}, {}, None)])
async def test_a_router_that_changed_before_it_was_reached(routers: dict[str, Any], team: dict[str, Any], owner: str | None) -> None:
    """A member who left gets nothing; without the router the lead goes on as it is."""
    async with running() as ring:
        await ring.publish({"maps": MAPS, "routers": ROUND, "team": TEAM})
        shard = ring.start_shard(lambda commits: DyingAsker(commits, 0, written=True))
        await ring.accepted("/v1/events", {"contact": "ann", "name": "lead"})
        await until(shard.dead.is_set)
        await ring.publish({"maps": MAPS if routers else MAPS[1:], "routers": routers, "team": team})
        ring.start_shard()

        async def went_on() -> bool:
            return (await ring.contact("ann"))["tags"] == ["routed"]

        await until(went_on)
        assert (await ring.contact("ann"))["fields"].get("owner") == owner
        await ring.conserved()
