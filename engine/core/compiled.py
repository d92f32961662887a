"""What a map becomes at publish: tables indexed by element, and what it listens to indexed by event name.

`runs[at]` is the closure of an element; it gives the index to go on at, or STOP where the position waits, rests, left or was
taken. Everything here is made once and never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from engine.core.automation_map import LocalDate

if TYPE_CHECKING:
    from engine.core.action_kind import Act, Tell
    from engine.core.conditions import Predicate
    from engine.core.turn import CoreTurn
    from engine.core.values import Getter

    Run = Callable[[Any], int]  # takes the CoreTurn
    Branch = tuple[Predicate, int, int]
    Calendar = Callable[[CoreTurn], tuple[int, str]]

STOP = -1

# A map's counters are an array for each batch (`Runner.tally`): these eight, then three places for each element: how
# often positions arrived, left, and passed through, which is one of each.
COUNTED = ("entered", "active", "resting", "exited", "removed", "replaced", "merged", "erased")
ENTERED, ACTIVE, RESTED = range(3)

PRINCIPAL = {
    "added": "map",
    "removed": "map",
    "paused": "map",
    "unpaused": "map",
    "tag.added": "tag",
    "tag.removed": "tag",
    "field.changed": "field",
    "purchased": "product",
    "task.completed": "outcome",
}
"""Event name → the value that most of its triggers test: they are indexed by it, so that those of other values cost nothing."""


class GoalRule:
    """A goal that listens: who is taken, and where it goes on."""

    __slots__ = ("at", "next", "siblings", "test", "upstream")

    def __init__(self, at: int, following: int, test: Predicate, upstream: frozenset[int], siblings: frozenset[int]) -> None:
        self.at = at
        self.next = following
        self.test = test
        self.upstream = upstream
        self.siblings = siblings  # goals that open the other paths of the same fork


class WaitRule:
    """A wait for an event. `task`: the element whose task, of the same enrollment, must be the one completed."""

    __slots__ = ("at", "task", "test", "then")

    def __init__(self, at: int, then: int, test: Predicate, task: str) -> None:
        self.at = at
        self.then = then
        self.test = test
        self.task = task


class Listeners:
    """What one map does when an event of one name comes, in the order of the document."""

    __slots__ = ("exits", "goals", "waits")

    def __init__(self) -> None:
        self.exits: list[Predicate] = []
        self.goals: list[GoalRule] = []
        self.waits: dict[int, WaitRule] = {}

    def tests(self) -> list[Predicate]:
        """All predicates, for an event that is kept while the contact is paused."""
        return [*self.exits, *(goal.test for goal in self.goals), *(wait.test for wait in self.waits.values())]


class TriggerRule:
    """One trigger of a map, or a goal that adds (`goal` is then its index)."""

    __slots__ = ("event", "goal", "map", "start", "test", "value")

    def __init__(self, owner: CompiledMap, event: str, value: str, test: Predicate, start: int, goal: int = STOP) -> None:
        self.map = owner
        self.event = event
        self.value = value  # the event's principal value that it tests, "" for any
        self.test = test
        self.start = start
        self.goal = goal


class DateRule(msgspec.Struct, frozen=True):
    """A date that a trigger listens to. `event` names the rule itself, so equal dates of several maps are one event."""

    event: str
    date: LocalDate
    yearly: bool


class CompiledMap:
    """One version of a map, ready to run."""

    def __init__(self, map_id: str, version: int, size: int) -> None:
        self.id = map_id
        self.version = version
        self.reentry = "after_end"
        self.per: Getter | None = None
        self.cooldown_ms = 0
        self.stop_clock = False
        self.follow = False
        self.moves: Mapping[str, str] = {}
        self.ids: list[str] = [""] * size
        self.index: dict[str, int] = {}
        self.words: list[str] = [""] * size  # what each element is: `wait`, `goal`, `send_email`, …
        self.runs: list[Run] = []
        self.branches: list[Branch | None] = []  # elements that only ask: (predicate, where to if so, where to if not)
        self.after: list[int] = [STOP] * size  # where a due timer, or a finished action, goes on
        self.start = 0
        self.listeners: dict[str, Listeners] = {}
        self.triggers: list[TriggerRule] = []
        self.added: TriggerRule | None = None  # how an add enters
        self.calendars: dict[int, Calendar] = {}  # waits by the calendar: (due, or 0 to go on at once; the reason)
        self.field_waits: dict[str, frozenset[int]] = {}  # field → the calendar waits that it moves
        self.outcomes: dict[int, dict[str, Act]] = {}  # element → outcome of its task → what it runs
        self.notices: dict[int, tuple[str, Tell]] = {}  # element → its kind, and what tells of its task later
        self.task_waits: frozenset[str] = frozenset()
        self.dates: list[DateRule] = []
        self.heard: list[tuple[str, str]] = []  # events that waits, goals and `exit_on` hear, with the principal value ("": any)
        self.timeouts: frozenset[int] = frozenset()  # elements whose timer is a timeout
        self.durations: frozenset[int] = frozenset()  # elements whose clock is a duration or a timeout
        self.remembers = False  # whether `past` must know who was here
        self.restarts = False  # whether it always takes who is in it already, as new
        self.project: Callable[[Mapping[str, Any]], dict[str, Any] | None] = lambda data: None
        self.reads_entry = False
        self.ins: list[int] = []
        self.outs: list[int] = []
        self.passes: list[int] = []
        self.tally_size = len(COUNTED)
        self.ignored = f"map:{map_id}:ignored:"

    def name_counters(self) -> None:
        """Give each element its places in the tally, once all ids are known."""
        size, first = len(self.ids), len(COUNTED)
        self.ins, self.outs, self.passes = (list(range(first + block * size, first + (block + 1) * size)) for block in range(3))
        self.tally_size = first + 3 * size

    def counted(self, tally: list[int]) -> Iterator[tuple[str, int]]:
        """The counters of a tally, by name."""
        for place, what in enumerate(COUNTED):
            yield f"map:{self.id}:{what}", tally[place]
        for name, arrived, left, passed in zip(self.ids, self.ins, self.outs, self.passes, strict=True):
            yield f"el:{self.id}:{name}:in", tally[arrived] + tally[passed]
            yield f"el:{self.id}:{name}:out", tally[left] + tally[passed]

    def hears(self, event: str) -> Listeners:
        """The listeners of an event, made where there are none yet."""
        return self.listeners.setdefault(event, Listeners())
