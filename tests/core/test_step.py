"""The step: what stands in commits beside what golden scripts show. Outboxes, bounds, versions, erasure, consent, ids."""

from typing import Any

import pytest

from engine.config import Config
from engine.core.contact import PARKED, Contact, due_of
from engine.core.effects import effect_id
from engine.core.errors import InvalidDocument
from engine.core.live_edit import preview
from engine.core.records import Command, Erase, Event, Outcome, Posted, Update
from engine.core.step import is_blank
from tests.core.stepping import DAY, HOUR, NOW, Bench, workspace_of

HOOK = {"id": "hook", "send_webhook": {"url": "https://hooks.example.com/a", "method": "POST", "body": "{{ event.n }}"}}
HOOKS = frozenset({"webhook/hooks.example.com"})


def hook_map(**more: Any) -> dict[str, Any]:
    return {"map": "m", "triggers": [{"event": "go"}], "path": [HOOK, {"id": "after", "change_tags": {"add": ["after"]}}, {"id": "fin", "end": True}], **more}


def test_an_effect_has_an_id_of_what_decided_it_and_the_same_step_decides_the_same() -> None:
    workspace = workspace_of(hook_map())
    decided = []
    for _ in range(2):
        bench = Bench(workspace)
        bench.step(Event("ann", "go", {"n": 5}))
        decided.append(bench.changes.effects)
    assert decided[0] == decided[1]
    effect = decided[0][0]
    assert effect.id == effect_id("ann", 7, 1, 1, 0)
    assert (effect.kind, effect.channel, effect.dest, effect.params["body"]) == ("send_webhook", "webhook", "hooks.example.com", "5")


def test_a_full_outbox_parks_the_position_and_a_release_runs_its_element_again() -> None:
    bench = Bench(workspace_of(hook_map()))
    contact = bench.step(Event("ann", "go", {"n": 1}), full=HOOKS)
    position = contact.enrollments[0].positions[0]
    assert (position.state, position.why) == (PARKED, "channel_full:webhook/hooks.example.com")
    assert bench.changes.effects == []
    assert bench.changes.parked == [("webhook/hooks.example.com", "ann")]
    contact = bench.step(Command("ann", "release", "webhook/hooks.example.com"), full=HOOKS)
    assert contact.enrollments[0].positions[0].state == PARKED
    assert bench.changes.parked == [("webhook/hooks.example.com", "ann")]
    contact = bench.step(Command("ann", "release", "webhook/hooks.example.com"))
    assert [effect.params["body"] for effect in bench.changes.effects] == ["1"]
    assert contact.tags == ["after"]
    assert bench.places() == {"m": ["fin"]}


def test_a_release_of_another_place_leaves_the_position_parked() -> None:
    bench = Bench(workspace_of(hook_map()))
    bench.step(Event("ann", "go"), full=HOOKS)
    contact = bench.step(Command("ann", "release", "webhook/other.example.com"))
    assert contact.enrollments[0].positions[0].state == PARKED


def test_a_parked_and_paused_position_waits_for_both() -> None:
    bench = Bench(workspace_of(hook_map()))
    bench.step(Event("ann", "go"), full=HOOKS)
    bench.step(Command("ann", "pause", "m"))
    bench.step(Command("ann", "release", "webhook/hooks.example.com"))
    assert bench.changes.effects == []
    bench.step(Command("ann", "unpause", "m"))
    assert len(bench.changes.effects) == 1
    assert bench.places() == {"m": ["fin"]}


def test_hops_are_bounded() -> None:
    path = [{"id": f"e{number}", "change_tags": {"add": [f"t{number}"]}} for number in range(10)]
    bench = Bench(workspace_of({"map": "m", "triggers": [{"event": "go"}], "path": path}, bounds=Config(hops_max=4)))
    contact = bench.step(Event("ann", "go"))
    assert contact.tags == ["t0", "t1", "t2", "t3"]
    assert contact.enrollments[0].positions[0].why == "hops_max"
    assert bench.places() == {"m": ["e4"]}


