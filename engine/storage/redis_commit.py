"""Checkpoints in Redis, and the commit as one fenced script per partition: the whole of `Commit` as flat arguments.

After a lost reply the owner asks `look`: the new number means done, the old one that the same bytes may be sent again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec

from engine.codec import encode
from engine.config import Config
from engine.core.effects import Effect, Post
from engine.core.errors import Fenced, Unavailable
from engine.ports import Commit, Lease, PartitionState
from engine.storage.effect_values import destination, effect_value, queue_name
from engine.storage.redis_call import Argument, Call, checked, command, only, partition_key, script
from engine.storage.redis_client import RedisClient

_decode_post = msgspec.msgpack.Decoder(Post).decode
_META = ("offset", "commit", "time", "snapshot", "posted", "scan")


def commit_call(lease: Lease, commit: Commit, config: Config) -> Call:
    """The commit of one partition; the answer is its number, or Fenced. The sections stand in the order of `lua/commit.lua`."""
    args: list[Argument] = [lease.token, commit.expected, commit.offset, commit.time_ms, commit.snapshot, config.set_aside_max, commit.scan]
    gone = [contact for contact, checkpoint in commit.contacts.items() if checkpoint is None]
    kept = commit.contacts if not gone else {contact: checkpoint for contact, checkpoint in commit.contacts.items() if checkpoint is not None}
    _section(args, chain.from_iterable(kept.items()))  # type: ignore[arg-type]  # who is gone is not among them
    _section(args, gone)
    _section(args, (value for contact, due_ms in commit.due.items() if due_ms for value in (due_ms, contact)))
    _section(args, (contact for contact, due_ms in commit.due.items() if not due_ms))
    _effect_sections(args, commit.effects)
    _section(args, commit.withdrawn)
    _section(args, (encode(post) for post in commit.posts))
    _section(args, (value for item in commit.marks.items() for value in item))
    _row_sections(args, commit)
    _section(args, (value for item in commit.guard.items() if item[1] for value in item))
    _section(args, (contact for contact, marks in commit.guard.items() if not marks))
    _section(args, (value for entry, comes in commit.index.items() if comes for value in (0, entry)))
    _section(args, (entry for entry, comes in commit.index.items() if not comes))
    _section(args, _grouped((where, (contact,)) for where, contact in commit.parked))
    _section(args, _grouped((where, (taken,)) for where, taken in commit.unparked.items() if taken))
    _section(args, (value for item in commit.counters.items() for value in item))
    _section(args, (*commit.dedupe, config.dedupe_bucket_ms * (config.dedupe_buckets + 1), config.dedupe_buckets) if commit.dedupe else ())
    _section(args, (encode(entry) for entry in commit.set_aside))
    return script("commit", lease.partition, *args)


def _section(args: list[Argument], values: Iterable[Argument]) -> None:
    """Append a section: its count of values, then the values."""
    at = len(args)
    args.append(0)
    args.extend(values)
    args[at] = len(args) - at - 1


def _grouped(items: Iterable[tuple[Any, tuple[Argument, ...]]]) -> list[Argument]:
    """Values by head as `head…, size, values…`, each head once, in order of first appearance."""
    groups: dict[Any, list[Argument]] = {}
    for head, values in items:
        groups.setdefault(head, []).extend(values)
    flat: list[Argument] = []
    for head, group in groups.items():
        flat.extend(head if isinstance(head, tuple) else (head,))
        flat.append(len(group))
        flat.extend(group)
    return flat


def _effect_sections(args: list[Argument], effects: Sequence[Effect]) -> None:
    """Three sections: the table's values, the queues with the ids that join them, and those that wait for their `due_ms`."""
    values: list[Argument] = []
    queued: list[tuple[Any, tuple[Argument, ...]]] = []
    later: list[tuple[Any, tuple[Argument, ...]]] = []
    heads: dict[tuple[str, str, str, str], tuple[bytes, str, str, str]] = {}
    for effect in effects:
        key = (effect.channel, effect.lane, effect.dest, effect.map)
        head = heads.get(key)
        if head is None:
            head = heads[key] = (queue_name(effect).encode(), effect.channel, effect.lane, destination(effect))
        values.append(effect.id)
        values.append(effect_value(effect, head[0]))
        if effect.not_before_ms:
            later.append(((effect.channel, head[3]), (effect.due_ms, effect.id)))
        else:
            queued.append((head, (effect.id,)))
    _section(args, values)
    _section(args, _grouped(queued))
    _section(args, _grouped(later))


def _row_sections(args: list[Argument], commit: Commit) -> None:
    """Rows set and rows deleted; of several writes of one row in a batch only the last counts."""
    last = {(row.table, row.field): row.value for row in commit.rows}
    _section(args, _grouped((table, (field, value)) for (table, field), value in last.items() if value is not None))
    _section(args, _grouped((table, (field,)) for (table, field), value in last.items() if value is None))


def state_from(
    meta: Sequence[bytes | None], marks: Sequence[bytes] = (), dedupe: Sequence[tuple[int, bytes]] = (), tries: int = 1, attempt: int = 0
) -> PartitionState:
    """A partition's state; a fresh one starts at record 1."""
    offset, commit, time_ms, snapshot, posted, scan = (int(value or 0) for value in meta)
    return PartitionState(
        offset=max(1, offset),
        commit=commit,
        time_ms=time_ms,
        snapshot=snapshot,
        posted=posted,
        marks={int(source): int(seq) for source, seq in zip(marks[::2], marks[1::2], strict=True)},
        dedupe=list(dedupe),
        scan=scan,
        tries=tries,
        attempt=attempt,
    )


