"""Fulfillment lists: when each is sent, in local time, and what is wrong with a list that can't be."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from actions.registry import load_registry
from engine.config import Config
from engine.core.documents import read_document
from engine.core.effects import Changes
from engine.core.fulfillment import SLOTS, FulfillmentList, ListState, list_key, on_outcome, on_time, read_lists, tables_of
from engine.core.records import Erase, Event, Outcome
from engine.core.workspace import problems_of
from tests.core.stepping import NOW, Bench, workspace_of


def list_of(**changed: Any) -> FulfillmentList:
    workspace = workspace_of(fulfillment={"kits": {"to": "ship@example.com", "every": "daily", **changed}}, limits={"timezone": "Europe/Berlin"})
    return workspace.lists["kits"]


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def times(found: FulfillmentList, start: str, count: int) -> list[str]:
    """The next times from a UTC time on."""
    now, listed = ms(start), []
    for _ in range(count):
        now = found.next(now)
        listed.append(datetime.fromtimestamp(now / 1000, UTC).strftime("%m-%dT%H:%M"))
    return listed


@pytest.mark.parametrize(
    ("changed", "start", "expected"),
    [
        ({}, "2026-01-05T00:00", ["01-05T23:00", "01-06T23:00"]),  # midnight in Berlin
        ({"at": "17:00"}, "2026-03-27T12:00", ["03-27T16:00", "03-28T16:00", "03-29T15:00", "03-30T15:00"]),  # spring
        ({"at": "02:30"}, "2026-03-27T12:00", ["03-28T01:30", "03-29T01:30", "03-30T00:30"]),  # 02:30 does not exist on the 29th: 03:30
        ({"at": "02:30"}, "2026-10-23T12:00", ["10-24T00:30", "10-25T00:30", "10-26T01:30"]),  # it exists twice on the 25th: the first
        ({"at": "17:00", "timezone": "UTC"}, "2026-03-28T12:00", ["03-28T17:00", "03-29T17:00"]),
        ({"every": "weekdays", "at": "17:00"}, "2026-01-08T16:00", ["01-09T16:00", "01-12T16:00"]),  # strictly later; over a weekend
        ({"every": "weekly", "at": "09:00"}, "2026-01-05T09:00", ["01-12T08:00", "01-19T08:00"]),
        ({"every": "weekly", "day": "sun", "at": "09:00"}, "2026-01-05T09:00", ["01-11T08:00"]),
        ({"every": "monthly", "at": "09:00"}, "2026-01-05T09:00", ["02-01T08:00", "03-01T08:00", "04-01T07:00"]),
        ({"every": "monthly", "day": 31, "at": "09:00"}, "2026-01-05T09:00", ["01-31T08:00", "02-28T08:00", "03-31T07:00", "04-30T07:00"]),
        ({"every": "monthly", "day": 29, "at": "09:00"}, "2028-01-30T09:00", ["02-29T08:00"]),
        ({"every": "monthly", "day": 31, "at": "23:30", "timezone": "America/Los_Angeles"}, "2026-12-31T12:00", ["01-01T07:30", "02-01T07:30"]),
    ],
)
def test_times_are_local_and_strictly_later(changed: dict[str, Any], start: str, expected: list[str]) -> None:
    assert times(list_of(**changed), start, len(expected)) == expected


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{every: daily}", "is sent to nobody"),
        ("{to: ship, every: daily}", '"ship" is not an e-mail address'),
        ('{to: "a@example.com, b", every: daily}', '"b" is not an e-mail address'),
        ('{to: "a@example.com\\nBcc: x@example.com", every: daily}', "is not an e-mail address"),
        ('{to: "", every: daily}', "`to` must be text"),
        ("{to: a@example.com, every: hourly}", "`every` must be one of"),
        ("{to: a@example.com, every: daily, day: mon}", "has no `day`"),
        ("{to: a@example.com, every: weekly, day: 3}", "is not one of mon"),
        ("{to: a@example.com, every: monthly, day: 32}", "must be 1 to 31"),
        ("{to: a@example.com, every: monthly, day: true}", "must be 1 to 31"),
        ("{to: a@example.com, every: daily, timezone: Mars}", 'no time zone "Mars"'),
        ("{to: a@example.com, every: daily, columns: name}", "`columns` must be a list"),
        ("{to: a@example.com, every: daily, colums: [name]}", 'did you mean "columns"?'),
    ],
)
def test_what_is_wrong_with_a_list_is_named_with_its_line(entry: str, message: str) -> None:
    documents = read_document(f"fulfillment:\n  kits: {entry}\n", "all.yaml")
    assert isinstance(documents, dict)
    (found,) = [str(problem) for problem in problems_of(documents, load_registry(), Config())]
    assert found.startswith("all.yaml:2: ")
    assert message in found


def test_a_list_without_a_time_is_only_read() -> None:
    assert read_lists({"kits": {}, "more": {"to": "a@example.com", "empty_after": True}}, "UTC", UTC, []) == {}


class Walk:
    """A list's state, stepped by hand."""

    def __init__(self, **changed: Any) -> None:
        self.lists = {"kits": list_of(at="17:00", empty_after=True, **changed)}
        self.key = list_key("kits")
        self.state = on_time(self.key, None, NOW, self.lists, 1, Changes())

    def time(self, now_ms: int) -> list[Any]:
        changes = Changes()
        self.state = on_time(self.key, self.state, now_ms, self.lists, 1, changes)
        return changes.effects

    def hear(self, effect: str, status: str = "delivered", **data: Any) -> list[Any]:
        changes = Changes()
        assert self.state is not None
        on_outcome(self.key, self.state, Outcome(self.key, effect, "fulfillment", status, data=data), NOW, self.lists, 1, changes)
        return changes.effects


