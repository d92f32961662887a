"""Compiling: the tree of a map becomes a table of closures, and an index of everything that it listens to.

What is wrong is reported to `problems`; compiling goes on, so that an author sees all of it. A map with an error is never run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.core import elements
from engine.core.automation_map import (
    AutomationMap,
    Do,
    Element,
    End,
    Exit,
    Fork,
    Goal,
    GoTo,
    If,
    Split,
    Trigger,
    Wait,
    WaitBetween,
    WaitFor,
    WaitUntil,
)
from engine.core.compiled import PRINCIPAL, STOP, CompiledMap, DateRule, GoalRule, TriggerRule, WaitRule
from engine.core.conditions import Predicate, compile_predicate
from engine.core.errors import Problem
from engine.core.parse_elements import word_of
from engine.core.parse_triggers import OF_A_MAP
from engine.core.projection import projector
from engine.core.site import Site, Surroundings, prepare
from engine.core.upstream import Graph
from engine.core.values import getter

if TYPE_CHECKING:
    from engine.core.compiled import Branch, Run


def compile_map(source: AutomationMap, version: int, around: Surroundings, problems: list[Problem]) -> CompiledMap:
    """One version of a map, ready to run."""
    return _Compiler(source, version, around, problems).compiled()


def event_of(trigger: Trigger) -> str:
    """The event that a trigger listens to; equal dates are one event."""
    date = trigger.date
    if date is None:
        return trigger.event
    return f"date:{date.field}:{date.offset_ms}:{'' if date.time is None else date.time}:{'y' if trigger.yearly else ''}"


def principal_of(trigger: Trigger) -> str:
    """The principal value that a trigger tests, "" where it hears all."""
    name = PRINCIPAL.get(trigger.event)
    tests = trigger.where.get("all", [trigger.where])
    first = tests[0] if isinstance(tests, list) and tests and isinstance(tests[0], dict) else {}
    value = first.get(f"event.{name}")
    return value if name and isinstance(value, str) else ""


class _Compiler:
    def __init__(self, source: AutomationMap, version: int, around: Surroundings, problems: list[Problem]) -> None:
        self.source = source
        self.around = around
        self.problems = problems
        self.graph = Graph(source.path)
        self.reads: set[str] = set()
        self.map = CompiledMap(source.id, version, len(self.graph.elements))

    def compiled(self) -> CompiledMap:
        source, made = self.source, self.map
        made.reentry, made.cooldown_ms, made.stop_clock = source.reentry, source.cooldown_ms, source.stop_clock
        made.follow, made.moves = source.follow, source.moves
        made.remembers = source.reentry == "never" or source.cooldown_ms > 0
        made.restarts = source.reentry == "restart" and not made.remembers
        if source.per:
            made.per = getter(source.per, self.site("per", source.line, {}, set()))
        self.tables()
        for at, element in enumerate(self.graph.elements):
            made.branches.append(self.branch(at, element))
            made.runs.append(self.element(at, element))
        for number, trigger in enumerate(source.triggers):
            self.trigger(number, trigger)
        for number, trigger in enumerate(source.exit_on):
            made.hears(event_of(trigger)).exits.append(self.listen(trigger, f"exit_on[{number}]"))
        made.project = projector(self.reads)
        made.reads_entry = any(name.partition(".")[0] == "entry" for name in self.reads)
        return made

    def tables(self) -> None:
        made, found = self.map, self.graph.elements
        made.ids = [element.id for element in found]
        made.index = self.graph.index
        made.words = [word_of(element) for element in found]
        made.name_counters()
        for at, element in enumerate(found):
            late = isinstance(element, WaitFor | Goal)
            made.after[at] = self.graph.starts[at][-1] if late else self.graph.follows[at]
        made.timeouts = frozenset(at for at, element in enumerate(found) if isinstance(element, WaitFor | Goal))
        made.durations = made.timeouts | {at for at, element in enumerate(found) if isinstance(element, Wait)}
        made.task_waits = frozenset(element.task for element in found if isinstance(element, WaitFor) and element.task)
        if made.task_waits:
            self.reads |= {"event.element", "event.enrollment"}
        calendars = {at: element for at, element in enumerate(found) if isinstance(element, WaitUntil | WaitBetween)}
        made.calendars = {at: elements.calendar(element, self.around.zone) for at, element in calendars.items()}
        fields: dict[str, set[int]] = {"timezone": set(calendars)} if calendars else {}
        for at, element in calendars.items():
            if isinstance(element, WaitUntil) and element.date is not None:
                fields.setdefault(element.date.field, set()).add(at)
        made.field_waits = {name: frozenset(places) for name, places in fields.items()}

    def site(self, element: str, line: int, node: Mapping[str, Any], reads: set[str]) -> Site:
        return Site(self.around, self.problems, self.source.id, self.source.file, element, line, node, reads)

    # -- what listens --------------------------------------------------------------------------------------------------

    def predicate(self, trigger: Trigger, place: str, reads: set[str]) -> Predicate:
        site = self.site(place, trigger.line, trigger.where, reads)
        test = compile_predicate(trigger.where, site)
        if trigger.kind in OF_A_MAP and (name := principal_of(trigger)) != self.source.id:
            site.need("maps", name)
        if trigger.kind == "purchased" and (name := principal_of(trigger)):
            site.product(name)
        if trigger.date is not None:
            self.map.dates.append(DateRule(event_of(trigger), trigger.date, trigger.yearly))
        return test

    def listen(self, trigger: Trigger, place: str) -> Predicate:
        """The predicate of what listens inside the map; what it reads is kept, for events that are kept while paused."""
        self.map.heard.append((event_of(trigger), principal_of(trigger)))
        return self.predicate(trigger, place, self.reads)

    def trigger(self, number: int, trigger: Trigger) -> None:
        place = f"triggers[{number}]"
        test = self.predicate(trigger, place, set())
        start = self.map.index.get(trigger.go, 0)
        rule = TriggerRule(self.map, event_of(trigger), principal_of(trigger), test, start)
        self.map.triggers.append(rule)
        if trigger.kind == "added" and rule.value == self.map.id and self.map.added is None:
            self.map.added = rule

    # -- elements ------------------------------------------------------------------------------------------------------

    def element(self, at: int, element: Element) -> Run:
        following, starts = self.graph.follows[at], self.graph.starts[at]
        match element:
            case Wait(duration_ms=duration_ms):
                return elements.wait(duration_ms, following)
            case WaitUntil() | WaitBetween():
                return elements.wait_by_calendar(self.map.calendars[at], following)
            case WaitFor():
                return self.wait_for(at, element)
            case If():
                return elements.stay  # never run: it stands in `branches`
            case Split(arms=arms):
                return elements.split([arm.weight for arm in arms] or [1], starts or [following])
            case Fork():
                return elements.fork(starts)
            case Goal():
                return self.goal(at, element)
            case GoTo(target=target):
                return elements.go_to(self.map.index.get(target, STOP))
            case End():
                return elements.stay if self.source.id.startswith("sequence:") else elements.end
            case Exit():
                return elements.leave
            case Do():
                return self.do(at, element)
            case _:
                raise TypeError(f"{type(element).__name__} is no element")

    def branch(self, at: int, element: Element) -> Branch | None:
        """What an `if` asks and where it leads; None for the other elements."""
        if not isinstance(element, If):
            return None
        then, otherwise = self.graph.starts[at]
        return compile_predicate(element.where, self.site(element.id, element.line, element.where, self.reads)), then, otherwise

    def wait_for(self, at: int, element: WaitFor) -> Run:
        then, otherwise = self.graph.starts[at]
        test = self.listen(element.trigger, element.id)
        event = event_of(element.trigger)
        self.map.hears(event).waits[at] = WaitRule(at, then, test, element.task)
        return elements.wait_for(event, element.task, element.timeout_ms, then, otherwise)

    def goal(self, at: int, element: Goal) -> Run:
        event, following = event_of(element.trigger), self.graph.follows[at]
        test = self.listen(element.trigger, element.id)
        self.map.hears(event).goals.append(GoalRule(at, following, test, self.graph.upstream(at), self.graph.siblings(at)))
        if element.adds:
            self.map.triggers.append(TriggerRule(self.map, event, principal_of(element.trigger), test, following, goal=at))
        return elements.goal(event, element.timeout_ms, self.map.after[at])

    def do(self, at: int, element: Do) -> Run:
        site = self.site(element.id, element.line, element.params, self.reads)
        act = prepare(site, element.kind)
        if site.outcomes:
            self.map.outcomes[at] = site.outcomes
        if site.tell is not None:
            self.map.notices[at] = element.kind, site.tell
        kind = self.around.registry.get(element.kind)
        channel = kind.channel if kind is not None else ""
        if channel and self.around.providers is not None and channel not in self.around.providers:
            site.problem(f"`{element.kind}` needs a provider for the channel {channel}", remedy=f"write `{channel}:` in providers.yaml")
        return elements.do(element.kind, channel, act, self.graph.follows[at])
