"""Records through the whole ring: one by all channels and back, repetitions, what is malformed beside what is good, a full log."""

from __future__ import annotations

import asyncio
import gzip
from email import message_from_bytes, policy
from typing import Any
from urllib.parse import parse_qs

import msgspec
import standardwebhooks

from tests.end_to_end.ring import SECRET, Host, running, until

COUNT: dict[str, Any] = {
    "map": "count",
    "reentry": "parallel",
    "triggers": [{"event": "order"}],
    "path": [{"update_contact": {"increase": {"orders": 1}}}, "exit"],
}


def order(contact: str, number: int, **more: Any) -> dict[str, Any]:
    return {"contact": contact, "name": "order", "id": f"o-{number}", **more}


async def test_one_record_goes_round() -> None:
    welcome = {
        "map": "welcome",
        "triggers": [{"event": "order", "where": {"event.total": {"gte": 20}}}],
        "path": [
            {"id": "thanks", "send_email": {"template": "thanks.html"}},
            {"id": "text", "send_sms": {"text": "Thanks, {{ first_name }}!", "transactional": True}},
            {"id": "tell", "send_webhook": {"url": "HOST/orders", "body": {"who": "{{ first_name }}", "total": {"value_of": "event.total"}}}},
            {"id": "wrong", "wait": {"sms_failed": True, "timeout": "7d", "then": [{"change_tags": {"add": ["no-sms"]}}]}},
            {"id": "done", "end": True},
        ],
    }
    template = '---\nsubject: "Thanks, {{ first_name }}"\n---\n<p>{{ event.total }}</p>'
    async with running() as ring, Host() as host:
        await host.listen()
        welcome["path"][2]["send_webhook"]["url"] = f"{host.url}/orders"
        ring.sms.behave = (400, {"Content-Type": "application/json"}, '{"code": 21211, "message": "not a phone number"}')
        ring.start_shard()
        await ring.publish({"maps": [welcome], "templates": {"thanks.html": template}})
        await ring.start_pools()
        ann = {"contact": "ann", "fields": {"first_name": "Ann", "email": "ann@example.com", "phone": "+12025550123"}, "consent": {"sms": "subscribed"}}
        await ring.accepted("/v1/contacts", ann)
        await ring.accepted("/v1/events", [order("ann", 1, data={"total": 19}), order("ann", 2, data={"total": 99})])
        await ring.carried("email", "sms", "webhook")
        await until(lambda: bool(ring.mail.mails))

        [(_, to, mail)] = ring.mail.mails
        message = message_from_bytes(mail, policy=policy.default)
        assert "ann@example.com" in to
        assert message["Subject"] == "Thanks, Ann"
        assert "99" in message.as_string()
        [request] = host.requests
        assert standardwebhooks.Webhook(SECRET).verify(request["body"], request["headers"]) == {"who": "Ann", "total": 99}
        [sms] = ring.sms.requests
        assert parse_qs(sms["body"].decode())["Body"] == ["Thanks, Ann!"]
        shown = await ring.contact("ann")
        assert shown["tags"] == ["no-sms"]
        assert [position["element"] for position in shown["enrollments"][0]["positions"]] == ["done"]
        assert [await ring.effects(channel) for channel in ("email", "sms", "webhook")] == [
            {"decided": 1, "delivered": 1},
            {"decided": 1, "rejected": 1},
            {"decided": 1, "delivered": 1},
        ]
        stats = (await ring.call("GET", "/v1/maps/welcome/stats"))[1]
        assert stats["conservation"] == {
            "entered": 1,
            "active": 0,
            "resting": 1,
            **dict.fromkeys(("exited", "removed", "replaced", "merged", "erased"), 0),
            "drift": 0,
            "holds": True,
        }
        assert {"element": "wrong", "entered": 1, "waiting": 0} in stats["elements"]
        await ring.conserved()


async def test_repetitions_change_nothing() -> None:
    async with running() as ring:
        ring.start_shard()
        await ring.publish({"maps": [COUNT]})
        for _ in range(3):
            await ring.accepted("/v1/events", [order("ann", 1), order("ann", 2), order("ann", 1)])
        await ring.read_on()
        assert (await ring.contact("ann"))["fields"] == {"orders": 2}

        named = {"contact": "bob", "name": "order"}
        first = await ring.call("POST", "/v1/events", [named, {"contact": ""}], Idempotency_Key="k-1")
        again = await ring.call("POST", "/v1/events", [named, {"contact": ""}], Idempotency_Key="k-1")
        assert first[0] == 207
        assert first[:2] == again[:2]
        assert (await ring.call("POST", "/v1/events", [named], Idempotency_Key="k-1"))[0] == 422
        await ring.accepted("/v1/events", named, Idempotency_Key="k-2")
        await ring.read_on()
        assert (await ring.contact("bob"))["fields"] == {"orders": 2}
        assert (await ring.counters())["duplicates"] == 7


