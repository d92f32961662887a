"""The simulator: scripts on the production step code, with a virtual clock, no server and no network.

At one instant timers come first, in the order in which they were set across all contacts, then what the script sends, in
its order. Providers deliver everything at once, unless an `outcome` of the script says otherwise; a lead router answers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from heapq import heappop, heappush
from typing import Any

import msgspec

from engine.config import Config
from engine.core.action_kind import Registry
from engine.core.contact import FORMAT, PARKED, RESTING, Contact, Enrollment
from engine.core.documents import suggest
from engine.core.effects import TRANSACTIONAL, Changes, Effect, outcome_data
from engine.core.errors import InvalidDocument, Problem
from engine.core.guard import marks, refusal
from engine.core.local_time import iso
from engine.core.records import Command, Outcome, Posted, Record
from engine.core.routers import route
from engine.core.step import step, step_timer
from engine.core.workspace import Workspace, compile_workspace
from engine.expectations import Difference, Line, check_expectations, differences
from engine.simulation_script import Entry, Script, read_script

Detail = Callable[[Effect, Workspace], dict[str, Any]]


class Simulation(msgspec.Struct):
    """What happened, line by line, and where it differs from what the script expects."""

    lines: list[Line]
    differences: list[Difference]

    def jsonl(self) -> bytes:
        """The lines as JSON, one on each line."""
        return msgspec.json.Encoder().encode_lines(self.lines)


def simulate(
    script: Mapping[str, Any],
    registry: Registry,
    render_detail: Detail,
    read_workspace: Callable[[str], Mapping[str, Any]],
    bounds: Config | None = None,
) -> Simulation:
    """Run a script. InvalidDocument with every problem of the script and of its workspace."""
    bounds = bounds or Config()
    read = read_script(script, read_workspace)
    problems: list[Problem] = []
    check_expectations(read.expect, problems)
    workspace = compile_workspace(read.documents, registry, bounds, simulation=True)
    for entry in read.entries:
        _check_names(entry, workspace, registry)
    problems += [problem for entry in read.entries for problem in entry.place.problems if problem not in problems]
    if problems:
        raise InvalidDocument(problems)
    lines = _Run(read, workspace, render_detail).lines()
    return Simulation(lines, differences(read.expect, lines))


def _check_names(entry: Entry, workspace: Workspace, registry: Registry) -> None:
    """A command names a map or a sequence of the workspace (a sequence may be called by its id alone); an outcome names an action."""
    record = entry.record
    if isinstance(record, Outcome) and record.action and record.action not in registry:
        entry.place.at("outcome").at("action").problem(f'there is no action "{record.action}"', suggest(record.action, registry))
    if isinstance(record, Command) and record.map and record.map not in workspace.maps:
        if f"sequence:{record.map}" in workspace.maps:
            record.map = f"sequence:{record.map}"
        else:
            entry.place.at("command").at(record.verb).problem(f'there is no map "{record.map}"', suggest(record.map, workspace.maps))


class _Run:
    """One run of a script."""

    def __init__(self, script: Script, workspace: Workspace, render_detail: Detail) -> None:
        self.script = script
        self.workspace = workspace
        self.render_detail = render_detail
        self.contacts: dict[str, Contact] = {}
        self.printed: list[Line] = []
        self.changes = Changes(self.journal)
        self.now = script.start_ms
        self.contact = Contact(FORMAT, "")
        self.steps = workspace.bounds.simulation_steps_max
        self.numbers = 0  # orders the timers of all contacts by when they were set
        self.numbered: dict[tuple[str, int], int] = {}
        self.timers: list[tuple[int, int, str, int]] = []  # (due, number, contact, armed)
        self.listed: set[tuple[str, int, int]] = set()
        self.held: dict[str, tuple[int, int, Effect]] = {}  # effects not yet handed over: (not before, number, effect)
        self.handed: dict[tuple[str, str], Effect] = {}  # (contact, kind) → the last effect handed over
        self.ids: set[tuple[str, str]] = set()
        self.turns: dict[str, int] = {}

    def lines(self) -> list[Line]:
        """Run it to its end."""
        for entry in self.script.entries:
            if entry.at_ms > self.script.until_ms:
                break
            self.run_until(entry.at_ms)
            self.now = entry.at_ms
            self.send(entry.record)
        self.run_until(self.script.until_ms)
        return self.printed + [_standing(contact, self.workspace) for contact in self.contacts.values()]

    def run_until(self, until: int) -> None:
        """Everything that is due up to then: timers and hand-overs, in the order in which they were set."""
        while True:
            timer = self.timers[0] if self.timers else None
            held = min(self.held.values(), key=lambda item: item[:2], default=None)
            if timer is not None and timer[0] <= until and (held is None or timer[:2] < held[:2]):
                heappop(self.timers)
                self.fire(timer)
            elif held is not None and held[0] <= until:
                self.hand_over(held)
            else:
                return

    # -- records -------------------------------------------------------------------------------------------------------

    def send(self, record: Record) -> None:
        """What the script sends; a repeated id changes nothing."""
        contact = self.contacts.get(record.contact) or self.contacts.setdefault(record.contact, Contact(FORMAT, record.contact))
        record_id = "" if isinstance(record, Outcome) else getattr(record, "id", "")
        if record_id:
            if (contact.id, record_id) in self.ids:
                return
            self.ids.add((contact.id, record_id))
        if isinstance(record, Outcome) and record.action != "assign_task":
            effect = self.handed.get((contact.id, record.action))
            if effect is None:
                self.contact = contact
                self.journal("ignored", "", "", {"reason": f"no {record.action} was handed over"})
                return
            record = _of_effect(record, effect)
        self.step(contact, record)

    def step(self, contact: Contact, record: Record) -> None:
        """Step a contact, and answer what it posts."""
        self.count()
        self.contact = contact
        step(contact, record, self.now, self.workspace, self.changes)
        self.after(contact)

    def fire(self, timer: tuple[int, int, str, int]) -> None:
        """Fire one timer, if it still stands."""
        due, _, contact_id, armed = timer
        self.listed.discard((contact_id, armed, due))
        contact = self.contacts[contact_id]
        if (armed, due) in _timers(contact):
            self.count()
            self.now, self.contact = due, contact
            step_timer(contact, due, self.workspace, self.changes)
            self.after(contact)

    def after(self, contact: Contact) -> None:
        """What a step decided: effects, timers, posts."""
        self.take_effects()
        for armed, due in sorted(_timers(contact)):
            key = (contact.id, armed, due)
            if key not in self.listed:
                self.listed.add(key)
                heappush(self.timers, (due, self.number(contact.id, armed), contact.id, armed))
        posts, self.changes.posts = self.changes.posts, []
        for post in posts:
            if post.kind == "route":
                router = post.to.removeprefix("router:")
                turns = self.turns[router] = self.turns.get(router, -1) + 1
                owner = route(self.workspace.routers.get(router, {}), turns, post.data)
                self.step(contact, Posted(contact.id, 0, 0, "owner", {**post.data, "owner": owner}))

    def number(self, contact: str, armed: int) -> int:
        """The place of a timer among all that were ever set."""
        if (contact, armed) not in self.numbered:
            self.numbers += 1
            self.numbered[contact, armed] = self.numbers
        return self.numbered[contact, armed]

    def count(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            most = self.workspace.bounds.simulation_steps_max
            raise InvalidDocument([Problem(file="script", message=f"the run takes more than {most} steps", remedy="simulate a shorter time")])

    # -- effects -------------------------------------------------------------------------------------------------------

    def take_effects(self) -> None:
        """Effects that were decided are handed over at once, or held until their time."""
        for effect in self.changes.effects:
            if effect.not_before_ms > self.now:
                self.numbers += 1
                self.held[effect.id] = (effect.not_before_ms, self.numbers, effect)
            else:
                self.handed[effect.contact, effect.kind] = effect
        self.changes.effects.clear()

    def hand_over(self, held: tuple[int, int, Effect]) -> None:
        """An effect's time has come; the guard is asked once more."""
        self.now, _, effect = held
        del self.held[effect.id]
        self.contact = self.contacts[effect.contact]
        default = self.workspace.default_consent.get(effect.consent, "unsubscribed")
        reason = refusal(marks(self.contact.consent), effect.consent, default, effect.lane == TRANSACTIONAL) if effect.consent else ""
        if reason:
            self.journal("suppressed", effect.map, effect.element, {"reason": reason}, effect.kind)
        else:
            self.handed[effect.contact, effect.kind] = effect

    def journal(self, what: str, map_id: str, element: str, detail: dict[str, Any], action: str = "", effect: Effect | None = None) -> None:
        """Print a line. A withdrawal is printed only for what was not handed over yet."""
        if what == "withdrawn":
            self.take_effects()
            held = self.held.pop(detail["effect"], None)
            if held is None:
                return
            element, action, detail = held[2].element, held[2].kind, {"not_before": iso(held[0])}
        line: Line = {"at": iso(self.now), "contact": self.contact.id, "map": map_id, "element": element, "what": what}
        if action:
            line["action"] = action
        rendered = self.render_detail(effect, self.workspace) if effect is not None else {}
        self.printed.append({**line, "detail": {**rendered, **detail}})