def test_cascades_are_bounded_and_the_last_one_is_parked() -> None:
    spin = {"map": "m", "reentry": "restart", "triggers": [{"field_changed": "n"}], "path": [{"update_contact": {"increase": {"n": 1}}}, "exit"]}
    bench = Bench(workspace_of(spin, bounds=Config(cascades_max=5)))
    contact = bench.step(Update("ann", {"n": 0}))
    assert contact.fields == {"n": 5}
    assert [enrollment.positions[0].why for enrollment in contact.enrollments] == ["cascades_max"]
    assert bench.totals["map:m:entered"] == 6


def test_enrollments_are_bounded() -> None:
    bench = Bench(
        workspace_of({"map": "m", "reentry": "parallel", "triggers": [{"event": "go"}], "path": [{"id": "w", "wait": "1d"}]}, bounds=Config(enrollments_max=3))
    )
    for _ in range(5):
        contact = bench.step(Event("ann", "go"))
    assert len(contact.enrollments) == 3
    assert bench.totals["map:m:ignored:enrollments_max"] == 2


def test_blocking_adds_are_bounded_in_depth() -> None:
    maps: list[dict[str, Any]] = [
        {"map": f"m{n}", "path": [{"id": "c", "add_to_automation": {"map": f"m{n + 1}"}}, {"id": "e", "end": True}]} for n in range(5)
    ]
    bench = Bench(workspace_of(*maps, {"map": "m5", "path": [{"id": "w", "wait": "1d"}, {"id": "e", "end": True}]}, bounds=Config(depth_max=3)))
    contact = bench.step(Command("ann", "add_to", "m0"))
    assert [enrollment.map for enrollment in contact.enrollments] == ["m0", "m1", "m2"]
    assert contact.enrollments[2].positions[0].why == "depth_max"


def test_kept_events_are_bounded() -> None:
    path = [{"id": "w", "wait": {"event": "e"}}, {"id": "fin", "end": True}]
    bench = Bench(workspace_of({"map": "m", "triggers": [{"event": "go"}], "path": path}, bounds=Config(kept_events_max=2)))
    bench.step(Event("ann", "go"))
    bench.step(Command("ann", "pause", "m"))
    for _ in range(3):
        contact = bench.step(Event("ann", "e"))
    assert len(contact.enrollments[0].kept) == 2
    assert bench.totals["map:m:ignored:kept_events_max"] == 1


def test_timers_due_fire_before_the_record_and_an_answer_in_time_wins_after_an_outage() -> None:
    path = [
        {"id": "w", "wait": {"event": "e", "timeout": "1d", "then": [{"change_tags": {"add": ["yes"]}}], "else": [{"change_tags": {"add": ["no"]}}]}},
        "exit",
    ]
    workspace = workspace_of({"map": "m", "triggers": [{"event": "go"}], "path": path})
    for at, tag in ((DAY - 1, "yes"), (DAY, "no"), (9 * DAY, "no")):
        bench = Bench(workspace)
        assert due_of(bench.step(Event("ann", "go"))) == NOW + DAY
        assert bench.step(Event("ann", "e"), at=at).tags == [tag]


def test_a_step_without_a_record_fires_timers_only() -> None:
    bench = Bench(workspace_of({"map": "m", "triggers": [{"event": "go"}], "path": [{"id": "w", "wait": "1d"}, {"change_tags": {"add": ["out"]}}, "exit"]}))
    bench.step(Event("ann", "go"))
    assert bench.step(None, at=DAY - 1).tags == []
    contact = bench.step(None, at=DAY)
    assert contact.tags == ["out"]
    assert due_of(contact) == 0


def test_an_event_is_kept_only_as_far_as_the_map_reads_it() -> None:
    path = [{"if": {"event.cart.total": {"gt": 1}}, "then": []}, {"id": "w", "wait": {"event": "e", "where": {"event.id": {"value_of": "entry.id"}}}}, "exit"]
    bench = Bench(workspace_of({"map": "m", "triggers": [{"event": "go", "where": {"event.big": "x"}}], "path": path}))
    contact = bench.step(Event("ann", "go", {"id": 5, "big": "x", "cart": {"total": 3, "lines": [1, 2, 3]}}))
    assert contact.enrollments[0].event == {"id": 5, "cart": {"total": 3}}


