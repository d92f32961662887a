"""What a step decides beyond the contact itself: effects, withdrawals, posts, table rows, counters. All of it is committed at once.

An effect's id is made of the contact, its birth, the enrollment, the hop and the ordinal, never of time, attempt or chance:
stepping the same record again decides the same effect.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Protocol

import msgspec

TRANSACTIONAL = "t"
BULK = "b"


class Effect(msgspec.Struct, array_like=True, gc=False):
    """The promise to perform an action, small (≤ 1 KB), rendered in the pool from `snapshot` and the same at every attempt.

    `params` are the action's parameters as decided, with the values that its templates read under `values`.
    `dest` is the destination class that has a queue, a limit and a breaker of its own: a webhook's host, an e-mail domain
    that limits.yaml names, else empty.
    """

    id: str
    contact: str
    kind: str
    channel: str
    lane: str
    dest: str
    map: str
    version: int
    element: str
    enrollment: int
    hop: int
    ordinal: int
    snapshot: int
    decided_ms: int
    params: dict[str, Any] = {}
    not_before_ms: int = 0
    consent: str = ""  # the consent channel that the guard must allow; empty where consent does not matter
    spread_ms: int = 0  # so much after `not_before_ms` it becomes due, so that what was held until one hour does not come at once
    timezone: str = ""  # the contact's, where quiet hours must be asked again before it is sent; empty: the workspace's

    @property
    def due_ms(self) -> int:
        """When it may be sent at the earliest; 0: at once."""
        return self.not_before_ms + self.spread_ms


class Post(msgspec.Struct, array_like=True, gc=False):
    """A posted record to be appended to the partition of `to` (a contact id or an entity key)."""

    to: str
    kind: str
    data: dict[str, Any]


class Row(msgspec.Struct, array_like=True, gc=False):
    """A row of a per-partition table (tasks, fulfillment lists, router turns): `value` None deletes it."""

    table: str
    field: str
    value: bytes | None


class Journal(Protocol):
    """Hears each line of what happened. The simulator prints them, the path of a contact keeps them; may be absent."""

    def __call__(self, what: str, map_id: str, element: str, detail: dict[str, Any], action: str = "", effect: Effect | None = None) -> None: ...


class Changes:
    """What the steps of one batch decided, for one partition. Steps append; the commit writes and makes a new one."""

    __slots__ = ("_counters", "effects", "guard", "index", "journal", "parked", "posts", "rows", "turn", "withdrawn")

    def __init__(self, journal: Journal | None = None) -> None:
        self.effects: list[Effect] = []
        self.withdrawn: list[str] = []  # ids of effects that no provider may be handed any more
        self.posts: list[Post] = []
        self.rows: list[Row] = []
        self.guard: dict[str, str] = {}  # contact → consent marks, "" where the contact has none (see guard.py)
        self.index: dict[str, bool] = {}  # entry → whether it comes or goes (see index.py)
        self._counters: dict[str, int] = {}
        self.parked: list[tuple[str, str]] = []  # ("channel/dest", contact), to be released in order
        self.journal = journal
        self.turn: Any = None  # the step's workbench, made by the first step and used again by the others

    @property
    def counters(self) -> dict[str, int]:
        """Name → difference. Steps count in arrays of their turn; asking folds them in."""
        if self.turn is not None:
            self.turn.tally_up()
        return self._counters

    def count(self, name: str, difference: int = 1) -> None:
        """Add to a counter; the commit adds it to the partition's."""
        self._counters[name] = self._counters.get(name, 0) + difference


def outcome_data(effect: Effect, data: dict[str, Any]) -> dict[str, Any]:
    """What an outcome tells the maps: what the provider said, and the template, which triggers may ask for."""
    return {"template": effect.params["template"], **data} if "template" in effect.params else data


def effect_id(contact: str, born: int, enrollment: int, hop: int, ordinal: int) -> str:
    """32 hex digits, the same whenever the same hop is decided again. It is also the idempotency key at providers."""
    return blake2b(f"{contact}\x00{born}.{enrollment}.{hop}.{ordinal}".encode(), digest_size=16).hexdigest()