def due(walk: Walk) -> int:
    assert isinstance(walk.state, ListState)
    return walk.state.due_ms


def test_each_round_is_decided_by_the_one_before_and_only_once() -> None:
    walk = Walk(to="a@example.com, b@example.com")
    first = due(walk)
    assert walk.time(first - 1) == []
    (gather,) = walk.time(first)
    assert walk.time(first) == []
    mails = walk.hear(gather.id, rows=2, linked=False)
    assert [mail.params["to"] for mail in mails] == ["a@example.com", "b@example.com"]
    assert walk.hear(gather.id, rows=2, linked=False) == []
    assert walk.hear(mails[0].id) == []
    (empty,) = walk.hear(mails[1].id, "rejected")
    assert (empty.channel, empty.params["do"]) == ("lists", "empty")
    assert walk.hear(empty.id) == walk.hear(mails[0].id) == []
    assert len({gather.id, mails[0].id, mails[1].id, empty.id}) == 4
    again = Walk(to="a@example.com, b@example.com")
    assert [effect.id for effect in again.time(first)] == [gather.id]  # made of the list and the time


def test_what_is_never_heard_of_does_not_pile_up() -> None:
    walk = Walk()
    for _ in range(3 * SLOTS):
        assert len(walk.time(due(walk))) == 1
    assert isinstance(walk.state, ListState)
    assert len(walk.state.open) == SLOTS


@pytest.mark.parametrize("status", ["rejected", "dead"])
def test_what_could_not_be_gathered_or_mailed_is_not_emptied(status: str) -> None:
    walk = Walk()
    (gather,) = walk.time(due(walk))
    assert walk.hear(gather.id, status) == []
    (gather,) = walk.time(due(walk))
    (mail,) = walk.hear(gather.id, rows=1, linked=True)
    assert mail.params["linked"]
    assert walk.hear(mail.id, status) == []


def test_an_erasure_leaves_no_row_in_any_table() -> None:
    bench = Bench(workspace_of(fulfillment={"kits": {}, "more": {}}))
    bench.step(Event("ann", "x"))
    bench.step(Erase("ann"))
    assert {row.table for row in bench.changes.rows} == {*tables_of("kits"), *tables_of("more")}
    assert len(tables_of("kits")) == 1 + SLOTS
