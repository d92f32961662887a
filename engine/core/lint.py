"""What is wrong with the graph of maps that are each well written: places that nobody reaches, names that lead nowhere,
loops in which no time passes, adds that wait for one another.

Maps and sequences are checked together, since a blocking add waits on another map. What the workspace must hold
(templates, products, lists) is checked when the actions are prepared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from engine.core.automation_map import AutomationMap, Do, Element, End, Exit, Fork, Goal, GoTo, If, Split, Wait, WaitBetween, WaitFor, WaitUntil
from engine.core.documents import suggest
from engine.core.errors import Problem
from engine.core.parse_elements import branches, word_of
from engine.core.upstream import NONE, Graph

SEQUENCE = "sequence:"


def lint(maps: Mapping[str, AutomationMap], problems: list[Problem]) -> None:
    """Report what is wrong with maps and sequences (by id; a sequence's is `sequence:ID`) as a whole."""
    graphs = {map_id: Graph(found.path) for map_id, found in maps.items()}
    for map_id, found in maps.items():
        one = _Lint(found, graphs[map_id], problems)
        one.ids()
        one.targets()
        one.shapes()
        one.unreachable()
    instant = _Instant(maps, graphs)
    for map_id, found in maps.items():
        _Lint(found, graphs[map_id], problems).loops(instant)
    _cycles_of_adds(maps, graphs, problems)


class _Lint:
    """The checks of one map."""

    def __init__(self, found: AutomationMap, graph: Graph, problems: list[Problem]) -> None:
        self.map = found
        self.graph = graph
        self.problems = problems

    def problem(self, element: Element | None, message: str, remedy: str = "", *, line: int = 0, warning: bool = False) -> None:
        kind, name = ("sequences", self.map.id.removeprefix(SEQUENCE)) if self.map.id.startswith(SEQUENCE) else ("maps", self.map.id)
        place = f"{kind}/{name}: {element.id}" if element else f"{kind}/{name}"
        line = line or (element.line if element else self.map.line)
        self.problems.append(Problem(file=self.map.file, line=line, place=place, message=message, remedy=remedy, warning=warning))

    def ids(self) -> None:
        """Ids are unique; elements that hold contacts should have one that an edit does not renumber."""
        first: dict[str, Element] = {}
        for element in self.graph.elements:
            if element.id in first:
                self.problem(element, f'the id "{element.id}" is taken (line {first[element.id].line})', "give one of them another id")
            first.setdefault(element.id, element)
            if not element.given and _holds(element) and not (self.map.id.startswith(SEQUENCE) and not isinstance(element, Do)):
                remedy = "write `id: NAME` beside it, so that contacts find their place when the map is edited"
                self.problem(element, f"this `{word_of(element)}` holds contacts and has no id", remedy, warning=True)

    def targets(self) -> None:
        """`go_to`, `go`, `moves` and waits for tasks name elements of this map."""
        for trigger in self.map.triggers:
            if trigger.go and trigger.go not in self.graph.index:
                self._dangling(None, "go", trigger.go, trigger.line)
        for target in self.map.moves.values():
            if target and target not in self.graph.index:
                self._dangling(None, "moves", target, self.map.line)
        for element in self.graph.elements:
            if isinstance(element, GoTo) and element.target and element.target not in self.graph.index:
                self._dangling(element, "go_to", element.target, element.line)
            if isinstance(element, WaitFor) and element.task:
                self._task(element)

    def _dangling(self, element: Element | None, word: str, target: str, line: int) -> None:
        self.problem(
            element, f'`{word}` names "{target}", and the map has no such element', suggest(target, self.graph.index) or "give the element an id", line=line
        )

    def _task(self, element: WaitFor) -> None:
        tasks = [one.id for one in self.graph.elements if isinstance(one, Do) and one.kind == "assign_task"]
        if element.task not in tasks:
            self.problem(element, f'the wait is for task "{element.task}", and no `assign_task` of this map has that id', suggest(element.task, tasks))

    def shapes(self) -> None:
        """A fork stands last in its path; the arms of a split have names of their own and some weight."""
        self._forks(self.map.path)
        for element in self.graph.elements:
            if isinstance(element, Split):
                self._split(element)

    def _forks(self, path: list[Element]) -> None:
        for element in path[:-1]:
            if isinstance(element, Fork):
                self.problem(element, "a fork must stand last in its path: its paths do not join", "move what follows into one of the fork's paths")
        for element in path:
            for inner in branches(element):
                self._forks(inner)

    def _split(self, element: Split) -> None:
        if not element.arms or sum(arm.weight for arm in element.arms) <= 0:
            self.problem(element, "the weights of this split add up to nothing", "give at least one arm a weight above 0")
        for name, count in Counter(arm.name for arm in element.arms).items():
            if count > 1:
                self.problem(element, f'{count} arms of this split are called "{name}"', "give each arm a name of its own")

    def unreachable(self) -> None:
        """Report the first element of each stretch that nobody can come to."""
        reached = self._reached()
        hidden: set[int] = set()
        for index, element in enumerate(self.graph.elements):
            if index in reached or index in hidden or (isinstance(element, End) and element.implicit):
                continue
            hidden |= self._closure({index})
            self.problem(element, "nobody can come here", "remove it, or lead to it by a `go_to`, a trigger's `go` or a goal")

    def _closure(self, roots: set[int]) -> set[int]:
        return closure(roots, lambda at: _next(self.graph, at))

    def _reached(self) -> set[int]:
        """What contacts can come to: from the top, from triggers, and at goals that pull them from anywhere upstream."""
        index = self.graph.index
        roots = {index.get(trigger.go, 0) for trigger in self.map.triggers} if self.graph.elements else set()
        goals = {at for at, element in enumerate(self.graph.elements) if isinstance(element, Goal)}
        roots |= {at for at in goals if _adds(self.graph.elements[at])}
        reached = self._closure(roots)
        while pulled := {at for at in goals - reached if self.graph.upstream(at) & reached}:
            reached |= self._closure(pulled)
        return reached

    def loops(self, instant: _Instant) -> None:
        """A `go_to` must not lead back to itself without time passing on the way."""
        for at, element in enumerate(self.graph.elements):
            if isinstance(element, GoTo) and at in instant.closure(self.map.id, instant.steps(self.map.id, at)):
                remedy = "put a `wait` of some time into the loop; a window, or a date that is past, lets a contact go on at once"
                self.problem(element, f'a loop without a wait: from "{element.target}" a contact comes back here at once', remedy)


class _Instant:
    """Where a contact goes on at once, without any time passing."""

    def __init__(self, maps: Mapping[str, AutomationMap], graphs: Mapping[str, Graph]) -> None:
        self.maps = maps
        self.graphs = graphs
        self.passing: dict[str, bool] = {}  # whether a contact can come through a map at once; False while that is being found out

    def steps(self, map_id: str, at: int) -> set[int]:
        """The elements that a contact may be at next, at the same instant."""
        graph = self.graphs[map_id]
        match graph.elements[at]:
            case Wait(duration_ms=duration_ms) if duration_ms:
                return set()
            case WaitUntil(time=time) if time is not None:
                return set()
            case WaitFor(timeout_ms=timeout_ms):
                return {graph.starts[at][1]} - {NONE} if timeout_ms == 0 else set()
            case Goal(timeout_ms=timeout_ms):
                return {graph.starts[at][0]} - {NONE} if timeout_ms == 0 else set()
            case Do() as action if (child := _child(action)) and not self.passes(child):
                return set()
            case _:
                return _next(graph, at)

    def closure(self, map_id: str, roots: set[int]) -> set[int]:
        """Everything that can be reached at once from `roots`, with them."""
        return closure(roots, lambda at: self.steps(map_id, at))

    def passes(self, map_id: str) -> bool:
        """Whether an add to a map may let go at once: it has a way without waits, or its re-entry rule may refuse the add."""
        child = self.maps.get(map_id)
        if child is None or child.reentry == "never" or child.cooldown_ms:
            return True
        if map_id not in self.passing:
            self.passing[map_id] = False
            graph = self.graphs[map_id]
            starts = {graph.index.get(trigger.go, 0) for trigger in child.triggers}
            ends = Exit if map_id.startswith(SEQUENCE) else (Exit, End)  # a sequence that ends in no exit never lets go
            self.passing[map_id] = any(isinstance(graph.elements[at], ends) for at in self.closure(map_id, starts))
        return self.passing[map_id]


def _next(graph: Graph, at: int) -> set[int]:
    """The elements that can follow one, however long that takes."""
    element = graph.elements[at]
    match element:
        case End() | Exit():
            return set()
        case GoTo(target=target):
            return {graph.index[target]} if target in graph.index else set()
        case Goal(timeout_ms=timeout_ms):
            found = {graph.follows[at]} if timeout_ms is None else {graph.follows[at], *graph.starts[at]}
        case WaitFor(timeout_ms=None):
            found = {graph.starts[at][0]}
        case Fork():  # what stands behind a fork is reported as that, not as out of reach
            found = {*graph.starts[at], graph.follows[at]}
        case If() | WaitFor() | Split():
            found = {*graph.starts[at]} or {graph.follows[at]}
        case Wait() | WaitUntil() | WaitBetween() | Do() | Element():
            found = {graph.follows[at]}
    return found - {NONE}


def closure(roots: set[int], steps: Callable[[int], set[int]]) -> set[int]:
    """Everything that can be reached from `roots`, with them."""
    found: set[int] = set()
    ahead = [*roots]
    while ahead:
        at = ahead.pop()
        if at not in found:
            found.add(at)
            ahead.extend(steps(at))
    return found


def _holds(element: Element) -> bool:
    return word_of(element) in {"wait", "goal"} or (isinstance(element, End) and not element.implicit) or bool(isinstance(element, Do) and _child(element))


def _adds(element: Element) -> bool:
    return isinstance(element, Goal) and element.adds


def _child(element: Do) -> str:
    """The map id that a blocking add waits on, "" for any other action."""
    if element.kind == "add_to_automation":
        return _text(element.params.get("map"))
    if element.kind == "add_to_sequence":
        name = _text(element.params.get("sequence"))
        return f"{SEQUENCE}{name}" if name else ""
    return ""


def _text(raw: object) -> str:
    return raw if isinstance(raw, str) else ""


def _in_outcomes(element: Do) -> Iterator[Do]:
    """The actions of a task's outcomes. They hold nobody, but they must not add to their own map either."""
    outcomes = element.params.get("outcomes") if element.kind == "assign_task" else None
    for actions in outcomes.values() if isinstance(outcomes, dict) else ():
        for action in actions if isinstance(actions, list) else ():
            for kind, params in action.items() if isinstance(action, dict) else ():
                if isinstance(params, dict):
                    yield Do(id=element.id, line=element.line, kind=kind, params=params)


def _cycles_of_adds(maps: Mapping[str, AutomationMap], graphs: Mapping[str, Graph], problems: list[Problem]) -> None:
    """Adds to one's own map, and circles of maps that each wait for the next; a circle is reported once, at its first map."""
    actions = {map_id: [element for element in graph.elements if isinstance(element, Do)] for map_id, graph in graphs.items()}
    edges = {map_id: [child for element in found if (child := _child(element))] for map_id, found in actions.items()}
    for map_id, found in actions.items():
        report = _Lint(maps[map_id], graphs[map_id], problems)
        for element in found:
            if map_id in {_child(element), *(_child(inner) for inner in _in_outcomes(element))}:
                report.problem(element, "this adds the contact to its own map", "use a `go_to`, or `reentry: restart` and an event")
            elif (child := _child(element)) and (circle := _way(edges, child, map_id)) and map_id == min(circle):
                around = " → ".join([map_id, *circle])
                report.problem(element, f"blocking adds go in a circle: {around}", "remove one of the adds, or let an event start that map instead")


def _way(edges: Mapping[str, list[str]], start: str, goal: str) -> list[str]:
    """A way of blocking adds from one map to another, both included; empty where there is none."""
    came: dict[str, str] = {start: ""}
    ahead = [start]
    for at in ahead:  # grows while it is read
        if at == goal:
            way = [at]
            while came[way[0]]:
                way.insert(0, came[way[0]])
            return way
        for child in edges.get(at, ()):
            if child not in came:
                came[child] = at
                ahead.append(child)
    return []
