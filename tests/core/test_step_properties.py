"""Whatever comes in whatever order: what entered is somewhere, every position stands on what is counted there, and the same bytes give the same effects."""

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.codec import decode_contact, encode
from engine.config import Config
from engine.core.contact import CALLING, RESTING, RUNNING, Contact
from engine.core.effects import Changes
from engine.core.records import Command, Erase, Event, Outcome, Posted, Record, Update
from engine.core.step import step
from tests.core.stepping import HOUR, NOW, Bench, workspace_of

MAPS: list[dict[str, Any]] = [
    {
        "map": "goals",
        "triggers": [{"event": "a"}, {"event": "b", "go": "late"}],
        "exit_on": [{"event": "stop"}],
        "path": [
            {"id": "sms", "send_sms": {"text": "{{ event.n }}"}},
            {"id": "w1", "wait": "5h"},
            {"if": {"event.n": {"gt": 2}}, "then": [{"id": "rest", "end": True}]},
            {"id": "g1", "goal": {"event": "c", "adds": True, "timeout": "9h", "else": [{"id": "w2", "wait": "2h"}]}},
            {"id": "late", "change_tags": {"add": ["late"], "remove": ["early"]}},
            {"fork": [[{"id": "ga", "goal": {"event": "a"}}, {"id": "fa", "end": True}], [{"id": "gb", "goal": {"event": "b"}}, "exit"], [{"id": "fw", "wait": "3h"}, "exit"]]},
        ],
    },
    {"map": "calls", "reentry": "restart", "triggers": [{"event": "b"}], "path": [
        {"id": "c1", "add_to_automation": {"map": "child"}},
        {"id": "c2", "add_to_sequence": {"sequence": "tips"}},
        {"id": "r", "add_to_lead_router": {"router": "in"}},
        {"id": "g", "goal": {"tag_added": "late"}},
        {"id": "fin", "end": True},
    ]},
    {"map": "child", "on_pause": "stop_clock", "triggers": [{"event": "c"}], "path": [{"fork": [[{"id": "x", "wait": "4h"}, {"id": "e", "end": True}], [{"id": "y", "wait": {"event": "a", "timeout": "6h", "else": ["exit"]}}, "exit"]]}]},
    {"map": "parallel", "reentry": "parallel", "per": "event.n", "triggers": [{"event": "a"}, {"field_changed": "n"}], "path": [
        {"split": [{"weight": 1, "path": [{"id": "pw", "wait": "1h"}]}, {"weight": 1, "path": []}]},
        {"id": "t", "assign_task": {"subject": "s", "to": "user:eve", "outcomes": {"won": [{"change_tags": {"add": ["won"]}}], "lost": [{"remove_from_automation": {"map": "goals"}}]}}},
        {"id": "wt", "wait": {"task": "t", "timeout": "8h"}},
        {"id": "u", "update_contact": {"increase": {"n": 1}}},
        "exit",
    ]},
    {"map": "admin", "reentry": "never", "triggers": [{"tag_added": "won"}], "path": [{"id": "p", "pause_automation": {"map": "calls"}}, {"id": "v", "wait": "2h"}, {"id": "q", "unpause_automation": {"map": "calls"}}, "exit"]},
    {"map": "spin", "cooldown": "3h", "triggers": [{"removed": {"map": "goals"}}, {"date": {"field": "day"}}, "unsubscribed"], "path": [{"remove_from_automation": {"map": "child"}}, {"id": "rest", "end": True}]},
]  # fmt: skip
WORKSPACE = workspace_of(
    *MAPS,
    bounds=Config(hops_max=60, cascades_max=8, enrollments_max=12, kept_events_max=3),
    sequences=[{"sequence": "tips", "unsubscribe_after_last_step": True, "steps": [{"after": "2h", "change_tags": {"add": ["early"]}}]}],
    team={"eve": {}, "fay": {}},
    routers={"in": {"kind": "round_robin", "members": ["eve", "fay"]}},
    limits={"caps": [{"channel": "sms", "at_most": 1, "per": "1d"}]},
)
NAMES = [found["map"] for found in MAPS]