def _of_effect(record: Outcome, effect: Effect) -> Outcome:
    """The outcome of an effect, as a pool would report it."""
    data = outcome_data(effect, record.data)
    return Outcome(record.contact, effect.id, record.action, record.status, record.reason, effect.enrollment, effect.element, data)


def _timers(contact: Contact) -> set[tuple[int, int]]:
    """(armed, due) of every timer that may fire."""

    def found() -> Iterator[tuple[int, int]]:
        for enrollment in contact.enrollments:
            if not enrollment.paused_at:
                yield from ((position.armed, position.due) for position in enrollment.positions if position.due)
        yield from ((alarm.armed, alarm.due) for alarm in contact.alarms)
        yield from ((task.armed, task.alarms[0]) for task in contact.tasks if task.alarms)

    return set(found())


def _standing(contact: Contact, workspace: Workspace) -> Line:
    """The last line of a contact."""
    enrollments = []
    for enrollment in contact.enrollments:
        ids = workspace.map_of(enrollment).ids
        positions = [ids[position.at] for position in enrollment.positions]
        enrollments.append({"map": enrollment.map, "positions": positions, "status": status_of(enrollment)})
    return {"what": "contact", "contact": contact.id, "fields": contact.fields, "tags": contact.tags, "enrollments": enrollments}


def status_of(enrollment: Enrollment) -> str:
    """active, resting, paused or parked."""
    states = {position.state for position in enrollment.positions}
    if enrollment.paused_at:
        return "paused"
    if PARKED in states:
        return "parked"
    return "resting" if states == {RESTING} else "active"
