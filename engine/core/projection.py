"""Projection: of an event a contact keeps only what the map reads, so that a checkpoint stays small."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

Project = Callable[[Mapping[str, Any]], dict[str, Any] | None]
Tree = dict[str, Any]  # key → what is kept below it; None: all


def projector(reads: Collection[str]) -> Project:
    """What keeps of an event the paths under `event.` and `entry.` in `reads`; all of it where `event` is read whole. None: nothing."""
    if "event" in reads or "entry" in reads:
        return lambda data: dict(data) or None
    tree: Tree = {}
    for name in sorted(reads):
        source, _, path = name.partition(".")
        if source in ("event", "entry") and path:
            _plant(tree, path.split("."))
    keys = tuple(tree)
    if not keys:
        return lambda data: None
    if any(below is not None for below in tree.values()):
        return lambda data: _cut(data, tree) or None
    if len(keys) == 1:
        only = keys[0]
        return lambda data: {only: data[only]} if only in data else None
    wanted = frozenset(keys)

    def project(data: Mapping[str, Any]) -> dict[str, Any] | None:
        if isinstance(data, dict) and data.keys() <= wanted:
            return data or None  # nothing to leave out: no copy, which is 50 of a step's 1,300 bytecodes
        return {key: data[key] for key in keys if key in data} or None

    return project


def _plant(tree: Tree, parts: list[str]) -> None:
    for part in parts[:-1]:
        below = tree.setdefault(part, {})
        if below is None:
            return
        tree = below
    tree[parts[-1]] = None


def _cut(value: Any, tree: Tree | None) -> Any:
    if tree is None or not isinstance(value, dict):
        return value
    return {key: _cut(value[key], below) for key, below in tree.items() if key in value}