@pytest.mark.parametrize("wish", ["unsubscribed", "complained"])
def test_a_bounce_does_not_replace_what_the_contact_wished(wish: str) -> None:
    bench = Bench(workspace_of())
    bench.step(Update("ann", consent={"email": wish}))
    bench.step(Outcome("ann", "e", "send_email", "bounced", data={"class": "hard"}))
    bench.step(Event("ann", "email.bounced", {"class": "hard"}))
    assert bench.step(Update("ann", consent={"email": "bounced"}, tighten=True)).consent == {"email": wish}
    assert bench.changes.guard == {"ann": f"email={wish}"}
    assert bench.step(Update("ann", consent={"email": "bounced"})).consent == {"email": "bounced"}
    assert bench.step(Outcome("ann", "e", "send_email", "complained")).consent == {"email": "complained"}


def test_every_change_of_consent_is_told_to_the_guard() -> None:
    bench = Bench(workspace_of())
    bench.step(Update("ann", consent={"email": "transactional_only"}))
    assert bench.changes.guard == {"ann": "email=transactional_only"}
    bench.step(Update("ann", consent={"email": "transactional_only"}))
    assert bench.changes.guard == {}
    bench.step(Event("ann", "email.complained"))
    assert bench.changes.guard == {"ann": "email=complained"}
    assert bench.step(Event("ann", "unsubscribed", {"channel": "sms"})).consent == {"email": "complained", "sms": "unsubscribed"}
    assert bench.step(Update("ann", consent={"email": "perhaps"})).consent == {"email": "complained", "sms": "unsubscribed"}


PROMO = {
    "map": "m",
    "triggers": [{"event": "go"}],
    "exit_on": [{"event": "stop"}],
    "path": [
        {"id": "promo", "send_sms": {"text": "buy"}},
        {"id": "bill", "send_sms": {"text": "bill", "transactional": True}},
        {"id": "w", "wait": "5d"},
        {"id": "g", "goal": {"event": "order"}},
        {"id": "fin", "end": True},
    ],
}


@pytest.mark.parametrize("name", ["order", "stop"])
def test_a_goal_and_exit_on_withdraw_by_exact_ids(name: str) -> None:
    bench = Bench(workspace_of(PROMO))
    bench.step(Update("ann", {"phone": "+12025550123"}, consent={"sms": "subscribed"}))
    bench.step(Event("ann", "go"), at=12 * HOUR)
    promo, bill = bench.changes.effects
    assert (promo.lane, bill.lane) == ("b", "t")
    bench.step(Event("ann", name), at=13 * HOUR)
    assert bench.changes.withdrawn == [promo.id]


def test_other_ways_of_leaving_withdraw_nothing() -> None:
    bench = Bench(workspace_of(PROMO))
    bench.step(Update("ann", {"phone": "+12025550123"}, consent={"sms": "subscribed"}))
    bench.step(Event("ann", "go"))
    bench.step(Command("ann", "remove_from", "m"))
    assert bench.changes.withdrawn == []


def test_erasing_leaves_nothing_and_a_later_record_begins_anew() -> None:
    task = {
        "map": "t",
        "triggers": [{"event": "go"}],
        "path": [{"id": "call", "assign_task": {"subject": "Call", "to": "user:eve"}}, {"id": "fin", "end": True}],
    }
    bench = Bench(workspace_of(PROMO, task, team={"eve": {"name": "Eve"}}))
    bench.step(Update("ann", {"phone": "+12025550123"}, consent={"sms": "subscribed"}))
    bench.step(Event("ann", "go"))
    promo = bench.changes.effects[0]
    assert [row.table for row in bench.changes.rows] == ["tasks"]
    contact = bench.step(Erase("ann"))
    assert is_blank(contact)
    assert bench.changes.withdrawn == [promo.id]
    assert bench.changes.guard == {"ann": "erased"}
    assert [(row.table, row.value) for row in bench.changes.rows] == [("tasks", None)]
    assert bench.totals["map:m:erased"] == 1
    assert bench.totals["map:m:active"] == bench.totals["map:t:resting"] == 0
    contact = bench.step(Event("ann", "go"))
    assert not is_blank(contact)
    assert effect_ids(bench, contact) == []
    assert contact.enrollments[0].number > 2  # numbers go on, so that no effect id comes twice