events = st.builds(Event, st.just("ann"), st.sampled_from(["a", "b", "c", "stop"]), st.fixed_dictionaries({"n": st.integers(0, 4)}))
updates = st.builds(
    Update,
    st.just("ann"),
    st.dictionaries(st.sampled_from(["n", "day", "phone"]), st.sampled_from([None, 1, 2, "2026-03-02", "+12025550123"]), max_size=2),
    st.lists(st.sampled_from(["late", "early", "won"]), max_size=2),
    st.lists(st.sampled_from(["late", "early", "won"]), max_size=2),
    st.dictionaries(st.just("sms"), st.sampled_from(["subscribed", "unsubscribed"]), max_size=1),
)
commands = st.builds(Command, st.just("ann"), st.sampled_from(["add_to", "remove_from", "pause", "unpause"]), st.sampled_from([*NAMES, "sequence:tips"]))
others = st.sampled_from(
    [Erase("ann"), Command("ann", "release", "sms/"), Outcome("ann", "", "assign_task", "won"), Outcome("ann", "", "assign_task", "lost"), None]
)
entries = st.lists(st.tuples(st.integers(0, 7), st.one_of(events, events, updates, commands, others), st.booleans()), max_size=25)


def run(script: list[tuple[int, Record | None, bool]]) -> tuple[Bench, list[tuple[list[Any], list[str]]]]:
    """Step a script; a lead router answers before the next record comes. What each step decided."""
    bench = Bench(WORKSPACE)
    decided = []
    at = 0
    for hours, record, full in script:
        at += hours * HOUR
        todo: list[Record | None] = [record]
        while todo:
            bench.step(todo.pop(0), at=at, full=frozenset({"sms/"}) if full else frozenset())
            decided.append((bench.changes.effects, bench.changes.withdrawn))
            todo += [Posted("ann", 0, 0, "owner", {**post.data, "owner": "eve"}) for post in bench.changes.posts]
            check(bench)
    return bench, decided


def check(bench: Bench) -> None:
    contact = bench.contact()
    standing: Counter[str] = Counter()
    numbers = {enrollment.number: enrollment for enrollment in contact.enrollments}
    assert len(numbers) == len(contact.enrollments)
    for enrollment in contact.enrollments:
        ids = WORKSPACE.map_of(enrollment).ids
        assert enrollment.positions
        rests = all(position.state == RESTING for position in enrollment.positions)
        standing[f"map:{enrollment.map}:{'resting' if rests else 'active'}"] += 1
        for position in enrollment.positions:
            standing[f"el:{enrollment.map}:{ids[position.at]}"] += 1
            assert position.state != RUNNING or enrollment.paused_at
            assert 0 <= position.state <= 6
            assert position.state != CALLING or (position.ref in numbers and numbers[position.ref].awaited)
    total = bench.totals
    for name in (*NAMES, "sequence:tips"):
        left = sum(total.get(f"map:{name}:{how}", 0) for how in ("exited", "removed", "replaced", "merged", "erased"))
        for state in ("active", "resting"):
            assert total.get(f"map:{name}:{state}", 0) == standing[f"map:{name}:{state}"], (name, state)
        assert total.get(f"map:{name}:entered", 0) == total.get(f"map:{name}:active", 0) + total.get(f"map:{name}:resting", 0) + left
        for element in WORKSPACE.maps[name].ids:
            inside = total.get(f"el:{name}:{element}:in", 0) - total.get(f"el:{name}:{element}:out", 0)
            assert inside == standing[f"el:{name}:{element}"], (name, element)


@settings(max_examples=150, deadline=None)
@given(entries)
def test_what_entered_is_somewhere(script: list[tuple[int, Record | None, bool]]) -> None:
    run(script)


@settings(max_examples=40, deadline=None)
@given(entries)
def test_no_effect_id_comes_twice_and_running_again_decides_the_same(script: list[tuple[int, Record | None, bool]]) -> None:
    first, second = run(script), run(script)
    assert first[1] == second[1]
    assert first[0].stored == second[0].stored
    ids = [effect.id for effects, _ in first[1] for effect in effects]
    assert len(ids) == len(set(ids))


@settings(max_examples=40, deadline=None)
@given(entries, st.one_of(events, commands))
def test_one_batch_is_as_good_as_many(script: list[tuple[int, Record | None, bool]], last: Record) -> None:
    """A contact that stays decoded, with changes that go on, comes out as one that was stored in between."""
    bench, _ = run(script)
    bench.step(last)
    changes = Changes()
    contact: Contact | None = None
    again = Bench(WORKSPACE)
    at = 0
    for hours, record, full in script:
        at += hours * HOUR
        todo: list[Record | None] = [record]
        while todo:
            contact = contact or again.contact()
            posts = len(changes.posts)
            step(contact, todo.pop(0), NOW + at, WORKSPACE, changes, frozenset({"sms/"}) if full else frozenset())
            todo += [Posted("ann", 0, 0, "owner", {**post.data, "owner": "eve"}) for post in changes.posts[posts:]]
    contact = contact or again.contact()
    step(contact, last, NOW, WORKSPACE, changes)
    assert decode_contact(encode(contact)) == bench.contact()
    assert {name: value for name, value in changes.counters.items() if value} == {name: value for name, value in bench.totals.items() if value}