async def test_the_malformed_are_told_and_the_good_get_in() -> None:
    good = [order("ann", number) for number in range(4)]
    bad: list[Any] = [
        {"contact": "ann"},
        7,
        {"contact": "a\x00nn", "name": "order"},
        {"contact": "ann", "name": "order", "data": {"a": "x" * 40_000}},
        {"contact": "ann", "name": "order", "time": "yesterday"},
        {"contact": "ann", "name": "order", "data": {"n": 1 << 70}},
    ]
    deep: Any = {}
    for _ in range(60):
        deep = {"d": deep}
    hostile = {"__proto__": 1, "{p0}:meta": 2, "a b=c": 3, "x" * 150: 4, "\u202e": 5}
    async with running() as ring:
        ring.start_shard()
        await ring.publish({"maps": [COUNT]})
        mixed = [good[0], *bad[:3], good[1], *bad[3:], {"contact": "ann", "name": "order", "data": deep}]
        status, body, _ = await ring.call("POST", "/v1/events", mixed)
        assert (status, body["accepted"]) == (207, 2)
        assert [one["index"] for one in body["rejected"]] == [1, 2, 3, 5, 6, 7, 8]
        lines = b"\n".join([msgspec.json.encode(good[2]), b"{", b'{"contact": "\xff", "name": "order"}'])
        status, body, _ = await ring.call("POST", "/v1/events", gzip.compress(lines), Content_Type="application/x-ndjson", Content_Encoding="gzip")
        assert (status, body["accepted"], [one["index"] for one in body["rejected"]]) == (207, 1, [1, 2])
        status, body, _ = await ring.call("POST", "/v1/contacts", [{"contact": "ann", "fields": hostile}, {"contact": "ann", "fields": {"tag": 1}}])
        assert status in (207, 422)
        assert {"index": 1} in [{"index": one["index"]} for one in body["rejected"]]
        await ring.accepted("/v1/events", {**good[3], "data": hostile})

        whole: list[tuple[bytes, dict[str, str], int]] = [
            (b"", {}, 400),
            (b"{", {}, 400),
            (b"[1,2", {}, 400),
            (b"\xff\xfe", {}, 400),
            (b"[7]", {}, 422),
            (b"not gzip", {"Content_Encoding": "gzip"}, 400),
            (b"{}", {"Content_Encoding": "br"}, 415),
            (b"a,b", {"Content_Type": "text/csv"}, 415),
            (b"[" + b" " * (9 << 20) + b"]", {}, 413),
            (gzip.compress(b" " * (64 << 20)), {"Content_Encoding": "gzip"}, 413),
            (b"[" + b"1," * 10_001 + b"1]", {}, 413),
            (b"{}", {"Authorization": "Bearer nobody"}, 401),
            (b"{}", {"Idempotency_Key": "x" * 300}, 400),
        ]
        for sent, headers, expected in whole:
            status, problem, answered = await ring.call("POST", "/v1/events", sent, **headers)
            assert (status, sent[:20], headers, problem["type"][:10]) == (expected, sent[:20], headers, "/problems/")
            assert answered["Content-Type"].startswith("application/problem+json")
        for path, document in [("workspace", {"maps": [{"map": "m", "path": [{"wat": 1}]}]}), ("maps/count", {"map": "other", "path": []}), ("workspace", [])]:
            status, problem, _ = await ring.call("PUT", f"/v1/{path}", document)
            assert (status, bool(problem.get("problems") or problem.get("detail"))) == (422, True)

        await ring.read_on()
        assert (await ring.contact("ann"))["fields"] == {"orders": 4}
        assert not await ring.store.directory.set_aside(10)


async def test_a_full_log_is_told_and_what_was_accepted_is_applied() -> None:
    async with running(log_records_max=100) as ring:
        await ring.publish({"maps": [COUNT]})
        accepted, retry_after = 0, ""
        while not retry_after:
            events = [{"contact": f"c{number % 50}", "name": "order"} for number in range(100)]
            status, body, headers = await ring.call("POST", "/v1/events", events)
            assert status in (202, 207, 429)
            accepted += body["accepted"] if status < 300 else 0
            retry_after = headers["Retry-After"] if status == 429 else ""
        assert int(retry_after) >= 1
        assert 400 <= accepted < 1_000
        # the watch of the gateway soon refuses without reading the body
        await until(lambda: ring.services.admission.full)
        assert (await ring.call("POST", "/v1/events", b"{"))[0] == 429
        ring.start_shard()
        await ring.read_on()
        contacts = await asyncio.gather(*(ring.contact(f"c{number}") for number in range(50)))
        assert sum(contact.get("fields", {}).get("orders", 0) for contact in contacts) == accepted

        async def welcome_again() -> bool:
            return (await ring.call("POST", "/v1/events", order("ann", 1)))[0] == 202

        await until(welcome_again)
