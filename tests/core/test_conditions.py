"""Predicates: unlike types, missing fields, values taken at the time, and what is wrong with a predicate that is badly written."""

from datetime import UTC
from typing import Any

import pytest

from engine.core.conditions import compile_predicate
from engine.core.contact import FORMAT, Contact, Enrollment, Purchase

NOW = 1_772_323_200_000  # 2026-03-01T00:00:00Z


class FakeScope:
    """Hears of problems; everything that is named exists."""

    def __init__(self) -> None:
        self.zone = UTC
        self.default_consent = {"email": "subscribed", "sms": "unsubscribed"}
        self.read_names: set[str] = set()
        self.problems: list[str] = []

    def problem(self, message: str, *, key: str = "", remedy: str = "") -> None:
        self.problems.append(f"{message} ({remedy})" if remedy else message)

    def need(self, what: str, name: str, *, key: str = "") -> dict[str, Any]:
        return {}

    def product(self, name: str, *, key: str = "") -> None:
        pass


def holds(where: Any, fields: dict[str, Any] | None = None, event: dict[str, Any] | None = None, entry: dict[str, Any] | None = None, **parts: Any) -> bool:
    scope = FakeScope()
    predicate = compile_predicate(where, scope)
    assert scope.problems == []
    return predicate(Contact(FORMAT, "ann", fields=fields or {}, **parts), event or {}, entry or {}, NOW)


UNLIKE = [True, False, 5, 5.5, "5", "x", [5], ["x"], {"a": 5}]
RIGHT = {"eq": 7, "gt": 1, "gte": 1, "lt": 9, "lte": 9, "in": [7], "contains": "x", "starts_with": "x", "ends_with": "x", "before": "2027-01-01"}


@pytest.mark.parametrize("op", [op for op in RIGHT if op != "contains"])
def test_a_missing_field_fails_every_test(op: str) -> None:
    assert not holds({"f": {op: RIGHT[op]}})


def test_a_missing_field_passes_ne_not_in_and_exists_false() -> None:
    assert holds({"f": {"ne": 1}})
    assert holds({"f": {"not_in": [1]}})
    assert holds({"f": {"exists": False}})
    assert not holds({"f": {"exists": True}})
    assert holds({"event.a.b": {"exists": False}}, event={"a": {"b": None}})


@pytest.mark.parametrize("value", [value for value in UNLIKE if isinstance(value, bool) or not isinstance(value, int | float)])
@pytest.mark.parametrize("op", ["eq", "gt", "gte", "lt", "lte", "in"])
@pytest.mark.parametrize("place", ["f", "event.f", "entry.f", "deep.f"])
def test_only_a_number_compares_with_a_number(place: str, op: str, value: Any) -> None:
    right = [0, 1, 5, 7] if op == "in" else 1
    sides = {
        "f": {"fields": {"f": value}},
        "event.f": {"event": {"f": value}},
        "entry.f": {"entry": {"f": value}},
        "deep.f": {"fields": {"deep": {"f": value}}},
    }
    assert not holds({place: {op: right}}, **sides[place])
    assert holds({place: {"ne": 1}}, **sides[place])


@pytest.mark.parametrize(("where", "yes", "no"), [
    ({"f": 5}, [5, 5.0], [6, True, "5"]),
    ({"f": True}, [True], [False, 1, "true"]),
    ({"f": "x"}, ["x"], ["X", ["x"]]),
    ({"f": [1, "a"]}, [[1, "a"]], [[1], [True, "a"], "a"]),
    ({"f": {"gt": "b"}}, ["c"], ["a", 3]),
    ({"f": {"in": ["a", 1]}}, ["a", 1, 1.0], [True, "b", None]),
    ({"f": {"not_in": ["a", 1]}}, [True, "b", ["a"]], ["a", 1]),
    ({"f": {"contains": "b"}}, ["abc", ["b"]], [["abc"], 5, {"b": 1}]),
    ({"f": {"contains": 1}}, [[1]], [[True], "1", 1]),
    ({"f": {"starts_with": "a", "ends_with": "z"}}, ["az", "abz"], ["a", "za", 5]),
    ({"f": {"before": "2026-03-01"}}, ["2026-02-28", "2026-02-28T23:59:59Z", NOW - 1], ["2026-03-01", "never", True]),
    ({"f": {"after": "2026-03-01"}}, ["2026-03-01T00:00:01", NOW + 1], ["2026-03-01", "2026-02-01"]),
    ({"f": {"after": {"now": "-1d"}}}, ["2026-02-28T00:00:01Z"], ["2026-02-28", "2026-02-27"]),
    ({"f": {"within_last": "2d"}}, ["2026-02-27", "2026-03-01"], ["2026-02-26", "2026-03-02", "x"]),
    ({"f": {"within_next": "2d"}}, ["2026-03-01", "2026-03-03"], ["2026-03-04", "2026-02-28", 5]),
    ({"not": {"f": {"gt": 1}}}, [1, "x", None], [2]),
    ({"any": [{"f": 1}, {"f": 2}]}, [1, 2], [3]),
    ({"any": []}, [], [1]),
    ({"all": [{"f": {"gt": 1}}, {"f": {"lt": 3}}]}, [2], [1, 3]),
    ({"f": {"gt": 1, "lt": 3, "ne": 2}}, [1.5], [2]),
])  # fmt: skip
def test_operators(where: Any, yes: list[Any], no: list[Any]) -> None:
    assert [value for value in yes if not holds(where, {"f": value})] == []
    assert [value for value in no if holds(where, {"f": value})] == []