def effect_ids(bench: Bench, contact: Contact) -> list[str]:
    return [effect.id for effect in bench.changes.effects if effect.contact == contact.id]


def test_a_lead_router_holds_until_its_own_answer() -> None:
    path = [{"id": "r", "add_to_lead_router": {"router": "in"}}, {"id": "w", "wait": {"event": "again"}}, {"go_to": "r"}]
    documents: dict[str, Any] = {"team": {"eve": {}, "fay": {}}, "routers": {"in": {"kind": "round_robin", "members": ["eve", "fay"]}}}
    bench = Bench(workspace_of({"map": "m", "triggers": [{"event": "go"}], "path": path}, **documents))
    bench.step(Event("ann", "go"))
    first = bench.changes.posts[0]
    assert (first.to, first.kind, first.data["contact"]) == ("router:in", "route", "ann")
    assert bench.places() == {"m": ["r"]}
    contact = bench.step(Posted("ann", 0, 1, "owner", {**first.data, "owner": "eve"}))
    assert contact.fields == {"owner": "eve"}
    assert bench.places() == {"m": ["w"]}
    bench.step(Event("ann", "again"))
    bench.step(Posted("ann", 0, 2, "owner", {**first.data, "owner": "fay"}))
    assert bench.places() == {"m": ["r"]}  # the answer to the first visit does not end the second


def test_an_answer_for_an_enrollment_that_never_was_changes_nothing() -> None:
    contact = Bench(workspace_of()).step(Posted("ann", 0, 1, "owner", {"enrollment": 5, "position": 1, "owner": "eve"}))
    assert contact.fields == {}


def test_a_task_is_completed_by_its_id_and_acts_with_ids_of_its_own() -> None:
    call = {"subject": "Call", "to": "user:eve", "outcomes": {"won": [{"send_webhook": HOOK["send_webhook"]}], "lost": []}}
    path = [{"id": "call", "assign_task": call}, "exit"]
    bench = Bench(workspace_of({"map": "m", "reentry": "parallel", "triggers": [{"event": "go"}], "path": path}, team={"eve": {}}))
    first = bench.step(Event("ann", "go", {"n": 1})).tasks[0].id
    second = bench.step(Event("ann", "go", {"n": 2})).tasks[1].id
    contact = bench.step(Command("ann", "complete_task", second, data={"outcome": "maybe"}))
    assert [task.id for task in contact.tasks] == [first, second]
    contact = bench.step(Command("ann", "complete_task", second, data={"outcome": "won"}))
    assert [task.id for task in contact.tasks] == [first]
    one = bench.changes.effects[0]
    assert (one.element, one.params["body"]) == ("call", "2")
    contact = bench.step(Outcome("ann", first, "assign_task", "won"))
    assert contact.tasks == []
    assert bench.changes.effects[0].id != one.id
    assert bench.step(Outcome("ann", first, "assign_task", "won")).tasks == []
    assert bench.changes.effects == []


OLD = {
    "map": "m",
    "triggers": [{"event": "go"}],
    "path": [{"id": "w", "wait": "2d"}, {"id": "x", "wait": "1d"}, {"id": "old", "change_tags": {"add": ["old"]}}, "exit"],
}
NEW = {
    "map": "m",
    "triggers": [{"event": "go"}],
    "moves": {"x": "y"},
    "path": [
        {"id": "new", "change_tags": {"add": ["new"]}},
        {"id": "w", "wait": "2d"},
        {"id": "y", "wait": "1d"},
        {"id": "done", "change_tags": {"add": ["done"]}},
        "exit",
    ],
}


def test_pinned_contacts_stay_on_their_version() -> None:
    bench = Bench(workspace_of(OLD))
    bench.step(Event("ann", "go"))
    bench.workspace = workspace_of(NEW, versions={"m": {"1": OLD, "2": NEW}})
    bench.step(None, at=2 * DAY)
    assert bench.step(None, at=3 * DAY).tags == ["old"]
    assert bench.step(Event("bob", "go")).tags == ["new"]


