"""Memberships at a site that believes nothing but `standardwebhooks`, the library of the Standard Webhooks project, through the whole ring."""

from __future__ import annotations

from typing import Any

import pytest
import standardwebhooks

from tests.counterparts.proofs import proves
from tests.end_to_end.ring import Host, Ring, running, until
from tests.end_to_end.test_ring_sending import Deaf

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MAPS = [
    {
        "map": "academy",
        "reentry": "parallel",
        "triggers": [{"event": "order.placed"}],
        "path": [
            {"update_membership": {"site": "academy", "level": "gold", "status": "enabled"}},
            {"id": "refund", "wait": {"event": "order.refunded"}},
            {"update_membership": {"site": "academy", "status": "disabled"}},
            "exit",
        ],
    },
    {"map": "welcome", "triggers": [{"membership_changed": {"site": "academy", "status": "enabled"}}], "path": [{"change_tags": {"add": ["member"]}}, "exit"]},
]


async def start(ring: Ring, host: Host) -> None:
    await ring.publish({"maps": MAPS, "providers": {"membership": {"academy": {"url": f"{host.url}/access?v=1", "secret": SECRET}}}})
    ring.start_shard()
    await ring.accepted("/v1/contacts", {"contact": "ann", "fields": {"email": "ann@example.com", "first_name": "Ann\r\nX-Evil: 1"}})
    await ring.accepted("/v1/events", {"contact": "ann", "name": "order.placed"})
    await ring.read_on()


def verified(request: dict[str, Any], secret: str = SECRET) -> Any:
    """The body as JSON; an error where the signature does not hold."""
    return standardwebhooks.Webhook(secret).verify(request["body"], request["headers"])


@proves(
    "update_membership",
    "a receiver that verifies with `standardwebhooks`",
    "each level arrives signed with its status; the record has changed and fires `membership.changed`",
)
async def test_a_membership_is_on_record_and_told_with_a_signature_that_holds() -> None:
    async with running() as ring, Host() as host:
        await host.listen()
        await start(ring, host)
        contact = await ring.contact("ann")
        assert (contact["memberships"], contact["tags"]) == ({"academy": {"gold": "enabled"}}, ["member"]), "on record before anybody was told"
        await ring.start_pools("membership")
        await ring.accepted("/v1/events", {"contact": "ann", "name": "membership.changed", "data": {"site": "academy", "level": "silver", "status": "enabled"}})
        await ring.accepted("/v1/events", {"contact": "ann", "name": "order.refunded"})
        await ring.carried("membership")
        told = [verified(request) for request in host.requests]
        said = [(one["level"], one["status"]) for one in told]
        assert said[0] == ("gold", "enabled")
        assert sorted(said[1:]) == [("gold", "disabled"), ("silver", "disabled")], "two levels of one instant, in any order"
        assert {(one["contact"], one["email"], one["site"], one["first_name"]) for one in told} == {("ann", "ann@example.com", "academy", "Ann X-Evil: 1")}
        assert told[0]["decided_ms"] < told[1]["decided_ms"]
        assert {request["path"] for request in host.requests} == {"/access?v=1"}
        assert len({one["id"] for one in host.taken}) == 3
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            verified(host.requests[0], "whsec_" + "A" * 32)
        assert (await ring.contact("ann"))["memberships"] == {"academy": {"gold": "disabled", "silver": "disabled"}}
        assert await ring.effects("membership") == {"decided": 3, "delivered": 3}


async def test_a_crash_after_the_site_was_told_tells_it_again_with_the_same_id() -> None:
    async with running(claim_lease_ms=700, send_timeout_ms=400) as ring, Host() as host:
        await host.listen()
        await start(ring, host)
        deaf = Deaf(ring.store.outbox)
        await ring.start_pools("membership", outbox=deaf)  # type: ignore[arg-type]
        await until(lambda: len(deaf.unheard) == 1)
        await ring.kill_pools()
        await ring.start_pools("membership")
        await ring.carried("membership")
        assert [one["id"] for one in host.taken] == [host.taken[0]["id"]] * 2
        assert [verified(request) for request in host.requests] == [verified(host.requests[0])] * 2
        assert await ring.effects("membership") == {"decided": 1, "delivered": 1}


async def test_a_site_that_refuses_our_signature_gets_everything_when_it_takes_it_again() -> None:
    async with running(credentials_retry_ms=50) as ring, Host() as host:
        await host.listen()
        host.behave = (401, {}, "bad signature")
        await start(ring, host)
        await ring.start_pools("membership")
        await until(lambda: len(host.requests) >= 2)
        assert await ring.effects("membership") == {"decided": 1, "pending": 1}
        host.behave = ""
        await ring.carried("membership")
        assert await ring.effects("membership") == {"decided": 1, "delivered": 1}
