"""The memory twin of the commit: everything is checked before anything is written, as the script does."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from engine.config import Config
from engine.core.effects import Post
from engine.core.errors import Fenced, WayfareError
from engine.core.guard import ERASED
from engine.ports import Commit, Lease, PartitionState
from engine.storage.guard_text import with_mark
from engine.storage.memory_effects import decide, withdraw
from engine.storage.memory_partition import Clock, Partition


class MemoryCommits:
    """Checkpoints and everything that is committed with them."""

    def __init__(self, partitions: Sequence[Partition], config: Config, clock: Clock) -> None:
        self._partitions = partitions
        self._config = config
        self._clock = clock

    def load(self, lease: Lease) -> PartitionState:
        """The state of a partition at takeover. Fenced if the lease is not the current one."""
        where = self._owned(lease)
        tries, since = where.tries
        waits = where.next > where.offset
        where.tries = (tries + 1 if waits and since == where.commit else 1, where.commit)
        now_ms = self._clock()
        dedupe = [(bucket, keys) for bucket, (keys, until_ms) in sorted(where.dedupe.items()) if until_ms > now_ms]
        return state_of_partition(where, dict(where.marks), dedupe)

    def attempt(self, lease: Lease, offset: int) -> None:
        """Note the record that is about to be stepped alone."""
        self._owned(lease).attempt = offset

    def scan(self, partition: int, cursor: int, most: int) -> tuple[list[tuple[str, bytes]], int]:
        """About `most` checkpoints from a cursor on, and the next cursor."""
        found = list(self._partitions[partition].contacts.items())
        return found[cursor : cursor + most], cursor + most if cursor + most < len(found) else 0

    def fetch(self, wanted: Mapping[int, Sequence[str]]) -> dict[int, list[bytes | None]]:
        """Checkpoints of contacts, by partition."""
        return {number: [self._partitions[number].contacts.get(contact) for contact in contacts] for number, contacts in wanted.items()}

    def due(self, until: Mapping[int, int], most: int) -> dict[int, list[tuple[str, int]]]:
        """Contacts due at or before a time, by partition, earliest first."""
        found = {}
        for number, until_ms in until.items():
            ready = sorted((due_ms, contact) for contact, due_ms in self._partitions[number].due.items() if due_ms <= until_ms)
            found[number] = [(contact, due_ms) for due_ms, contact in ready[:most]]
        return found

    def commit(self, commits: Sequence[tuple[Lease, Commit]]) -> list[Exception | None]:
        """Write each; per commit None, or its error."""
        answers: list[Exception | None] = []
        for lease, commit in commits:
            try:
                self._write(self._checked(lease, commit), commit)
                answers.append(None)
            except WayfareError as error:
                answers.append(error)
        return answers

    def look(self, lease: Lease) -> int:
        """The number of the last commit, if the lease is still the current one; else Fenced."""
        return self._owned(lease).commit

    def full(self, partitions: Sequence[int]) -> dict[int, dict[str, int]]:
        """Per partition: unsettled effects by "channel/dest", and "parked:channel/dest" → contacts parked."""
        found = {}
        for number in partitions:
            where = self._partitions[number]
            counts = {place: count for place, count in where.depth.items() if count}
            counts.update({f"parked:{place}": len(contacts) for place, contacts in where.parked.items() if contacts})
            found[number] = counts
        return found

    def parked(self, partition: int, place: str, most: int) -> list[str]:
        """The contacts parked first at "channel/dest"."""
        return list(self._partitions[partition].parked.get(place, ()))[:most]

    def posts(self, partition: int, most: int) -> list[tuple[int, Post]]:
        """Posts not yet delivered, with their seq, oldest first."""
        return list(self._partitions[partition].posts)[:most]

    def posted(self, lease: Lease, upto: int) -> None:
        """Forget posts up to a seq."""
        posts = self._owned(lease).posts
        while posts and posts[0][0] <= upto:
            posts.popleft()

    def _owned(self, lease: Lease) -> Partition:
        where = self._partitions[lease.partition]
        if where.token != lease.token:
            raise Fenced("another owner holds this partition")
        return where

    def _checked(self, lease: Lease, commit: Commit) -> Partition:
        where = self._owned(lease)
        if where.commit != commit.expected:
            raise Fenced(f"the last commit is {where.commit}, not {commit.expected}")
        if commit.offset < where.offset:
            raise WayfareError("the offset of a commit must not run back")
        return where

    def _write(self, where: Partition, commit: Commit) -> None:
        _write_contacts(where, commit)
        for effect in commit.effects:
            decide(where, effect)
        for effect_id in commit.withdrawn:
            withdraw(where, effect_id)
        for post in commit.posts:
            where.posted += 1
            where.posts.append((where.posted, post))
        where.marks.update(commit.marks)
        for row in commit.rows:
            table = where.rows.setdefault(row.table, {})
            table.pop(row.field, None) if row.value is None else table.update({row.field: row.value})
        _write_guard(where, commit)
        for place, contact in commit.parked:
            where.parked.setdefault(place, deque()).append(contact)
        for place, taken in commit.unparked.items():
            where.parked[place] = deque(list(where.parked.get(place, ()))[taken:])
        where.counters.update(commit.counters)
        self._write_dedupe(where, commit)
        where.set_aside.extend(commit.set_aside)
        while len(where.set_aside) > self._config.set_aside_max:
            where.set_aside.popleft()
        where.commit, where.offset, where.snapshot = commit.expected + 1, commit.offset, commit.snapshot
        where.time_ms = max(where.time_ms, commit.time_ms)
        where.scan, where.attempt = commit.scan, 0

    def _write_dedupe(self, where: Partition, commit: Commit) -> None:
        if commit.dedupe is None:
            return
        bucket, keys = commit.dedupe
        before, until_ms = where.dedupe.get(bucket, (b"", 0))
        now_ms = self._clock()
        where.dedupe[bucket] = ((before if until_ms > now_ms else b"") + keys, now_ms + self._config.dedupe_bucket_ms * (self._config.dedupe_buckets + 1))
        while len(where.dedupe) > self._config.dedupe_buckets:
            del where.dedupe[min(where.dedupe)]


def _write_contacts(where: Partition, commit: Commit) -> None:
    for contact, checkpoint in commit.contacts.items():
        if checkpoint is None:
            where.contacts.pop(contact, None)
        else:
            where.contacts[contact] = checkpoint
    for contact, due_ms in commit.due.items():
        if due_ms:
            where.due[contact] = due_ms
        else:
            where.due.pop(contact, None)
    for entry, comes in commit.index.items():
        where.index.add(entry) if comes else where.index.discard(entry)


def _write_guard(where: Partition, commit: Commit) -> None:
    """Marks that an unsubscribe made and whose record this commit has not reached stand over what the commit says."""
    for contact, marks in commit.guard.items():
        number, held = where.held_marks.get(contact, (0, {}))
        text = marks
        if number >= commit.offset and text != ERASED:
            for channel, status in held.items():
                text = with_mark(text, channel, status)
        if text:
            where.guard[contact] = text
        else:
            where.guard.pop(contact, None)
    for contact, (number, _) in list(where.held_marks.items()):
        if number < commit.offset:
            del where.held_marks[contact]


def state_of_partition(where: Partition, marks: dict[int, int], dedupe: list[tuple[int, bytes]]) -> PartitionState:
    """The committed state."""
    return PartitionState(
        offset=where.offset,
        commit=where.commit,
        time_ms=where.time_ms,
        snapshot=where.snapshot,
        marks=marks,
        posted=where.posted,
        dedupe=dedupe,
        scan=where.scan,
        tries=where.tries[0],
        attempt=where.attempt,
    )