def state_call(partition: int) -> Call:
    """The committed state without marks and dedupe keys."""
    return command("HMGET", partition_key(partition, "meta"), *_META, parse=state_from)


class RedisCommits:
    """Checkpoints and everything that is committed with them."""

    def __init__(self, client: RedisClient, config: Config) -> None:
        self._client = client
        self._config = config

    def load(self, lease: Lease) -> PartitionState:
        """The state of a partition at takeover, in two round trips. Fenced if the lease is not the current one."""
        partition = lease.partition
        meta_call = command("HMGET", partition_key(partition, "meta"), *_META)
        load_call = script("load", partition, lease.token)
        buckets_call = command("ZRANGE", partition_key(partition, "dd"), 0, -1)
        marks_call = command("HGETALL", partition_key(partition, "marks"))
        owners, meta, marks, buckets = checked(self._client.run([load_call, meta_call, marks_call, buckets_call]))
        keys = checked(self._client.run([command("GET", partition_key(partition, f"dd:{int(bucket)}")) for bucket in buckets]))
        dedupe = [(int(bucket), found) for bucket, found in zip(buckets, keys, strict=True) if found]
        return state_from(meta, marks, dedupe, tries=owners[0], attempt=owners[1])

    def attempt(self, lease: Lease, offset: int) -> None:
        """Note the record that is about to be stepped alone."""
        only(self._client.run([script("attempt", lease.partition, lease.token, offset)]))

    def scan(self, partition: int, cursor: int, most: int) -> tuple[list[tuple[str, bytes]], int]:
        """About `most` checkpoints from a cursor on, and the next cursor."""
        after, found = only(self._client.run([command("HSCAN", partition_key(partition, "cp"), cursor, "COUNT", most)]))
        return [(contact.decode(), value) for contact, value in zip(found[::2], found[1::2], strict=True)], int(after)

    def fetch(self, wanted: Mapping[int, Sequence[str]]) -> dict[int, list[bytes | None]]:
        """Checkpoints of contacts, by partition, in one round trip."""
        asked = {partition: contacts for partition, contacts in wanted.items() if contacts}
        found = checked(self._client.run([command("HMGET", partition_key(partition, "cp"), *contacts) for partition, contacts in asked.items()]))
        return {**{partition: [] for partition in wanted}, **dict(zip(asked, found, strict=True))}

    def due(self, until: Mapping[int, int], most: int) -> dict[int, list[tuple[str, int]]]:
        """Contacts due at or before a time, by partition, at most `most` of each, earliest first."""
        calls = [
            command("ZRANGEBYSCORE", partition_key(partition, "due"), "-inf", until_ms, "WITHSCORES", "LIMIT", 0, most, parse=_scored)
            for partition, until_ms in until.items()
        ]
        return dict(zip(until, checked(self._client.run(calls)), strict=True))

    def commit(self, commits: Sequence[tuple[Lease, Commit]]) -> list[Exception | None]:
        """Write each, in one round trip; per commit None, or its error."""
        try:
            answers = self._client.run([commit_call(lease, commit, self._config) for lease, commit in commits])
        except Unavailable as error:
            return [error] * len(commits)
        return [value if isinstance(value, Exception) else None for value in answers]

    def look(self, lease: Lease) -> int:
        """The number of the last commit, if the lease is still the current one; else Fenced."""
        token, number = only(self._client.run([command("HMGET", partition_key(lease.partition, "meta"), "token", "commit")]))
        if token != lease.token.encode():
            raise Fenced("another owner holds this partition")
        return int(number or 0)

    def full(self, partitions: Sequence[int]) -> dict[int, dict[str, int]]:
        """Per partition: unsettled effects by "channel/dest", and "parked:channel/dest" → contacts parked."""
        calls = [command("HGETALL", partition_key(partition, "depth"), parse=_counts) for partition in partitions]
        return dict(zip(partitions, checked(self._client.run(calls)), strict=True))

    def parked(self, partition: int, place: str, most: int) -> list[str]:
        """The contacts parked first at "channel/dest"."""
        found = only(self._client.run([command("LRANGE", partition_key(partition, f"parked:{place}"), 0, most - 1)])) if most > 0 else []
        return [contact.decode() for contact in found]

    def posts(self, partition: int, most: int) -> list[tuple[int, Post]]:
        """Posts not yet delivered, with their seq, oldest first."""
        found = only(self._client.run([command("XRANGE", partition_key(partition, "posts"), "-", "+", "COUNT", most)]))
        return [(int(entry.partition(b"-")[0]), _decode_post(fields[1])) for entry, fields in found]

    def posted(self, lease: Lease, upto: int) -> None:
        """Forget posts up to a seq: they stand in their targets' logs."""
        only(self._client.run([script("posted", lease.partition, lease.token, upto)]))


def _scored(reply: list[bytes]) -> list[tuple[str, int]]:
    return [(member.decode(), int(float(score))) for member, score in zip(reply[::2], reply[1::2], strict=True)]


def _counts(reply: list[bytes]) -> dict[str, int]:
    return {field.decode(): int(value) for field, value in zip(reply[::2], reply[1::2], strict=True)}
