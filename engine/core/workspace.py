"""The workspace, compiled: maps by id and version, what listens to each event, and everything that templates and limits need.

Made once for each snapshot and never changed. The shard, the pools and the simulator use the same one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.config import Config
from engine.core.action_kind import Registry
from engine.core.automation_map import AutomationMap
from engine.core.catalog import check_catalog, names_of
from engine.core.compile import compile_map
from engine.core.compiled import PRINCIPAL, STOP, CompiledMap, DateRule, TriggerRule
from engine.core.contact import Enrollment
from engine.core.errors import InvalidDocument, Problem
from engine.core.fulfillment import FulfillmentList, read_lists
from engine.core.lint import lint
from engine.core.live_edit import check_follow
from engine.core.lost import LostMap
from engine.core.parse import parse_map, parse_sequence
from engine.core.reading import Place
from engine.core.send_limits import SendLimits, read_limits
from engine.core.site import Surroundings
from engine.core.templates import Templates

Rules = list[TriggerRule]


class Workspace:
    """One snapshot's workspace. `maps` holds the current versions, sequences as `sequence:ID`."""

    def __init__(self, number: int, documents: Mapping[str, Any], bounds: Config, limits: SendLimits, templates: Templates) -> None:
        self.number = number
        self.documents = documents
        self.bounds = bounds
        self.templates = templates
        self.products, self.team = documents.get("products") or {}, documents.get("team") or {}
        self.routers, self.fulfillment = documents.get("routers") or {}, documents.get("fulfillment") or {}
        self.limits, self.providers = documents.get("limits") or {}, documents.get("providers") or {}
        self.send_limits = limits
        self.timezone, self.zone = limits.timezone, limits.zone
        self.default_consent, self.caps = limits.default_consent, limits.caps
        self.quiet_hours, self.suppressed = limits.quiet_hours, limits.suppressed
        self.mail_domains = limits.mail_domains
        self.lists: dict[str, FulfillmentList] = {}  # those that are sent
        self.maps: dict[str, CompiledMap] = {}
        self.older: dict[tuple[str, int], CompiledMap] = {}
        self.triggers: dict[str, Rules | dict[str | None, Rules]] = {}
        self.listening: dict[str, frozenset[str] | None] = {}  # event → principal values that somebody hears; None: all
        self.heard_inside: frozenset[str] = frozenset()  # events that waits, goals or `exit_on` of any map hear
        self.dates: dict[str, list[DateRule]] = {}  # field → date rules that hang on it
        self.date_rules: dict[str, DateRule] = {}  # event → rule
        self.clocked: frozenset[str] = frozenset()  # fields that move waits or alarms
        self.minds_fields = False  # whether anything at all listens to a change of fields, or hangs on one
        self.follows = False  # whether any map takes contacts along to its newest version
        self.nowhere: CompiledMap = LostMap("", 0)

    def map_of(self, enrollment: Enrollment) -> CompiledMap:
        """The version of the map that an enrollment is in."""
        found = self.maps.get(enrollment.map)
        if found is not None and found.version == enrollment.version:
            return found
        key = (enrollment.map, enrollment.version)
        return self.older.get(key) or self.older.setdefault(key, LostMap(*key))

    def map_version(self, map_id: str, version: int) -> CompiledMap | None:
        """One version of a map, None where it is not known."""
        found = self.maps.get(map_id)
        if found is not None and found.version == version:
            return found
        older = self.older.get((map_id, version))
        return None if isinstance(older, LostMap) else older

    def index(self) -> None:
        """Make the indexes, after all maps are in."""
        rules = [rule for map_id in sorted(self.maps) for rule in _in_order(self.maps[map_id])]
        for event in {rule.event for rule in rules}:
            self.triggers[event] = _keyed(event, [rule for rule in rules if rule.event == event])
        everything = [*self.maps.values(), *self.older.values()]
        self.heard_inside = frozenset(event for found in everything for event in found.listeners)
        self.listening = _listening([(rule.event, rule.value) for rule in rules] + [pair for found in everything for pair in found.heard])
        for found in everything:
            for date in found.dates:
                if date.event not in self.date_rules:
                    self.date_rules[date.event] = date
                    self.dates.setdefault(date.date.field, []).append(date)
                    self.dates.setdefault("timezone", []).append(date)
        self.clocked = frozenset(self.dates) | {name for found in everything for name in found.field_waits}
        self.minds_fields = bool(self.clocked) or "field.changed" in self.listening
        self.follows = any(found.follow for found in self.maps.values())


def _in_order(owner: CompiledMap) -> Rules:
    """Goals that add come before triggers."""
    return sorted(owner.triggers, key=lambda rule: rule.goal == STOP)


