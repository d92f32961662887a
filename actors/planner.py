"""What each owned partition has to do in one cycle: records, due timers, contacts released by the outbox, dates to be armed.

It only asks storage and never writes; the shard steps and commits what is planned. Invariants: a place of the outbox with contacts parked stays
full for newcomers, so that they are released in the order in which they were parked; a plan that was not committed is made again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from actors.partition import Partition
from actors.work import Work
from engine.config import Config
from engine.core.partitioning import ENTITY
from engine.ports import CommitStore, Lease, LogBatch

FULL_REFRESH_S = 0.05  # how often the outbox's depth is asked for, while it matters
FAR_MS = 1 << 53
PARKED = "parked:"  # before a place in the depths: contacts parked there


class Owned:
    """A partition with its lease and what the shard must remember between cycles."""

    def __init__(self, lease: Lease, partition: Partition) -> None:
        self.lease = lease
        self.partition = partition
        self.next_due = 0  # no timer is due before this; 0: ask
        self.crowded = False  # more timers were due than one cycle fires
        self.full: frozenset[str] = frozenset()
        self.room: dict[str, int] = {}  # "channel/dest" with contacts parked → effects that fit again
        self.parked = False
        self.emitted = 0  # effects committed since the depths were asked for
        self.undelivered = True  # posts may wait for delivery
        self.trimmed = 0


class Planner:
    """Plans the cycles of one shard."""

    def __init__(self, commits: CommitStore, config: Config) -> None:
        self._commits = commits
        self._config = config
        self._full_asked = 0.0
        self._served = -1  # the crowded partition that had the last turn

    def plan(self, owned: Mapping[int, Owned], batches: Mapping[int, list[LogBatch]], now_ms: int) -> dict[int, Work]:
        """The work of each partition; those with none are left out. `now_ms`: the time where a log is at its end."""
        careful = {number: one for number, one in owned.items() if one.partition.careful}
        batches = {number: _first_record(found) if number in careful else found for number, found in batches.items()}
        until = {number: (batches[number][-1].stamp_ms if batches.get(number) else now_ms) for number in owned}
        due = self._due({number: one for number, one in owned.items() if not (number in careful and batches.get(number))}, until)
        released = self._released(owned)
        work = {}
        for number, one in owned.items():
            armed, cursor = self._scanned(one.partition)
            ripe = due.get(number, [])
            late_ms = until[number] - ripe[0][1] if ripe else 0
            todo = Work(batches.get(number, []), [contact for contact, _ in ripe], until[number], released.get(number, {}), armed, cursor, late_ms)
            if todo.batches or todo.due or todo.released or armed is not None:
                work[number] = todo
        return work

    def forget(self, owned: Mapping[int, Owned]) -> None:
        """A plan was not carried out: ask for everything again."""
        for one in owned.values():
            one.next_due = 0

    def _due(self, owned: Mapping[int, Owned], until: Mapping[int, int]) -> dict[int, list[tuple[str, int]]]:
        """Contacts whose timers are due, and since when; storage is asked only where its index can have any.

        In a storm a cycle fires `timers_per_cycle_max` of one crowded partition, each in its turn: fresh records come with every cycle.
        """
        ready = [number for number, one in owned.items() if one.next_due <= until[number]]
        if not ready:
            return {}
        crowded = [number for number in ready if owned[number].crowded]
        if crowded:
            self._served = min(crowded, key=lambda number: (number <= self._served, number))
            ready = [number for number in ready if not owned[number].crowded] + [self._served]
        room = self._config.timers_per_cycle_max
        most = min(room, self._config.timers_per_batch_max)
        due = {}
        for number, listed in self._commits.due(dict.fromkeys(ready, FAR_MS), most + 1).items():
            due[number] = [(contact, at) for contact, at in listed[: min(room, most)] if at <= until[number]]
            room -= len(due[number])
            ahead = listed[len(due[number]) :]
            one = owned[number]
            one.next_due = ahead[0][1] if ahead else FAR_MS
            one.crowded = one.next_due <= until[number]
        return due

    def _scanned(self, partition: Partition) -> tuple[list[str] | None, int]:
        """The next contacts whose dates are to be armed, after maps with other dates were published."""
        if not partition.scan:
            return None, 0
        found, cursor = self._commits.scan(partition.number, partition.cursor, self._config.timers_per_batch_max)
        contacts = [(contact, value) for contact, value in dict(found).items() if not contact.startswith(ENTITY)]
        for contact, value in contacts:
            if contact not in partition.residency.encoded:
                partition.residency.admit(contact, value)
        return [contact for contact, _ in contacts], cursor

    def _released(self, owned: Mapping[int, Owned]) -> dict[int, dict[str, list[str]]]:
        """Contacts parked at places of the outbox that have room again, first come first released."""
        self._refresh_full(owned)
        released: dict[int, dict[str, list[str]]] = {}
        for number, one in owned.items():
            for place, room in one.room.items():
                most = min(room, self._config.timers_per_batch_max)
                contacts = self._commits.parked(number, place, most) if most else []
                if contacts:
                    released.setdefault(number, {})[place] = contacts
            one.room = {}
        return released

    def _refresh_full(self, owned: Mapping[int, Owned]) -> None:
        """Ask for the outbox's depths where effects were committed or contacts are parked; at most every FULL_REFRESH_S."""
        most = self._config.outbox_effects_max
        matters = [number for number, one in owned.items() if one.emitted or one.full or one.parked]
        urgent = any(owned[number].emitted * 4 >= most for number in matters)
        now = time.monotonic()
        if not matters or (now - self._full_asked < FULL_REFRESH_S and not urgent):
            return
        self._full_asked = now
        for number, depths in self._commits.full(matters).items():
            one = owned[number]
            parked = {place.removeprefix(PARKED) for place, count in depths.items() if place.startswith(PARKED) and count}
            over = {place for place, count in depths.items() if not place.startswith(PARKED) and count >= most}
            one.full = frozenset(over | parked)
            one.parked = bool(parked)
            one.room = {place: max(0, most * 9 // 10 - depths.get(place, 0)) for place in parked}
            one.emitted = 0


def _first_record(batches: list[LogBatch]) -> list[LogBatch]:
    """Only the first record, where owners died: whichever kills is then alone in its batch."""
    return [LogBatch(batch.first, batch.stamp_ms, batch.records[:1], batch.size) for batch in batches[:1]]
