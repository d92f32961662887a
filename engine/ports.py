"""The ports: what the shard, the gateway and the pools ask of storage. Every port has a memory twin and one conformance suite.

Shards are synchronous, gateways and pools asynchronous, so `EventLog`, `CommitStore` and `Leases` are plain calls and
`Intake`, `Outbox`, `Budget` and `Workspaces` are awaited. Times are epoch milliseconds of the storage's own clock.
No implementation retries by itself: `Unavailable` means that nothing was written, `ResultUnknown` that it may have been.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from engine.core.effects import Effect, Post, Row
from engine.core.fulfillment import Export
from engine.core.records import Record


class LogBatch(msgspec.Struct, frozen=True):
    """One entry of a partition's log: `records` are numbered `first`, `first` + 1, …; one stamp for all."""

    first: int
    stamp_ms: int
    records: list[Record]
    size: int = 0  # bytes

    def holds(self, kind: type) -> bool:
        """Whether any record is of this kind; the loop over them is C's."""
        return kind in map(type, self.records)


class Read(msgspec.Struct, frozen=True):
    """What a read found. `now_ms` was taken before the streams were read, so no unseen record is stamped earlier."""

    now_ms: int
    batches: dict[int, list[LogBatch]]


class Intake(Protocol):
    """Appending to the log, for the gateway. Durable at the deployment's level when it returns."""

    async def append(self, batches: Mapping[int, Sequence[Record]], *, reserve: bool = False) -> dict[int, int | Exception]:
        """Append per partition, all in one round trip; the first offset of each, or the exception that it met.

        Full where the partition holds `log_records_max` uncommitted records, or memory is past its watermark. `reserve`
        appends beyond that, up to `log_reserve_records` more. What a record takes from its contact's consent stands in the guard at once.
        """

    def refusing(self) -> int:
        """Milliseconds that a client should wait because memory is past its watermark, 0 while appends are welcome. No I/O: as last seen."""

    async def unsubscribe(self, contact: str, channel: str, status: str) -> None:
        """Write the guard's mark and append the consent `Update` in one script: stops what was decided before. Where nothing at all may be sent,
        by a record that may still be unread, it stays so."""

    async def lag(self) -> dict[int, tuple[int, int]]:
        """Per partition: records not yet committed, and the age in ms of the oldest."""


class EventLog(Protocol):
    """Reading the log, for the shard that owns the partitions."""

    def read(self, offsets: Mapping[int, int], records_max: int) -> Read:
        """Batches of each partition from its next offset on (which may lie within an entry), in order.

        Per partition at most `records_max` records or `batch_bytes_max` bytes, but at least one entry where there is one. A gap or a step back raises
        DamagedLog; an entry that cannot be decoded raises UnreadableBatch once it is the first of its partition."""

    def append(self, batches: Mapping[int, Sequence[Record]]) -> None:
        """Append beyond the clients' bound (posted records)."""

    def trim(self, partition: int, below: int) -> int:
        """Drop whole entries that are committed and lie below an offset or beyond `log_retain_ms`; the records dropped."""


class Lease(msgspec.Struct, frozen=True):
    """The right to own a partition: `token` is random and is what commits are compared with; `epoch` numbers owners."""

    partition: int
    owner: str
    token: str
    epoch: int


class Leases(Protocol):
    """Who owns a partition."""

    def acquire(self, partition: int, owner: str, ttl_ms: int) -> Lease | None:
        """Take a free or expired lease; None where another holds it."""

    def renew(self, leases: Sequence[Lease], ttl_ms: int) -> list[Lease]:
        """Renew; those that were lost are left out of the answer."""

    def release(self, leases: Sequence[Lease]) -> None:
        """Give up; another's lease is left alone."""

    def revoke(self, owner: str) -> None:
        """Take away every lease of an owner that is known to be dead, so that nobody waits for them to expire; its tokens no longer hold."""

    def owners(self) -> dict[int, tuple[str, int, int]]:
        """Per partition: owner ("" where none), epoch, milliseconds left."""


