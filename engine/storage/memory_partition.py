"""One partition of the memory twin: what Redis keeps under `{p7}:`, as plain dictionaries that the ports of the twin share."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

from engine.core.effects import Effect, Post
from engine.storage.log_entries import Entry

Clock = Callable[[], int]
"""The time in epoch milliseconds."""


class Held:
    """An effect in the outbox and the part of it that changes; states are those of `effect_values`."""

    __slots__ = ("at_ms", "attempts", "deadline_ms", "effect", "flag", "once", "reason", "since_ms", "state", "token")

    def __init__(self, effect: Effect, state: str, at_ms: int = 0) -> None:
        self.effect = effect
        self.state = state
        self.token = ""
        self.attempts = 0  # those that failed
        self.deadline_ms = 0  # of a claim or a mark; due time of a deferred one
        self.once = False  # how it was marked
        self.flag = False  # withdrawn while it was in a pool's hands
        self.since_ms = 0  # pending again since, after a replay; 0: as decided
        self.at_ms = at_ms  # when it was listed
        self.reason = ""


class Partition:
    """All tables of one partition. A fresh log begins with record 1."""

    def __init__(self) -> None:
        # the log
        self.entries: deque[Entry] = deque()
        self.next = 1
        self.tail = 1
        self.stamp_ms = 0
        # the lease
        self.owner = ""
        self.token = ""
        self.epoch = 0
        self.until_ms = 0
        # the commit
        self.offset = 1
        self.commit = 0
        self.time_ms = 0
        self.snapshot = 0
        self.scan = 0
        self.attempt = 0
        self.tries = (0, 0)  # owners, since which commit
        self.marks: dict[int, int] = {}
        self.dedupe: dict[int, tuple[bytes, int]] = {}  # bucket → keys, when they expire
        self.contacts: dict[str, bytes] = {}
        self.due: dict[str, int] = {}
        self.posted = 0
        self.posts: deque[tuple[int, Post]] = deque()
        self.rows: dict[str, dict[str, bytes]] = {}
        self.guard: dict[str, str] = {}
        self.index: set[str] = set()
        self.held_marks: dict[str, tuple[int, dict[str, str]]] = {}  # contact → number of the record that is still unread, its marks
        self.parked: dict[str, deque[str]] = {}
        self.counters: Counter[str] = Counter()
        self.set_aside: deque[tuple[int, bytes, str]] = deque()
        # the outbox
        self.effects: dict[str, Held] = {}
        self.queues: dict[str, deque[str]] = {}  # none of them empty
        self.rings: dict[tuple[str, str], deque[str]] = {}  # (channel, lane) → names of its queues
        self.listed: dict[str, dict[str, None]] = {"dead": {}, "unknown": {}}  # ids, oldest first
        self.fx: Counter[tuple[str, str]] = Counter()  # (channel, counter) → how many
        self.depth: Counter[str] = Counter()  # "channel/dest" → unsettled effects
        self.stopped: dict[str, str] = {}  # what → why
