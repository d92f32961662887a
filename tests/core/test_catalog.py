"""The small documents of a workspace: an unknown key, and a value that cannot be meant, are named with their line."""

import pytest

from actions.registry import load_registry
from engine.config import Config
from engine.core.documents import read_document
from engine.core.workspace import problems_of


def said(text: str) -> list[str]:
    documents = read_document(text, "all.yaml")
    assert isinstance(documents, dict)
    return [str(problem) for problem in problems_of(documents, load_registry(), Config())]


def test_what_the_language_shows_is_fine() -> None:
    text = """
team:
  eve: {name: Eve, email: eve@example.com, phone: "+12025550199", roles: [sales]}
  fay: {}
routers:
  inbound: {kind: round_robin, members: [eve, fay]}
  outbound: {kind: weighted, members: {eve: 70, fay: 30}}
fulfillment:
  kits: {to: ship@example.com, every: weekdays, at: "17:00", empty_after: true}
products:
  course: {name: Course, price: 99}
"""
    assert said(text) == []


@pytest.mark.parametrize(
    ("section", "entry", "message"),
    [
        ("team", "{mail: eve@example.com}", 'has no key "mail" (did you mean "email"?)'),
        ("team", "{roles: sales}", "`roles` must be a list"),
        ("products", "{prise: 5}", 'has no key "prise" (did you mean "price"?)'),
        ("products", "{price: cheap}", "`price` must be a number"),
        ("fulfillment", "{every: hourly}", "`every` must be one of daily, weekdays, weekly, monthly"),
        ("fulfillment", '{at: "25:00"}', "is not a clock time"),
        ("fulfillment", "{empty_after: soon}", "`empty_after` must be true or false"),
        ("routers", "{kind: round_robin, members: [[eve]]}", "a member must be the name of a team member"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(section: str, entry: str, message: str) -> None:
    (found,) = said(f"{section}:\n  one: {entry}\n")
    assert found.startswith("all.yaml:2: ")
    assert message in found


@pytest.mark.parametrize(
    ("router", "message"),
    [
        ("{kind: round_robin, members: [gus]}", 'there is no team member "gus"'),
        ("{kind: round_robin, members: []}", "the router has no members"),
        ("{members: [eve]}", "the router has no `kind`"),
        ("{kind: round_robin, members: {eve: 100}}", "look otherwise"),
        ("{kind: weighted, members: [eve, fay]}", "look otherwise"),
        ("{kind: weighted, members: {eve: 70, fay: 20}}", "the percentages add up to 90, not to 100"),
        ("{kind: weighted, members: {eve: 33.3, fay: 33.3}}", "the percentages add up to 66.6, not to 100"),
        ("{kind: weighted, members: {eve: 120, fay: -20}}", "must be a number of at least 0"),
    ],
)
def test_a_router_that_could_not_route_is_an_error(router: str, message: str) -> None:
    found = said(f"team: {{eve: {{}}, fay: {{}}}}\nrouters:\n  one: {router}\n")
    assert [problem for problem in found if message in problem and problem.startswith("all.yaml:3: ")], found