class PartitionState(msgspec.Struct, frozen=True, kw_only=True):
    """What a commit left: the next offset to read, the commit's number, the time that never runs back, the snapshot in force."""

    offset: int = 0
    commit: int = 0
    time_ms: int = 0
    snapshot: int = 0
    marks: dict[int, int] = {}  # source partition → highest posted seq applied
    posted: int = 0  # seq of the last post that this partition made
    dedupe: list[tuple[int, bytes]] = []  # (bucket, 8-byte keys joined), oldest first
    scan: int = 0  # the snapshot whose dates are still being armed for all contacts; 0: none
    tries: int = 1  # owners that loaded this partition since its last commit while records waited; a clean release starts anew
    attempt: int = 0  # the record that the owner before was about to step alone; 0: none


class Commit(msgspec.Struct, kw_only=True):
    """Everything that one batch changed in one partition. Written whole or not at all, if `expected` is still the last commit."""

    expected: int
    offset: int
    time_ms: int
    snapshot: int
    contacts: dict[str, bytes | None] = {}  # checkpoints; None deletes
    due: dict[str, int] = {}  # contact → earliest due time; 0 removes
    effects: Sequence[Effect] = ()
    withdrawn: Sequence[str] = ()
    posts: Sequence[Post] = ()
    marks: dict[int, int] = {}
    rows: Sequence[Row] = ()
    guard: dict[str, str] = {}  # contact → marks; "" removes
    index: dict[str, bool] = {}  # entry of the index by address and phone → whether it comes or goes
    parked: Sequence[tuple[str, str]] = ()  # ("channel/dest", contact), appended in order
    unparked: dict[str, int] = {}  # "channel/dest" → how many were taken from the front
    counters: dict[str, int] = {}
    dedupe: tuple[int, bytes] | None = None  # (bucket, keys joined)
    set_aside: Sequence[tuple[int, bytes, str]] = ()  # (offset, record, reason): poison
    scan: int = 0  # see PartitionState


class CommitStore(Protocol):
    """Checkpoints and everything that is committed with them."""

    def load(self, lease: Lease) -> PartitionState:
        """The state of a partition at takeover. Fenced if the lease is not the current one."""

    def attempt(self, lease: Lease, offset: int) -> None:
        """Note that the record at `offset` is about to be stepped alone, because owners died here; the next commit clears it. Raises Fenced."""

    def scan(self, partition: int, cursor: int, most: int) -> tuple[list[tuple[str, bytes]], int]:
        """About `most` checkpoints from a cursor on (0 begins), and the next cursor (0: that was all). Some may come twice, none is missed
        that was there all the time."""

    def fetch(self, wanted: Mapping[int, Sequence[str]]) -> dict[int, list[bytes | None]]:
        """Checkpoints of contacts, by partition, in one round trip."""

    def due(self, until: Mapping[int, int], most: int) -> dict[int, list[tuple[str, int]]]:
        """Contacts due at or before a time, by partition, earliest first."""

    def commit(self, commits: Sequence[tuple[Lease, Commit]]) -> list[Exception | None]:
        """Write each, in one round trip; per commit None, Fenced, or ResultUnknown (then `look` before anything else)."""

    def look(self, lease: Lease) -> int:
        """The number of the last commit, if the lease is still the current one; else Fenced."""

    def full(self, partitions: Sequence[int]) -> dict[int, dict[str, int]]:
        """Per partition: unsettled effects by "channel/dest", for those above zero; and "parked:channel/dest" → contacts parked."""

    def parked(self, partition: int, place: str, most: int) -> list[str]:
        """The contacts parked first at "channel/dest"."""

    def posts(self, partition: int, most: int) -> list[tuple[int, Post]]:
        """Posts not yet delivered, with their seq, oldest first."""

    def posted(self, lease: Lease, upto: int) -> None:
        """Forget posts up to a seq: they stand in their targets' logs."""


class Claim(msgspec.Struct, frozen=True):
    """An effect in a pool's hands. `guard` is the guard's text for its contact at the time of the claim."""

    partition: int
    token: str
    attempt: int  # 1 for the first
    effect: Effect
    guard: str = ""
    first_ms: int = 0  # when it first became pending


