"""An automation map as a tree, just as its author wrote it: what `documents` reads and `compile` turns into closures.

Elements are a closed set. Predicates and action parameters stay as the mappings of the document (they carry line numbers,
see documents.py) until they are compiled. Durations are milliseconds. Every element has an id, given or made.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Trigger(msgspec.Struct, kw_only=True):
    """What starts, moves or ends: every kind of trigger comes down to an event name and a predicate.

    `tag_added: vip` is event `tag.added` with `where` {event.tag: vip}. `kind` is the word of the document. A date
    trigger has `date` instead and fires event `date` by an alarm of the contact.
    """

    kind: str
    event: str
    where: dict[str, Any] = {}
    go: str = ""
    date: LocalDate | None = None
    yearly: bool = False
    line: int = 0


class LocalDate(msgspec.Struct, kw_only=True):
    """A local time relative to a date field: `offset_ms` before (negative) or after, at `time` minutes past midnight."""

    field: str
    offset_ms: int = 0
    time: int | None = None  # minutes past midnight; None: as the field says, 00:00 for a plain date


class Element(msgspec.Struct, kw_only=True):
    """A node of the map. `given` tells whether its id was written by the author."""

    id: str
    line: int = 0
    given: bool = False


class Wait(Element, tag=True, kw_only=True):
    """`wait: 3d`."""

    duration_ms: int


class WaitUntil(Element, tag=True, kw_only=True):
    """`wait: {until: …}`: exactly one of a local date and time, the next time of day, a date field."""

    at: str = ""  # local ISO date and time
    time: int | None = None  # minutes past midnight
    days: list[int] = []  # 0 = Monday; empty: all
    date: LocalDate | None = None


class WaitBetween(Element, tag=True, kw_only=True):
    """`wait: {between: [from, to], days}`; minutes past midnight, `to` outside. A window may cross midnight."""

    start: int
    end: int
    days: list[int] = []


class WaitFor(Element, tag=True, kw_only=True):
    """`wait: {event: …}` or `wait: {task: ID}` (then `task` holds the element's id and the trigger is task.completed)."""

    trigger: Trigger
    task: str = ""
    timeout_ms: int | None = None
    then: list[Element] = []
    otherwise: list[Element] = []


class If(Element, tag=True, kw_only=True):
    """`if: P`."""

    where: dict[str, Any]
    then: list[Element] = []
    otherwise: list[Element] = []


class Arm(msgspec.Struct, kw_only=True):
    """One arm of a split."""

    name: str
    weight: float
    path: list[Element] = []


class Split(Element, tag=True, kw_only=True):
    """`split: […]`."""

    arms: list[Arm]


class Fork(Element, tag=True, kw_only=True):
    """`fork: [[…], […]]`."""

    paths: list[list[Element]]


class Goal(Element, tag=True, kw_only=True):
    """`goal: {event: …, adds, timeout, else}`."""

    trigger: Trigger
    adds: bool = False
    timeout_ms: int | None = None
    otherwise: list[Element] = []


class GoTo(Element, tag=True, kw_only=True):
    """`go_to: ID`."""

    target: str


class End(Element, tag=True, kw_only=True):
    """`end`; every path that does not say how it ends has one, `implicit`."""

    implicit: bool = False


class Exit(Element, tag=True, kw_only=True):
    """`exit`."""


class Do(Element, tag=True, kw_only=True):
    """An action: its kind and its parameters, as the document has them ({} for a bare word)."""

    kind: str
    params: dict[str, Any] = {}


class AutomationMap(msgspec.Struct, kw_only=True):
    """A map, or a sequence as a map (`id` is then `sequence:ID`)."""

    id: str
    title: str = ""
    reentry: str = "after_end"  # never | after_end | restart | parallel
    per: str = ""  # `event.cart_id`
    cooldown_ms: int = 0
    stop_clock: bool = False
    follow: bool = False
    moves: dict[str, str] = {}
    triggers: list[Trigger] = []
    exit_on: list[Trigger] = []
    path: list[Element] = []
    file: str = ""
    line: int = 0


class Sequence(msgspec.Struct, kw_only=True):
    """What a sequence says beyond the map that it is compiled into."""

    id: str
    unsubscribe_after_last_step: bool = False