def test_a_text_without_a_zone_is_local_to_the_contact() -> None:
    where = {"f": {"before": "2026-03-01T00:00:00Z"}}
    assert not holds(where, {"f": "2026-02-28T23:00", "timezone": "America/New_York"})
    assert holds(where, {"f": "2026-02-28T23:00"})


def test_values_are_taken_with_their_types() -> None:
    where = {"event.id": {"eq": {"value_of": "entry.id"}}}
    assert holds(where, event={"id": 1}, entry={"id": 1})
    assert not holds(where, event={"id": 1}, entry={"id": "1"})
    assert not holds(where, event={}, entry={})
    assert holds({"event.id": {"ne": {"value_of": "entry.id"}}}, event={"id": 1})
    assert holds({"f": {"in": {"value_of": "event.list"}}}, {"f": 2}, event={"list": [1, 2]})
    assert holds({"f": {"in": [1, {"value_of": "event.two"}]}}, {"f": 2}, event={"two": 2})
    assert holds({"event.items.1.sku": "b"}, event={"items": [{"sku": "a"}, {"sku": "b"}]})


def test_what_a_contact_has() -> None:
    parts = {"tags": ["a", "b"], "purchases": {"book": Purchase(1)}, "enrollments": [Enrollment(1, "m", 1)], "memberships": {"site": {"gold": "enabled"}}}
    for where in (
        {"tag": "a"}, {"tag": {"any": ["x", "b"]}}, {"tag": {"all": ["a", "b"]}}, {"tag": {"not": "x"}}, {"tag": {"not": ["x", "y"]}},
        {"purchased": "book"}, {"in_map": "m"}, {"membership": {"site": "gold"}}, {"consent.email": "subscribed"}, {"consent.sms": "unsubscribed"},
        {"tag": {"value_of": "event.tag"}},
    ):  # fmt: skip
        assert holds(where, event={"tag": "a"}, **parts), where
    for where in (
        {"tag": "x"}, {"tag": {"any": ["x"]}}, {"tag": {"all": ["a", "x"]}}, {"tag": {"not": "a"}}, {"tag": {"not": ["x", "a"]}}, {"purchased": "pen"},
        {"in_map": "other"}, {"membership": {"site": "silver"}}, {"membership": {"other": "gold"}}, {"tag": {"value_of": "event.missing"}},
    ):  # fmt: skip
        assert not holds(where, event={"tag": "a"}, **parts), where
    assert not holds({"membership": {"site": {"value_of": "event.list"}}}, event={"list": ["gold"]}, **parts)
    assert holds({"consent.email": "bounced"}, consent={"email": "bounced"})


@pytest.mark.parametrize(("where", "message"), [
    ({"f": {"gte": "high", "grater": 5}}, '"grater" is no operator'),
    ({"f": {"in": 5}}, "`in` takes a list"),
    ({"f": {"exists": 1}}, "`exists` takes true or false"),
    ({"f": {"gt": True}}, "`gt` compares with a number or a text"),
    ({"f": None}, "`eq` compares with nothing"),
    ({"f": {}}, "the test is empty"),
    ({"f": {"before": "soon"}}, "`before` compares with a date"),
    ({"f": {"within_last": "5x"}}, "is not a duration"),
    ({"f": {"eq": {"now": "soon"}}}, "is not a duration"),
    ({"gte": 5}, "is a word of the predicates"),
    ({"any": {"f": 1}}, "`any` takes a list"),
    ({"tag": ["a"]}, "`tag` takes a name"),
    ({"tag": {"anyy": ["a"]}}, "`tag` takes a name, or any, all, not"),
    ({"membership": "gold"}, "`membership` takes a mapping"),
    ("vip", "a predicate must be a mapping"),
])  # fmt: skip
def test_what_is_badly_written_is_reported(where: Any, message: str) -> None:
    scope = FakeScope()
    predicate = compile_predicate(where, scope)
    assert message in " ".join(scope.problems)
    predicate(Contact(FORMAT, "ann"), {}, {}, NOW)


def test_what_is_read_is_known() -> None:
    scope = FakeScope()
    compile_predicate({"f": 1, "event.a.b": {"gt": {"value_of": "entry.c"}}, "tag": {"value_of": "event.d"}}, scope)
    assert scope.read_names == {"f", "event.a.b", "entry.c", "event.d"}
