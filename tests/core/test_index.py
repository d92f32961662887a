"""What a step says of the index by address and phone."""

from __future__ import annotations

from engine.core.contact import FORMAT, Contact
from engine.core.effects import Changes
from engine.core.records import Erase, Event, Update
from engine.core.step import step
from tests.core.stepping import NOW, Bench, workspace_of

ANN, PHONE = "email\x00ann@example.com\x00ann", "phone\x00+12025550100\x00ann"


def bench() -> Bench:
    path = [{"update_contact": {"set": {"email": {"value_of": "event.email"}}}}]
    return Bench(workspace_of({"map": "moved", "triggers": [{"event": "moved"}], "path": path}))


def test_entries_come_with_the_fields_and_go_with_them():
    one = bench()
    one.step(Update("ann", {"email": " Ann@Example.com", "phone": "+1 202-555-0100", "ltv": 3}))
    assert one.changes.index == {ANN: True, PHONE: True}
    one.step(Update("ann", {"email": "eve@example.com"}))
    assert one.changes.index == {ANN: False, "email\x00eve@example.com\x00ann": True}
    one.step(Update("ann", {"email": None, "phone": "none"}))
    assert one.changes.index == {"email\x00eve@example.com\x00ann": False, PHONE: False}


def test_a_record_of_other_things_changes_nothing():
    one = bench()
    one.step(Update("ann", {"email": "ann@example.com"}))
    for record in (Update("ann", {"ltv": 5}), Update("ann", {"email": "ANN@example.com"}), Event("ann", "order.placed", {"email": "x@example.com"})):
        one.step(record)
        assert one.changes.index == {}


def test_the_country_reads_a_number_without_a_plus():
    one = bench()
    one.step(Update("ann", {"phone": "(202) 555-0100"}))
    assert one.changes.index == {}
    one.step(Update("ann", {"country": "us"}))
    assert one.changes.index == {PHONE: True}
    one.step(Update("ann", {"country": "GB"}))
    assert one.changes.index[PHONE] is False


def test_what_a_map_sets_is_indexed():
    one = bench()
    one.step(Event("ann", "moved", {"email": "ann@example.com"}))
    assert one.changes.index == {ANN: True}


def test_an_erased_contact_is_found_no_more():
    one = bench()
    one.step(Update("ann", {"email": "ann@example.com", "phone": "+12025550100"}))
    one.step(Erase("ann"))
    assert one.changes.index == {ANN: False, PHONE: False}


def test_hostile_values_make_no_entry():
    one = bench()
    one.step(Update("ann", {"email": "a@example.com\x00eve", "phone": {"$gt": ""}, "country": ["US"]}))
    assert one.changes.index == {}


def test_of_several_changes_in_a_batch_the_last_counts():
    workspace, changes, contact = workspace_of(), Changes(), Contact(FORMAT, "ann")
    for email in ("ann@example.com", "eve@example.com", "ann@example.com"):
        step(contact, Update("ann", {"email": email}), NOW, workspace, changes)
    assert changes.index == {ANN: True, "email\x00eve@example.com\x00ann": False}