def _keyed(event: str, rules: Rules) -> Rules | dict[str | None, Rules]:
    """The rules of one event, by the principal value that they test where the event has one."""
    if event not in PRINCIPAL:
        return rules
    keyed: dict[str | None, Rules] = {None: [rule for rule in rules if not rule.value]}
    for value in {rule.value for rule in rules if rule.value}:
        keyed[value] = [rule for rule in rules if rule.value in ("", value)]
    return keyed


def _listening(pairs: Iterable[tuple[str, str]]) -> dict[str, frozenset[str] | None]:
    values: dict[str, set[str]] = {}
    for event, value in pairs:
        values.setdefault(event, set()).add(value)
    return {event: None if "" in found else frozenset(found) for event, found in values.items()}


def compile_workspace(
    documents: Mapping[str, Any],
    registry: Registry,
    bounds: Config,
    *,
    number: int = 0,
    versions: Mapping[str, Mapping[str, Any]] | None = None,
    simulation: bool = False,
) -> Workspace:
    """Everything checked and compiled. InvalidDocument with every problem where there is an error.

    `versions`: map (or `sequence:ID`) → {"version": document} of every version in use; without them each map has version 1.
    `simulation` needs no providers.
    """
    problems: list[Problem] = []
    workspace = _build(documents, registry, bounds, problems, number, versions or {}, simulation)
    if workspace is None or any(not problem.warning for problem in problems):
        raise InvalidDocument(problems)
    return workspace


def problems_of(documents: Mapping[str, Any], registry: Registry, bounds: Config, *, simulation: bool = False) -> list[Problem]:
    """Every problem and warning of a workspace, in the order of the documents; errors first."""
    problems: list[Problem] = []
    _build(documents, registry, bounds, problems, 0, {}, simulation)
    return sorted(problems, key=lambda problem: problem.warning)


def _build(
    documents: Mapping[str, Any],
    registry: Registry,
    bounds: Config,
    problems: list[Problem],
    number: int,
    versions: Mapping[str, Mapping[str, Any]],
    simulation: bool,
) -> Workspace | None:
    things = names_of(documents, problems)
    if things is None:
        return None
    check_catalog(things, problems)
    limits = read_limits(documents.get("limits") or {}, problems, {kind.channel for kind in registry.values() if kind.channel})
    templates = Templates(things["templates"], fuel=bounds.template_fuel, bytes_max=bounds.template_bytes_max)
    problems.extend(templates.problems())
    providers = None if simulation else documents.get("providers") or {}
    around = Surroundings(things, registry, templates, limits, providers)
    workspace = Workspace(number, documents, bounds, limits, templates)
    workspace.lists = read_lists(things["fulfillment"], limits.timezone, limits.zone, problems)
    parsed = _parsed(documents, registry, problems)
    lint(parsed, problems)
    for map_id, source in parsed.items():
        known = versions.get(map_id, {})
        workspace.maps[map_id] = compile_map(source, max(map(int, known), default=1), around, problems)
    _compile_older(workspace, versions, around, problems)
    workspace.index()
    return workspace


def _parsed(documents: Mapping[str, Any], registry: Registry, problems: list[Problem]) -> dict[str, AutomationMap]:
    found: dict[str, AutomationMap] = {}
    for section, what in (("maps", "map"), ("sequences", "sequence")):
        for document in documents.get(section) or []:
            parsed = _parse(what, document, problems, registry)
            if parsed is None:
                continue
            if parsed.id in found:
                first = found[parsed.id]
                where = f"{first.file}:{first.line}" if first.line else first.file
                Place(document, problems, path=f"{section}/{document[what]}:").problem(f"there are two of this id, the other is in {where}")
            found[parsed.id] = parsed
    return found


def _parse(what: str, document: Any, problems: list[Problem], registry: Registry) -> AutomationMap | None:
    if what == "map":
        return parse_map(document, problems, registry)
    sequence = parse_sequence(document, problems, registry)
    return sequence[0] if sequence else None


def _compile_older(workspace: Workspace, versions: Mapping[str, Mapping[str, Any]], around: Surroundings, problems: list[Problem]) -> None:
    """Versions that contacts may still stand on. What is missing for them by now is no error: they were valid when they were published."""
    for map_id, documents in versions.items():
        current = workspace.maps.get(map_id)
        for text, document in documents.items():
            if current is not None and int(text) == current.version:
                continue
            ignored: list[Problem] = []
            source = _parse("sequence" if map_id.startswith("sequence:") else "map", document, ignored, around.registry)
            if source is not None:
                workspace.older[map_id, int(text)] = compile_map(source, int(text), around, ignored)
        if current is not None and current.follow:
            previous = workspace.older.get((map_id, current.version - 1))
            check_follow(previous, current, problems)
