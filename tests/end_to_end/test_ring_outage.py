"""An hour's outage of one webhook host, made short: the log does not fill, nobody else waits, and nothing is lost or doubled."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from engine.core.partitioning import partition_of
from tests.end_to_end.ring import Host, Ring, running, until

CONTACTS = 40
BEFORE = 12  # rounds of events before the host is back
ROUNDS = 16  # in all
SENT = CONTACTS * ROUNDS
MAX = 15  # unsettled per partition and host: far fewer than are sent


def documents(sick: Host, well: Host) -> dict[str, Any]:
    def hook(name: str, host: Host) -> dict[str, Any]:
        # `told` counts the decisions of one contact: in order, the number of each event is what was told before it.
        body = f"{{{{ contact }}}} {{{{ event.number }}}} {{{{ told_{name} }}}}"
        path = [
            {"id": "tell", "send_webhook": {"url": f"{host.url}/{name}", "body": body}},
            {"update_contact": {"increase": {f"told_{name}": 1}}},
            "exit",
        ]
        return {"map": name, "reentry": "parallel", "triggers": [{"event": "go"}], "path": path}

    mail = {"map": "mail", "reentry": "parallel", "triggers": [{"event": "go"}], "path": [{"send_email": {"template": "hello.html"}}, "exit"]}
    return {"maps": [hook("sick", sick), hook("well", well), mail], "templates": {"hello.html": "---\nsubject: Hi\n---\n<p>Hi</p>"}}


async def send_rounds(ring: Ring, numbers: range) -> None:
    for number in numbers:
        await ring.accepted("/v1/events", [{"contact": f"c{contact}", "name": "go", "data": {"number": number}} for contact in range(CONTACTS)])


def check_bodies(host: Host) -> None:
    """Every event once, and each decided after the ones before it. Retries may overtake one another on their way."""
    told: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for one in host.taken:
        contact, number, before = one["body"].split(" ")
        told[contact].append((number, before))
    assert len({one["id"] for one in host.taken}) == len(host.taken) == SENT
    for contact, lines in told.items():
        assert sorted(int(number) for number, _ in lines) == list(range(ROUNDS)), contact
        assert all(number == (before or "0") for number, before in lines), (contact, lines)


async def test_an_outage_of_one_host_is_its_own() -> None:
    settings = {"outbox_effects_max": MAX, "log_records_max": 150, "send_timeout_ms": 150, "claim_lease_ms": 1_000, "in_flight_per_host_max": 4}
    async with running(**settings) as ring, Host() as sick, Host() as well:
        await well.listen()
        await ring.publish(documents(sick, well))
        ring.start_shard()
        await ring.start_pools("email", "webhook")
        await ring.accepted(
            "/v1/contacts", [{"contact": f"c{number}", "fields": {"contact": f"c{number}", "email": f"c{number}@example.com"}} for number in range(CONTACTS)]
        )

        # connections are refused
        await send_rounds(ring, range(BEFORE // 2))
        await ring.read_on()
        # it takes connections and says nothing
        sick.behave = "silence"
        await sick.listen()
        await until(lambda: len(sick.requests) > 3)
        await send_rounds(ring, range(BEFORE // 2, BEFORE))
        await ring.read_on()

        # all others have everything, while the log is read to its end
        await until(lambda: len(well.taken) == len(ring.mail.mails) == CONTACTS * BEFORE)
        assert not sick.taken
        await until(lambda: _holding(ring) == {f"webhook/{sick.dest}", f"parked:webhook/{sick.dest}"}, "only that host holds anything")
        partitions = range(ring.config.partitions)
        full = ring.shards[0].store.commits.full(list(partitions))
        assert all(full[number][f"webhook/{sick.dest}"] for number in partitions)
        parked = sum(full[number][f"parked:webhook/{sick.dest}"] for number in partitions)
        assert parked == CONTACTS * BEFORE - sum(full[number][f"webhook/{sick.dest}"] for number in partitions)
        assert parked >= CONTACTS * BEFORE // 2  # a batch may go beyond the bound, but what came once it was full has parked
        shown = await ring.contact("c0")
        assert {enrollment["map"] for enrollment in shown["enrollments"]} == {"sick"}
        assert {position["why"] for enrollment in shown["enrollments"] for position in enrollment["positions"]} == {f"channel_full:webhook/{sick.dest}"}
        stats = (await ring.call("GET", "/v1/maps/sick/stats"))[1]
        assert stats["conservation"]["active"] == parked
        await ring.conserved()

        # it is back; what comes now must not overtake what is parked
        sick.behave = ""
        for number in range(BEFORE, ROUNDS):
            seen = len(sick.taken)
            await send_rounds(ring, range(number, number + 1))
            await until(lambda seen=seen: len(sick.taken) > seen)
        await until(lambda: len(sick.taken) >= SENT)
        await ring.carried("email", "webhook")
        check_bodies(sick)
        check_bodies(well)
        await until(lambda: not _holding(ring), "nobody is parked")
        assert await ring.effects("webhook") == {"decided": 2 * SENT, "delivered": 2 * SENT}
        assert (await ring.contact("c0"))["fields"] == {"contact": "c0", "email": "c0@example.com", "told_sick": ROUNDS, "told_well": ROUNDS}
        assert Counter(one["body"].split(" ")[0] for one in sick.taken) == {f"c{number}": ROUNDS for number in range(CONTACTS)}
        assert {partition_of(f"c{number}", ring.config.partitions) for number in range(CONTACTS)} == set(partitions)
        await ring.conserved()


def _holding(ring: Ring) -> set[str]:
    """The places of the outbox with anything unsettled or parked."""
    full = ring.shards[0].store.commits.full(list(range(ring.config.partitions)))
    return {place for places in full.values() for place in places}
