"""Publishing: documents are checked whole, get version numbers where they changed, and become one immutable snapshot.

A map (or sequence) keeps its version as long as its document stays the same, so publishing anything else leaves the contacts in it
alone. Old versions stay in the snapshot: contacts may stand on them. Two publishers at once are told apart by the number of
the newest snapshot; the slower one plans again on top of the faster one's, a few times, then gives up (Raced).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from engine.codec import decode_any, encode
from engine.config import Config
from engine.core.action_kind import Registry
from engine.core.errors import InvalidDocument, Problem, WayfareError
from engine.core.workspace import compile_workspace, problems_of
from engine.ports import Snapshot, Workspaces

TRIES = 4
LISTS = {"maps": "map", "sequences": "sequence"}
"""Sections that are lists, and the key that names one of their documents."""
TABLES = ("templates", "products", "team", "routers", "fulfillment", "limits", "providers")

Documents = dict[str, Any]
Check = Callable[[Documents], list[Problem]]


class Raced(WayfareError):
    """Others published again and again meanwhile; the gateway answers 409, the command line says to try again."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One difference: `what` is map, sequence, template, products, …; `change` added, changed or removed; `version` of a map or sequence."""

    what: str
    name: str
    change: str
    version: int = 0


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """What a publish did, or (`published` false) would do. `number` is the snapshot in force afterwards."""

    number: int
    published: bool
    changes: list[Change] = []
    warnings: list[Problem] = []


def version_key(section: str, document: Mapping[str, Any]) -> str:
    """What a map or sequence is called among the versions: its id, or `sequence:ID`."""
    return str(document["map"]) if section == "maps" else f"sequence:{document['sequence']}"


def newest_version(versions: Mapping[str, Any]) -> int:
    """The highest version number of one map, 0 for none."""
    return max(map(int, versions), default=0)


def with_map(documents: Documents, document: Mapping[str, Any]) -> Documents:
    """The documents with one map put in the place of its older self, or at the end."""
    maps = list(documents.get("maps", ()))
    for place, old in enumerate(maps):
        if old["map"] == document["map"]:
            maps[place] = document
            return {**documents, "maps": maps}
    return {**documents, "maps": [*maps, document]}


def next_snapshot(current: Snapshot | None, documents: Documents, at_ms: int) -> tuple[Snapshot, list[Change]]:
    """The snapshot that follows, and what differs. The documents have passed `problems_of`."""
    number = current.number + 1 if current else 1
    versions = {key: dict(known) for key, known in current.versions.items()} if current else {}
    for section in LISTS:
        for document in documents.get(section, ()):
            known = versions.setdefault(version_key(section, document), {})
            newest = newest_version(known)
            if not newest or known[str(newest)] != document:
                known[str(newest + 1)] = document
    snapshot = Snapshot(number, documents, versions, at_ms)
    return snapshot, differences(current.documents if current else {}, documents, versions)


def differences(old: Documents, new: Documents, versions: Mapping[str, Any]) -> list[Change]:
    """What was added, changed or removed, section by section, in the order of names."""
    changes = []
    for section, key in LISTS.items():
        before, after = ({str(document[key]): document for document in documents.get(section, ())} for documents in (old, new))
        for name, change in _compared(before, after):
            version = newest_version(versions.get(name if key == "map" else f"sequence:{name}", {}))
            changes.append(Change(what=key, name=name, change=change, version=version if change != "removed" else 0))
    for section in TABLES:
        for name, change in _compared(old.get(section) or {}, new.get(section) or {}):
            changes.append(Change(what=section, name=name, change=change))
    return changes


def _compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = []
    for name in sorted({*before, *after}):
        if name not in before:
            found.append((name, "added"))
        elif name not in after:
            found.append((name, "removed"))
        elif before[name] != after[name]:
            found.append((name, "changed"))
    return found


def plain(documents: Mapping[str, Any]) -> Documents:
    """The documents without their line numbers, as they are stored; InvalidDocument where something can't be."""
    try:
        stored = decode_any(encode(documents))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidDocument([Problem(file="workspace", message=f"cannot be stored: {error}")]) from None
    return {name: section for name, section in stored.items() if section}


def checked(documents: Documents, registry: Registry, config: Config, more: Check) -> list[Problem]:
    """The warnings; InvalidDocument with every problem where there is an error."""
    problems = problems_of(documents, registry, config)
    if not any(not problem.warning for problem in problems):
        problems += more(documents)
    if any(not problem.warning for problem in problems):
        raise InvalidDocument(problems)
    return problems


async def publish(
    workspaces: Workspaces,
    change: Callable[[Documents], Documents],
    registry: Registry,
    config: Config,
    at_ms: int,
    *,
    plan: bool = False,
    more: Check = lambda _: [],
) -> Publication:
    """Publish what `change` makes of the documents in force, or only tell (`plan`) what would be.

    `more` finds problems that the engine can't know of (those of providers). Raises InvalidDocument, Raced, Unavailable. Where nothing differs
    nothing is published.
    """
    for _ in range(TRIES):
        number = await workspaces.newest()
        current = await workspaces.get(number) if number else None
        wanted = change(current.documents if current else {})
        warnings = await asyncio.to_thread(checked, wanted, registry, config, more)
        snapshot, changes = await asyncio.to_thread(_compiled, current, wanted, registry, config, at_ms)
        if plan or not changes:
            return Publication(number=number, published=False, changes=changes, warnings=warnings)
        if await workspaces.publish(snapshot, number):
            return Publication(number=snapshot.number, published=True, changes=changes, warnings=warnings)
    raise Raced("others published meanwhile; try again")


def _compiled(current: Snapshot | None, wanted: Documents, registry: Registry, config: Config, at_ms: int) -> tuple[Snapshot, list[Change]]:
    snapshot, changes = next_snapshot(current, plain(wanted), at_ms)
    # Once more as a shard will do it, from what is stored and with the older versions: a snapshot that no shard can load must not exist.
    compile_workspace(snapshot.documents, registry, config, number=snapshot.number, versions=snapshot.versions)
    return snapshot, changes
