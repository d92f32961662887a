"""The shard: owns partitions under leases and drives each from its log through the core into one commit, again and again.

A plain class over the ports; it runs in one thread, with a second one that only renews leases and learns assignments. One cycle is
three round trips at most: read all partitions, fetch what is not resident, commit all partitions.

Invariants: it never steps a partition on while a commit of it is unknown; a partition that is fenced is dropped with all its memory; a
partition is given up between commits only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from actors.partition import Partition
from actors.planner import FAR_MS, Owned, Planner
from actors.work import Work
from engine.config import Config
from engine.core.effects import Post
from engine.core.errors import DamagedLog, Fenced, Unavailable, UnreadableBatch, WayfareError
from engine.core.partitioning import partition_of
from engine.core.records import Posted, Record, UseSnapshot
from engine.core.workspace import Workspace
from engine.logs import logger
from engine.ports import Commit, CommitStore, EventLog, Lease, Leases, LogBatch, SnapshotSource

log = logger("shard")

RETRY_S = 0.05  # pause before storage that is away is asked again
TRIM_EVERY_RECORDS = 5_000


class Store(Protocol):
    """The ports that a shard needs."""

    @property
    def log(self) -> EventLog: ...
    @property
    def commits(self) -> CommitStore: ...
    @property
    def leases(self) -> Leases: ...
    @property
    def snapshots(self) -> SnapshotSource: ...


class Shard:
    """One shard. `compile_snapshot` turns a snapshot's number into its compiled workspace (0: the empty one)."""

    def __init__(
        self, name: str, store: Store, config: Config, compile_snapshot: Callable[[int], Workspace], measure: Callable[[str, float], None] | None = None
    ) -> None:
        self.name = name
        self.store = store
        self.config = config
        self.owned: dict[int, Owned] = {}
        self._compile = compile_snapshot
        self._workspaces: dict[int, Workspace] = {}
        self._leases_lock = threading.Lock()
        self._lost: set[int] = set()
        self._assigned: frozenset[int] = frozenset()
        self._planner = Planner(store.commits, config)
        self._stop = threading.Event()
        self._measure = measure or (lambda name, value: None)

    # -- ownership ---------------------------------------------------------------------------------------------------------

    def assign(self, partitions: frozenset[int]) -> None:
        """What the supervisor wants this shard to own; taken up by the next cycle."""
        self._assigned = partitions

    def renew(self) -> None:
        """Renew all leases, from the lease thread; the lost ones are dropped by the next cycle."""
        with self._leases_lock:
            leases = [owned.lease for owned in self.owned.values()]
        if leases:
            kept = {lease.partition for lease in self.store.leases.renew(leases, self.config.lease_ms)}
            self._lost |= {lease.partition for lease in leases} - kept

    def _settle_ownership(self) -> None:
        for number in list(self._lost):
            self._lost.discard(number)
            self._drop(number, "lease lost")
        surplus = [number for number in self.owned if number not in self._assigned]
        if surplus:
            leases = [self.owned[number].lease for number in surplus]
            for number in surplus:
                self._drop(number, "given up")
            self.store.leases.release(leases)
        for number in self._assigned - self.owned.keys():
            lease = self.store.leases.acquire(number, self.name, self.config.lease_ms)
            if lease is not None:
                self._own(lease)

    def _own(self, lease: Lease) -> None:
        try:
            state = self.store.commits.load(lease)
        except Fenced:  # it ran out while this process stood still; the next cycle asks again
            return
        partition = Partition(lease.partition, state, self.config, self._workspace, owned=max(1, len(self._assigned)))
        with self._leases_lock:
            self.owned[lease.partition] = Owned(lease, partition)
        log.info("partition owned", partition=lease.partition, epoch=lease.epoch, offset=state.offset)

    def _drop(self, number: int, why: str) -> None:
        with self._leases_lock:
            dropped = self.owned.pop(number, None)
        if dropped is not None:
            log.info("partition dropped", partition=number, why=why)

    def _workspace(self, number: int) -> Workspace:
        found = self._workspaces.get(number)
        if found is None:
            found = self._workspaces[number] = self._compile(number)
            in_use = {owned.partition.workspace.number for owned in self.owned.values()} | {number}
            for old in [held for held in self._workspaces if held not in in_use]:
                del self._workspaces[old]
        return found

    # -- the cycle ---------------------------------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Until `stop`: then the cycle under way is finished, its commits stand, and all leases are given up."""
        self._stop = stop
        idle_ms = self.config.idle_ms_min
        while not stop.is_set():
            try:
                worked = self.cycle()
            except Unavailable as error:
                log.warning("storage unavailable", error=str(error))
                stop.wait(RETRY_S)
                continue
            idle_ms = self.config.idle_ms_min if worked else min(idle_ms * 2, self.config.idle_ms_max)
            if not worked:
                stop.wait(idle_ms / 1000)
            elif worked < self.config.cycle_records_min:
                stop.wait(self.config.cycle_wait_ms / 1000)
        self._assigned = frozenset()
        try:
            self._settle_ownership()
        except Unavailable as error:  # the leases run out by themselves
            log.warning("leases not given up", error=str(error))

    def cycle(self) -> int:
        """One round over all owned partitions; how many records and timers it worked off, at least 1 if anything was committed."""
        self._settle_ownership()
        if not self.owned:
            return 0
        try:
            self._deliver_posts()
            read = self.store.log.read({number: owned.partition.offset for number, owned in self.owned.items()}, self.config.batch_records_max)
            return self._work_off(self._planner.plan(self.owned, read.batches, read.now_ms))
        except Unavailable:
            self._planner.forget(self.owned)
            raise
        except UnreadableBatch as bad:
            owned = self.owned[bad.partition]
            self._commit([(owned, owned.partition.skip(bad))])
            return 1
        except DamagedLog as damaged:
            log.exception("log damaged", partition=damaged.partition, error=str(damaged))
            self._drop(damaged.partition, "log damaged")
            return 0

    def _work_off(self, work: Mapping[int, Work]) -> int:
        for number, todo in work.items():
            self._compile_ahead(todo.batches)
            if self.owned[number].partition.careful and todo.batches:
                self._announce(self.owned[number], todo.batches[0].first)
        self._fetch(work)
        began = time.perf_counter()
        commits = [(owned, owned.partition.step(work[number], owned.full)) for number, owned in self.owned.items() if number in work]
        if not commits:
            return 0
        stepped = time.perf_counter()
        self._commit(commits)
        self._report(commits, began, stepped)
        for todo in work.values():
            if todo.due:
                self._measure("timer_lateness_seconds", todo.late_ms / 1000)
        return max(1, sum(todo.size for todo in work.values()))

    def _announce(self, owned: Owned, offset: int) -> None:
        """Note that a record is about to be stepped alone. Where another owner came, the commit will find that out."""
        try:
            self.store.commits.attempt(owned.lease, offset)
        except Fenced as fenced:
            log.warning("fenced before a careful step", partition=owned.partition.number, error=str(fenced))

    def _compile_ahead(self, batches: list[LogBatch]) -> None:
        for batch in batches:
            for record in batch.records if batch.holds(UseSnapshot) else ():
                if type(record) is UseSnapshot:
                    try:
                        self._workspace(record.number)
                    except Unavailable:
                        raise
                    except WayfareError:
                        continue  # met again by the step, which sets the record aside with the reason

    def _fetch(self, work: Mapping[int, Work]) -> None:
        wanted = {}
        for number, todo in work.items():
            contacts = [*todo.due, *(contact for parked in todo.released.values() for contact in parked)]
            missing = self.owned[number].partition.wants(todo.batches, contacts)
            if missing:
                wanted[number] = missing
        if wanted:
            for number, values in self.store.commits.fetch(wanted).items():
                admit = self.owned[number].partition.residency.admit
                for contact, value in zip(wanted[number], values, strict=True):
                    admit(contact, value)

    # -- commits -----------------------------------------------------------------------------------------------------------

    def _commit(self, commits: list[tuple[Owned, Commit]]) -> None:
        results = self.store.commits.commit([(owned.lease, commit) for owned, commit in commits])
        for (owned, commit), result in zip(commits, results, strict=True):
            number = owned.partition.number
            try:
                if result is not None:
                    self._resolve(owned.lease, commit, result)
            except Fenced as fenced:
                self._measure("commits_fenced", 1)
                self._drop(number, f"fenced: {fenced}")
                continue
            except WayfareError as error:  # refused by storage: start again from what stands there, when the lease is free again
                log.exception("commit refused", partition=number, error=str(error))
                self._drop(number, "commit refused")
                continue
            owned.partition.confirm(commit)
            owned.emitted += len(commit.effects)
            owned.parked = owned.parked or bool(commit.parked)
            owned.undelivered = owned.undelivered or bool(commit.posts)
            soonest = min((due for due in commit.due.values() if due), default=FAR_MS)
            owned.next_due = min(owned.next_due, soonest)
            if commit.offset - owned.trimmed > TRIM_EVERY_RECORDS:
                self.store.log.trim(number, commit.offset - self.config.log_retain_records)
                owned.trimmed = commit.offset

    def _resolve(self, lease: Lease, commit: Commit, result: Exception) -> None:
        """Find out what became of a commit without a clear answer: look, and send the same again only if it did not happen."""
        while True:
            if not isinstance(result, Unavailable):
                raise result
            if self._stop.wait(RETRY_S):
                raise Fenced("stopping while a commit is unknown")
            try:
                stands = self.store.commits.look(lease)
            except Unavailable:
                continue
            if stands == commit.expected + 1:
                return
            if stands != commit.expected:
                raise Fenced(f"commit {stands} stands where {commit.expected} was expected")
            answer = self.store.commits.commit([(lease, commit)])[0]
            if answer is None:
                return
            result = answer

    def _report(self, commits: list[tuple[Owned, Commit]], began: float, stepped: float) -> None:
        self._measure("step_seconds", stepped - began)
        self._measure("commit_seconds", time.perf_counter() - stepped)
        for _, commit in commits:
            self._measure("commit_batch_records", commit.counters.get("records", 0))

    # -- what lies across partitions and channels --------------------------------------------------------------------------

    def _deliver_posts(self) -> None:
        """Append posts to their targets' logs, in order, then forget them. Done twice does no harm: targets keep a high-water mark."""
        for number, owned in self.owned.items():
            if not owned.undelivered:
                continue
            posts = self.store.commits.posts(number, self.config.batch_records_max)
            if not posts:
                owned.undelivered = False
                continue
            self.store.log.append(self._addressed(number, posts))
            try:
                self.store.commits.posted(owned.lease, posts[-1][0])
            except Fenced as fenced:
                self._lost.add(number)
                log.warning("fenced while posting", partition=number, error=str(fenced))

    def _addressed(self, source: int, posts: list[tuple[int, Post]]) -> dict[int, list[Record]]:
        by_target: dict[int, list[Record]] = {}
        for seq, post in posts:
            target = partition_of(post.to, self.config.partitions)
            by_target.setdefault(target, []).append(Posted(post.to, source, seq, post.kind, post.data))
        return by_target