def test_following_contacts_go_on_by_element_id_with_their_clocks() -> None:
    follow = {**NEW, "policy": "follow"}
    bench = Bench(workspace_of(OLD))
    bench.step(Event("ann", "go"))
    bench.step(Event("bob", "go"))
    bench.step(None, at=2 * DAY, name="bob")
    workspace = bench.workspace = workspace_of(follow, versions={"m": {"1": OLD, "2": follow}})
    contact = bench.step(Event("ann", "unheard"), at=2 * DAY - 1)
    assert (contact.enrollments[0].version, due_of(contact), bench.places()) == (2, NOW + 2 * DAY, {"m": ["w"]})
    bench.step(None, at=2 * DAY)
    assert bench.step(None, at=3 * DAY).tags == ["done"]
    bench.step(Event("bob", "unheard"), at=3 * DAY - 1)
    assert bench.places("bob") == {"m": ["y"]}
    assert preview(workspace.older["m", 1], workspace.maps["m"]) == {"w": "w", "x": "y", "old": "", "exit-1": "exit-1"}
    assert {name: value for name, value in bench.totals.items() if name.startswith("el:m:x")} == {"el:m:x:in": 1, "el:m:x:out": 1}


def test_an_element_that_vanished_without_a_mapping_refuses_the_publish() -> None:
    follow = {**NEW, "policy": "follow", "moves": {}}
    with pytest.raises(InvalidDocument, match='the element "x" vanished'):
        workspace_of(follow, versions={"m": {"1": OLD, "2": follow}})
    workspace_of({**follow, "policy": "pin"}, versions={"m": {"1": OLD, "2": follow}})


def test_a_contact_on_a_version_that_nobody_knows_is_parked() -> None:
    bench = Bench(workspace_of(OLD))
    bench.step(Event("ann", "go"))
    bench.workspace = workspace_of()
    contact = bench.step(None, at=2 * DAY)
    assert contact.enrollments[0].positions[0].state == PARKED
    assert due_of(contact) == 0
    assert bench.step(Command("ann", "remove_from", "m")).enrollments == []


def test_a_date_is_armed_for_who_was_here_before_the_map() -> None:
    dated = {"map": "d", "triggers": [{"date": {"field": "born", "yearly": True}}], "path": [{"change_tags": {"add": ["greeted"]}}, "exit"]}
    bench = Bench(workspace_of())
    assert due_of(bench.step(Update("ann", {"born": "1990-03-04"}))) == 0
    bench.workspace = workspace_of(dated)
    assert due_of(bench.step(Command("ann", "arm", ""))) == NOW + 3 * DAY
    assert bench.step(None, at=3 * DAY).tags == ["greeted"]
    bench.workspace = workspace_of()
    assert due_of(bench.step(Command("ann", "arm", ""))) == 0


def test_a_template_that_fails_for_one_contact_suppresses_one_action() -> None:
    path = [{"id": "s", "send_webhook": {"url": "https://a.example.com/{{ 1 // n }}", "method": "GET"}}, {"change_tags": {"add": ["went-on"]}}, "exit"]
    bench = Bench(workspace_of({"map": "m", "triggers": [{"event": "go"}], "path": path}))
    bench.step(Update("ann", {"n": 0}))
    contact = bench.step(Event("ann", "go"))
    assert contact.tags == ["went-on"]
    assert bench.changes.effects == []
    assert bench.totals["map:m:suppressed"] == 1


def test_hostile_names_and_values_raise_nothing() -> None:
    path = [{"if": {"f": {"gt": 1}}, "then": []}, {"id": "w", "wait": {"until": {"field": "f"}}}, "exit"]
    bench = Bench(workspace_of({"map": "m", "per": "event.key", "triggers": [{"event": "go"}, {"tag_added": "x"}, {"date": {"field": "f"}}], "path": path}))
    for value in ({"a": []}, [[]], "\x00", 2**63 - 1, -(2**63), 1.7e308, True, ""):
        bench.step(Update("ann", {"f": value, "timezone": value}))
        bench.step(Event("ann", "go", {"key": value}))
        bench.step(Event("ann", "tag.added", {"tag": value}))
        bench.step(Event("ann", "purchased", {"product": value, "quantity": value, "price": value}))
        bench.step(Event("ann", "unsubscribed", {"channel": value}))
    assert bench.totals["map:m:entered"] > 5