class Settle(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a claimed or marked effect.

    `state`: delivered, rejected, deferred (again at `due_ms`; `attempted` says whether it counts as a failed attempt), unknown, dead,
    suppressed, withdrawn, dropped. `report` appends an Outcome to the contact's log in the same script.
    """

    claim: Claim
    state: str
    reason: str = ""
    due_ms: int = 0
    attempted: bool = True
    report: bool = False
    data: dict[str, Any] = {}


DEFAULT_CONSENT = {"email": "subscribed", "sms": "unsubscribed"}


class Outbox(Protocol):
    """Effects after their commit: pending → claimed → marked → settled, each move checked in storage."""

    async def claim(
        self, channel: str, partitions: Sequence[int], owner: str, most: int, lease_ms: int, room: Mapping[str, int], closed: Sequence[str]
    ) -> list[Claim]:
        """Take up to `most` effects, transactional lane first, then round by (map, dest). `room` bounds single dests, `closed`
        dests are passed over. Also returns expired claims to pending, expired marks to unknown, and due deferred ones to their queue."""

    async def mark(self, claims: Sequence[Claim], lease_ms: int, *, once: bool, defaults: Mapping[str, str] | None = None) -> list[str]:
        """The point of no return, for ≤ 64: per claim "" (go), or why not: a guard's refusal, withdrawn, stopped, lost.

        A refused one is settled by the script (suppressed or withdrawn; stopped: pending again). `once`: an expired mark becomes unknown;
        otherwise pending again, one attempt older. `defaults`: the workspace's consent by channel, None for DEFAULT_CONSENT. Marking
        again with the same token extends the mark."""

    async def settle(self, settles: Sequence[Settle]) -> list[bool]:
        """Settle; False where the token no longer holds. A right token turns `unknown` into its result."""

    async def release(self, claims: Sequence[Claim]) -> None:
        """Give unmarked claims back, to the front of their queues."""

    async def depths(self) -> dict[str, dict[str, int]]:
        """Per channel, the keys `pending:t`, `pending:b` (queued, by lane), `claimed` (and marked), `deferred`, `unknown`, `dead`,
        and `oldest_ms:t`, `oldest_ms:b`: the age in ms of the oldest queued effect, 0 for none."""

    async def listing(self, state: str, most: int, *, channel: str = "", map_id: str = "", reason: str = "", since_ms: int = 0) -> list[dict[str, Any]]:
        """Dead letters (`dead`) or `unknown` effects, newest first: effect, contact, kind, channel, dest, map, element, reason, attempts, at_ms.

        `reason` keeps those whose reason begins with it."""

    async def resolve(self, effect_ids: Sequence[str], state: str, into: str, partition: int | None = None) -> int:
        """Move listed effects: dead → pending (replay) or dropped; unknown → delivered, rejected or pending. How many moved.

        `partition` says where they are, if that is known; else each is asked."""

    async def stop(self, what: str, stopped: bool, reason: str = "") -> None:
        """The red button: `what` is "*", "channel:email", "promotional:email" (its bulk lane) or "map:welcome". Claims and marks ask for it."""

    async def stopped(self) -> dict[str, str]:
        """What is stopped now, in order, and why ("" where nobody said)."""


class Budget(Protocol):
    """Grants of a rate limit, from one place. A grant expires in a second; what is not used is burned."""

    async def grant(self, limit: str, rate: float, burst: float, want: int) -> tuple[int, int]:
        """(granted, retry after ms) under GCRA; `rate` per second."""

    async def grant_day(self, limit: str, most: int, want: int, day: str) -> int:
        """Granted out of a calendar day's allowance."""


class Lists(Protocol):
    """Exports of fulfillment lists: what stood on a list when it was to be sent. They don't change and expire; only an erasure reaches
    into them."""

    async def freeze(self, export: Export, life_ms: int) -> int:
        """Copy the rows of all partitions, once: asked again, the same export stands. How many rows. WayfareError where a newer one stands, Full where the
        server's memory is full."""

    async def contacts(self, export: Export, partition: int) -> list[str] | None:
        """The contacts of an export in one partition, sorted; None where it is gone."""

    async def rows(self, export: Export, partition: int, contacts: Sequence[str]) -> list[bytes | None]:
        """Their rows; None for those who were erased meanwhile."""

    async def take_off(self, export: Export, partition: int, contacts: Sequence[str]) -> int:
        """Take off the list those contacts whose rows are still the export's; how many. WayfareError where the export is gone."""


TALLY_BUCKETS = 60  # of a window: so sharp is its end
TALLY_WINDOW_MS = 3_600_000  # where nobody has named one


class Tallies(Protocol):
    """Counts over a sliding window, in one place for every pool and gateway."""

    async def add(self, name: str, counts: Mapping[str, int], window_ms: int = 0) -> dict[str, int]:
        """Add; what the window holds now. `window_ms` 0: the window that was named last."""

    async def forget(self, name: str) -> None:
        """Begin anew."""


class Snapshot(msgspec.Struct, frozen=True):
    """One immutable workspace: its number, its documents, and every map version still in use (map → version → document)."""

    number: int
    documents: dict[str, Any]
    versions: dict[str, dict[str, Any]] = {}  # map → {"version": document}; the highest is current
    at_ms: int = 0


class Workspaces(Protocol):
    """Published snapshots."""

    async def publish(self, snapshot: Snapshot, expected: int) -> bool:
        """Store under its number and append `UseSnapshot` to every log; False if `expected` is no longer the newest."""

    async def newest(self) -> int:
        """The number of the newest snapshot, 0 for none."""

    async def get(self, number: int) -> Snapshot | None:
        """One snapshot."""


class SnapshotSource(Protocol):
    """Reading a snapshot from a synchronous shard."""

    def snapshot(self, number: int) -> Snapshot | None:
        """One snapshot."""


class Directory(Protocol):
    """What the gateway and the command line read and administer, across all partitions."""

    async def contact(self, contact: str) -> bytes | None:
        """One checkpoint."""

    async def find(self, kind: str, value: str) -> list[str]:
        """The contacts whose `kind` (email, phone) is this address or number, sorted, at most `found_contacts_max` of each partition; an index
        that commits write, so as fresh as the log is read."""

    async def rows(self, table: str) -> dict[str, bytes]:
        """All rows of a table, of all partitions."""

    async def counters(self) -> dict[str, int]:
        """All counters, summed over the partitions."""

    async def timers(self) -> int:
        """How many contacts wait for a time."""

    async def states(self) -> dict[int, PartitionState]:
        """The committed state of each partition (without marks and dedupe keys)."""

    async def keys(self) -> dict[str, dict[str, Any]]:
        """API keys: sha256 of the key, hex → {name, scopes, made_ms}."""

    async def put_key(self, digest: str, entry: dict[str, Any] | None) -> None:
        """Store or delete (None) an API key."""

    async def once(self, key: str, value: bytes, ttl_ms: int) -> bytes | None:
        """Set if absent; the value that stood there before, or None where this one was first (idempotency keys, first-start secrets)."""

    async def kept(self, key: str) -> bytes | None:
        """What `once` keeps under a key, None where there is nothing (any more)."""

    async def processes(self) -> dict[str, bytes]:
        """What every live process published last."""

    async def audit(self, entry: dict[str, Any]) -> None:
        """Append an administrative act."""

    async def audited(self, most: int) -> list[dict[str, Any]]:
        """The newest administrative acts first."""

    async def set_aside(self, most: int) -> list[dict[str, Any]]:
        """Poisoned records, newest first: partition, offset, record (bytes), reason."""

    async def ping(self) -> dict[str, Any]:
        """Reachability and memory: `{"used_bytes", "max_bytes", "durability"}`; raises Unavailable."""


class Control(Protocol):
    """What `up`, the supervisor and the actors tell each other: through storage and never through actor calls, so that it works while
    Ray's head is away. Synchronous; `run` is the id of one start of the deployment."""

    def assign(self, shards: Mapping[str, Sequence[int]]) -> None:
        """Which partitions each shard shall own, in place of what stood there."""

    def assignment(self) -> dict[str, list[int]]:
        """The whole assignment."""

    def assigned(self, shard: str) -> list[int]:
        """One shard's part of it."""

    def tell(self, run: str, whom: str, word: str) -> None:
        """Leave a word for a role or a process of a run; it stands until the run is over."""

    def told(self, run: str) -> dict[str, str]:
        """Every word of a run, by role or process."""

    def beat(self, process: str, value: bytes, ttl_ms: int) -> None:
        """Publish what a process is and measures; it vanishes after `ttl_ms`, at once with 0."""

    def beats(self) -> dict[str, bytes]:
        """What `Directory.processes` gives: who lives, and what each published last."""

    def reign(self, run: str, ttl_ms: int) -> str:
        """Say that the `up` of this run lives. The run that reigns: this one, or another whose time is not over."""

    def reigning(self) -> str:
        """The run whose `up` lives; empty where none does."""
