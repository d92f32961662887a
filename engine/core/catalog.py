"""The small documents of a workspace: products, team, routers, fulfillment lists. What is named, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.core.documents import suggest
from engine.core.errors import Problem
from engine.core.names import name_fault, shown
from engine.core.reading import Place

SECTIONS = ("maps", "sequences", "templates", "products", "team", "routers", "fulfillment", "limits", "providers")
_TABLES = ("templates", "products", "team", "routers", "fulfillment", "limits", "providers")
Things = dict[str, Mapping[str, Any]]


def names_of(documents: Mapping[str, Any], problems: list[Problem]) -> Things | None:
    """What the workspace has of each sort, by name; None where its shape is wrong."""
    before = len(problems)
    whole = Place(documents, problems, path="workspace")
    if not whole.known(SECTIONS, "a workspace"):
        return None
    for section in _TABLES:
        if documents.get(section) is not None and not isinstance(documents[section], Mapping):
            whole.at(section).problem(f"`{section}` must be a mapping, not {shown(documents[section])}")
    for section in ("maps", "sequences"):
        if documents.get(section) is not None and not isinstance(documents[section], list):
            whole.at(section).problem(f"`{section}` must be a list, not {shown(documents[section])}")
    if len(problems) > before:
        return None
    found: Things = {section: documents.get(section) or {} for section in _TABLES}
    for section, key in (("maps", "map"), ("sequences", "sequence")):
        listed = [document for document in documents.get(section) or [] if isinstance(document, Mapping)]
        found[section] = {document[key]: document for document in listed if isinstance(document.get(key), str)}
    return found


def check_catalog(things: Things, problems: list[Problem]) -> None:
    """Check names and routers; lists are read by fulfillment.py, and what the actions need of the rest they check themselves."""
    for section in ("products", "team", "routers", "fulfillment"):
        table = Place(things[section], problems, path=section)
        for name in things[section]:
            if fault := name_fault(name):
                table.at(name).problem(f"the name {fault}")
            if not isinstance(things[section][name], Mapping):
                table.at(name).problem(f'"{name}" must be a mapping, not {shown(things[section][name])}')
            elif section in _READERS:
                _check_entry(table.at(name), *_READERS[section])
    routers = Place(things["routers"], problems, path="routers")
    for name, router in things["routers"].items():
        if isinstance(router, Mapping):
            _check_router(routers.at(name), things["team"])


def _check_entry(place: Place, what: str, readers: Mapping[str, Callable[[Place], Any]]) -> None:
    """Check the keys of one entry, and each value that is there."""
    place.known(readers, what)
    for key, read in readers.items():
        if place.has(key):
            read(place.at(key))


def _check_roles(place: Place) -> None:
    for item in place.items("`roles`"):
        item.name("a role")


_READERS: dict[str, tuple[str, Mapping[str, Callable[[Place], Any]]]] = {
    "products": ("a product", {"name": lambda at: at.text("`name`"), "price": lambda at: at.number("`price`")}),
    "team": ("a team member", {"name": lambda at: at.text("`name`"), "email": lambda at: at.text("`email`"), "phone": lambda at: None, "roles": _check_roles}),
}


def _check_router(place: Place, team: Mapping[str, Any]) -> None:
    place.known(("kind", "members"), "a router")
    kind = place.at("kind").one_of(("round_robin", "weighted"), "`kind`") if place.has("kind") else ""
    if not place.has("kind"):
        place.problem("the router has no `kind`", "write `kind: round_robin` or `kind: weighted`")
    members = place.raw.get("members")
    if not members:
        place.problem("the router has no members", "write `members: [eve, fay]`")
        return
    if not isinstance(members, Mapping if kind == "weighted" else list):
        example = "{eve: 70, fay: 30}" if kind == "weighted" else "[eve, fay]"
        place.at("members").problem(f"`members` of this kind look otherwise than {shown(members)}", f"write `members: {example}`")
        return
    for member in members:
        if not isinstance(member, str):
            place.at("members").problem(f"a member must be the name of a team member, not {shown(member)}")
        elif member not in team:
            place.at("members").problem(f'there is no team member "{member}"', suggest(member, team))
    if isinstance(members, Mapping):
        weights = [place.at("members").at(member).number("the percentage") for member in members]
        if abs(sum(weights) - 100) > 1e-6:
            place.at("members").problem(f"the percentages add up to {sum(weights):g}, not to 100")
