"""Contacts over HTTP: change, read, erase."""

from __future__ import annotations

import pytest

from engine.codec import encode
from engine.core.contact import FORMAT, Contact, Order, Purchase, Task, Transaction
from engine.core.index import entries
from engine.core.records import Erase, Update


async def test_a_change_stands_in_the_log_as_it_was_sent(gateway):
    body = {
        "contact": "ann",
        "fields": {"ltv": 5, "email": None},
        "tags": {"add": ["lead"], "remove": ["cold"]},
        "consent": {"sms": "subscribed"},
        "timezone": "Europe/Paris",
    }
    answer = await gateway.call("POST", "/v1/contacts", body, scope="ingest")
    assert (answer.status, await answer.json()) == (202, {"accepted": 1})
    assert gateway.records() == [Update("ann", {"ltv": 5, "email": None, "timezone": "Europe/Paris"}, ["lead"], ["cold"], {"sms": "subscribed"})]


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"fields": {"tag": 1}}, "tag"),
        ({"fields": {"event.x": 1}}, "event.x"),
        ({"fields": {"": 1}}, "fields"),
        ({"fields": {"x": 2**64}}, "64 bits"),
        ({"fields": {"timezone": "Mars/Olympus"}}, "IANA"),
        ({"fields": {"timezone": {}}}, "IANA"),
        ({"timezone": "../../etc/passwd"}, "IANA"),
        ({"tags": {"add": [""]}}, "tags"),
        ({"tags": {"add": ["a\x00"]}}, "tags"),
        ({"tags": ["a"]}, "tags"),
        ({"consent": {"email": "maybe"}}, "consent"),
        ({"consent": {"email=x sms": "subscribed"}}, "channel"),
        ({"email": "ann@example.com"}, "email"),
    ],
)
async def test_what_no_change_may_hold(gateway, more, word):
    answer = await gateway.call("POST", "/v1/contacts", [{"contact": "ann"}, {"contact": "ann", **more}])
    body = await answer.json()
    assert (answer.status, body["accepted"], body["rejected"][0]["index"]) == (207, 1, 1)
    assert word in body["rejected"][0]["error"]


async def test_a_hostile_field_name_is_only_a_name(gateway):
    assert (await gateway.call("POST", "/v1/contacts", {"contact": "a", "fields": {"__proto__": {"constructor": 1}}})).status == 202


async def test_a_contact_is_shown_with_its_record(gateway):
    purchases = {"course": Purchase(2, 198.0, 5)}
    contact = Contact(
        FORMAT, "ann/é", fields={"ltv": 5}, tags=["lead"], consent={"email": "subscribed"}, purchases=purchases, tasks=[Task("t1", 1, "m", 1, "call", 7, 8)]
    )
    contact.orders["o1"] = Order("open", product="course", subscription="sub_1", at=9)
    contact.transactions["in_1"] = Transaction("collections", invoice="in_1", amount=20, at=9, by="e" * 32, since=9)
    gateway.commit("ann/é", contacts={"ann/é": encode(contact)})
    answer = await gateway.call("GET", "/v1/contacts/ann%2F%C3%A9", scope="read")
    assert answer.status == 200
    assert await answer.json() == {
        "contact": "ann/é",
        "fields": {"ltv": 5},
        "tags": ["lead"],
        "consent": {"email": "subscribed"},
        "purchases": {"course": {"quantity": 2, "total": 198, "last_ms": 5}},
        "memberships": {},
        "orders": {"o1": {"status": "open", "product": "course", "subscription": "sub_1", "at_ms": 9}},
        "transactions": {"in_1": {"status": "collections", "invoice": "in_1", "amount": 20, "recharging": True, "at_ms": 9}},
        "tasks": [{"id": "t1", "map": "m", "element": "call", "assigned_ms": 7, "due_ms": 8}],
        "enrollments": [],
    }


async def test_an_unknown_contact_is_404(gateway):
    assert (await gateway.call("GET", "/v1/contacts/nobody")).status == 404


async def test_an_erasure_is_a_record_and_is_audited(gateway):
    assert (await gateway.call("DELETE", "/v1/contacts/ann", scope="ingest")).status == 403
    assert (await gateway.call("DELETE", "/v1/contacts/ann")).status == 202
    assert gateway.records() == [Erase("ann")]
    acts = (await (await gateway.call("GET", "/v1/audit")).json())["acts"]
    assert (acts[0]["what"], acts[0]["who"], acts[0]["contact"]) == ("erase contact", "admin", "ann")


async def test_contacts_are_looked_up_by_address_and_number(gateway):
    gateway.commit("ann", index=dict.fromkeys(entries("ann", {"email": "Ann@Example.com", "phone": "+12025550123"}), True))
    gateway.commit("bob", index=dict.fromkeys(entries("bob", {"email": "bob@example.com", "phone": "(202) 555-0123", "country": "us"}), True))
    for query, found in (
        ("email=ann%40EXAMPLE.com", ["ann"]),
        ("phone=%2B12025550123", ["ann", "bob"]),
        ("phone=+1%20202%20555%200123", ["ann", "bob"]),
        ("phone=12025550123", ["ann", "bob"]),
        ("email=eve%40example.com", []),
    ):
        answer = await gateway.call("GET", f"/v1/contacts?{query}", scope="read")
        assert (answer.status, await answer.json()) == (200, {"contacts": found}), query


@pytest.mark.parametrize("query", ["", "email=&phone=", "email=a%40b.c&phone=1", "email=nobody", "email=a%40b%00c", "phone=none", "phone=%00", "phone=1"])
async def test_a_look_up_asks_for_one_thing_that_can_be(gateway, query):
    assert (await gateway.call("GET", f"/v1/contacts?{query}")).status == 400


async def test_a_look_up_needs_the_scope_read(gateway):
    assert (await gateway.call("GET", "/v1/contacts?email=a%40b.c", scope="ingest")).status == 403
