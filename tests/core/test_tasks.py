"""Tasks as timers of their contact: reminders, overdue, completing, giving to somebody else, and what a task within an outcome may do."""

from __future__ import annotations

from typing import Any

import pytest

from engine.codec import decode_any
from engine.core.contact import due_of
from engine.core.errors import InvalidDocument
from engine.core.records import Command, Erase, Event
from tests.core.stepping import DAY, HOUR, NOW, Bench, workspace_of

TEAM = {
    "eve": {"email": "eve@example.com", "phone": "+12025550199", "roles": ["sales"]},
    "fay": {"email": "fay@example.com", "roles": ["sales"]},
    "gus": {"email": "gus@example.com"},
}
TASK: dict[str, Any] = {
    "subject": "Call",
    "to": "user:eve",
    "due": "2d",
    "notify": ["email"],
    "outcomes": {"won": [{"change_tags": {"add": ["won"]}}], "lost": []},
}


def bench(**changed: Any) -> Bench:
    params = {key: value for key, value in {**TASK, **changed}.items() if value is not None}
    path = [{"id": "call", "assign_task": params}, "exit"]
    return Bench(workspace_of({"map": "m", "triggers": [{"event": "go"}], "path": path}, team=TEAM))


def told(found: Bench) -> list[tuple[str, str, str]]:
    """(channel, to, subject or text) of what the last step decided."""
    return [(effect.channel, effect.params["to"], effect.params.get("subject") or effect.params["text"]) for effect in found.changes.effects]


def row(found: Bench) -> Any:
    (written,) = [row for row in found.changes.rows if row.table == "tasks"]
    return None if written.value is None else decode_any(written.value)


def test_reminders_are_timers_that_outlive_the_enrollment() -> None:
    found = bench(remind=["1d", "1h"], notify=["email", "sms"])
    contact = found.step(Event("ann", "go"))
    assert not contact.enrollments
    assert due_of(contact) == NOW + DAY
    assert told(found) == [("email", "eve@example.com", "Call"), ("sms", "+12025550199", "Call")]
    ids = {effect.id for effect in found.changes.effects}
    found.step(None, at=DAY - 1)
    assert told(found) == []
    for at, word, due in ((DAY, "Reminder", 2 * DAY - HOUR), (2 * DAY - HOUR, "Reminder", 2 * DAY), (2 * DAY, "Overdue", 0)):
        contact = found.step(None, at=at)
        assert told(found) == [("email", "eve@example.com", f"{word}: Call"), ("sms", "+12025550199", f"{word}: Call")]
        assert due_of(contact) == (NOW + due if due else 0)
        assert not ids & {effect.id for effect in found.changes.effects}
        ids |= {effect.id for effect in found.changes.effects}
    assert found.step(None, at=9 * DAY).tasks


def test_all_that_is_due_after_an_outage_comes_in_its_order_and_before_the_record() -> None:
    found = bench(remind="1d")
    found.step(Event("ann", "go"))
    contact = found.step(Command("ann", "complete_task", "", data={"outcome": "won"}), at=3 * DAY)
    assert [subject for _, _, subject in told(found)] == ["Reminder: Call", "Overdue: Call"]
    assert (contact.tasks, contact.tags, due_of(contact)) == ([], ["won"], 0)


@pytest.mark.parametrize("end", [Command("ann", "complete_task", "", data={"outcome": "won"}), Erase("ann")])
def test_completing_or_erasing_ends_reminders(end: Any) -> None:
    found = bench(remind="1d")
    found.step(Event("ann", "go"))
    contact = found.step(end, at=HOUR)
    assert row(found) is None
    assert (contact.tasks, due_of(contact)) == ([], 0)
    found.step(None, at=5 * DAY)
    assert told(found) == []


def test_completing_twice_or_otherwise_changes_nothing() -> None:
    found = bench()
    task = found.step(Event("ann", "go")).tasks[0].id
    assert found.step(Command("ann", "complete_task", task, data={"outcome": "perhaps"})).tasks
    assert found.step(Command("ann", "complete_task", task, data={"outcome": "won"})).tags == ["won"]
    again = found.step(Command("ann", "complete_task", task, data={"outcome": "lost"}))
    assert (again.tags, found.changes.rows) == (["won"], [])


def test_a_task_goes_to_somebody_else_who_is_told_and_reminded() -> None:
    found = bench(remind="1d")
    task = found.step(Event("ann", "go")).tasks[0].id
    before = row(found)
    found.step(Command("ann", "assign_task", task, data={"to": "user:gus", "row": before}), at=HOUR)
    assert told(found) == [("email", "gus@example.com", "Call")]
    assert row(found) == {**before, "to": "user:gus", "assignee": "gus"}
    found.step(None, at=DAY)
    assert told(found) == [("email", "gus@example.com", "Reminder: Call")]
    found.step(Command("ann", "assign_task", "no such task", data={"to": "user:gus", "row": before}))
    assert (told(found), found.changes.rows) == ([], [])


def test_a_member_who_left_gets_nothing_and_the_task_stays() -> None:
    found = bench(remind="1d")
    contact = found.step(Event("ann", "go"))
    found.workspace = workspace_of(
        {"map": "m", "triggers": [{"event": "go"}], "path": [{"id": "call", "assign_task": {**TASK, "to": "user:gus", "remind": "1d"}}, "exit"]},
        team={"gus": TEAM["gus"]},
    )
    contact = found.step(Command("ann", "assign_task", contact.tasks[0].id, data={"to": "user:eve", "row": {}}))
    contact = found.step(None, at=DAY)
    assert told(found) == []
    assert contact.tasks


def test_a_task_within_an_outcome_has_no_outcomes_of_its_own() -> None:
    inner = {"subject": "Send papers", "to": "user:gus", "due": "1d", "notify": ["email"]}
    found = bench(outcomes={"won": [{"assign_task": inner}], "lost": []}, remind="1d")
    task = found.step(Event("ann", "go")).tasks[0].id
    contact = found.step(Command("ann", "complete_task", task, data={"outcome": "won"}))
    assert told(found) == [("email", "gus@example.com", "Send papers")]
    contact = found.step(None, at=DAY)  # overdue, and nobody is told of the other task
    assert told(found) == []
    contact = found.step(Command("ann", "complete_task", contact.tasks[0].id))
    assert contact.tasks == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"remind": "soon"}, "not a duration"),
        ({"remind": ["1d"], "due": None}, "`remind` needs `due`"),
        ({"remind": ["1d"], "notify": []}, "`remind` needs `notify`"),
        ({"outcomes": {"won": [{"assign_task": {"subject": "a", "to": "owner", "due": "1d", "remind": "1h", "notify": ["email"]}}]}}, "cannot have reminders"),
    ],
)
def test_reminders_that_cannot_be_are_errors(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidDocument, match=says):
        bench(**changed)
