"""The worker of the hand-written loop: reads what the front appended, steps contacts, commits all that a batch changed in one transaction.

The map stands here as six lines of Python. Offsets, contacts, timers, mails and the ids of events are of one transaction, so whoever starts it again
goes on where it was. There must be one of it, and nothing sees to that.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from benchmarks.peers.by_hand_front import PARTITIONS, log_of
from benchmarks.peers.by_hand_redis import Command, Redis, flat, transaction

ENTRIES_MAX = 4  # of each partition, read at a time
BLOCK_MS = 500
TIMERS_MAX = 1_000  # released at a time
IDS_MAX = 1_000_000  # of events that are remembered, in each of two generations
WAIT_MS = 30 * 24 * 3_600_000
LOGS = [log_of(partition) for partition in range(PARTITIONS)]


class Contact(msgspec.Struct, array_like=True, gc=False):
    """`due_ms` is the end of the wait, 0 for whoever is in none."""

    email: str = ""
    tags: list[str] = []
    last_total: float | None = None
    due_ms: int = 0


class Record(msgspec.Struct, array_like=True, gc=False):
    id: str
    contact: str
    total: float
    notify: bool
    currency: str
    cds: int


class Entry(NamedTuple):
    """What one append brought: the stream's place, the server's stamp, the records."""

    log: int
    id: bytes
    stamp_ms: int
    records: list[Record]


decode_records = msgspec.msgpack.Decoder(list[Record]).decode
decode_contact = msgspec.msgpack.Decoder(Contact).decode
encode = msgspec.msgpack.Encoder().encode


class Worker:
    """Everybody who was ever touched stays in memory: 100,000 contacts take some 30 MB."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._contacts: dict[str, Contact] = {}
        meta = _pairs(redis.run([("HGETALL", "meta")])[0])
        self._offsets = [meta.get(log.encode(), b"0") for log in LOGS]
        self._generation = int(meta.get(b"generation", 0))
        stored = redis.run([("GET", f"ids:{self._generation}"), ("GET", f"ids:{self._generation - 1}")])
        self._seen, self._older = (set((text or b"").decode().split("\n")[:-1]) for text in stored)

    def turn(self) -> None:
        """Read what is there, or wait for it, and commit it."""
        found = self._redis.run([("XREAD", "COUNT", ENTRIES_MAX, "BLOCK", BLOCK_MS, "STREAMS", *LOGS, *self._offsets)])[0]
        if found:
            self._apply([_entry(name, raw) for name, entries in found for raw in entries])

    def _apply(self, entries: list[Entry]) -> None:
        contacts = self._contacts
        self._fetch({record.contact for entry in entries for record in entry.records} - contacts.keys())
        seen, older = self._seen, self._older
        ids: list[str] = []
        touched: dict[str, Contact] = {}
        armed: list[int | str] = []
        mails: list[tuple[str, str, float, str, int]] = []
        read = enrolled = 0
        for entry in entries:
            read += len(entry.records)
            due_ms = entry.stamp_ms + WAIT_MS
            for record in entry.records:
                if record.id in seen or record.id in older:
                    continue
                seen.add(record.id)
                ids.append(record.id)
                if record.total < 10:
                    continue
                contact = contacts[record.contact]
                if record.total >= 100 and "big" not in contact.tags:
                    contact.tags.append("big")
                contact.last_total = record.total
                if record.notify and contact.email:
                    mails.append((contact.email, record.id, record.total, record.currency, record.cds))
                if not contact.due_ms:  # an entry that is there is earlier, and is set right when it fires
                    armed += (due_ms, record.contact)
                contact.due_ms = due_ms
                touched[record.contact] = contact
                enrolled += 1
        counts = {"read": read, "duplicates": read - len(ids), "enrolled": enrolled, "decided": len(mails)}
        self._commit(entries, touched, armed, mails, ids, counts)

    def _fetch(self, names: set[str]) -> None:
        """Bring contacts into memory; whoever is unknown begins with nothing."""
        if names:
            order = list(names)
            found = self._redis.run([("HMGET", "contacts", *order)])[0]
            self._contacts.update((name, decode_contact(raw) if raw else Contact()) for name, raw in zip(order, found, strict=True))

    def _commit(
        self, entries: list[Entry], touched: dict[str, Contact], armed: list[int | str], mails: list[Any], ids: list[str], counts: dict[str, int]
    ) -> None:
        last = {entry.log: entry.id for entry in entries}
        for log, offset in last.items():
            self._offsets[log] = offset
        commands: list[Command] = [("XTRIM", LOGS[log], "MINID", "~", offset) for log, offset in last.items()]
        if touched:
            commands.append(("HSET", "contacts", *flat((name, encode(contact)) for name, contact in touched.items())))
        if armed:
            commands.append(("ZADD", "due", *armed))
        if mails:
            commands.append(("XADD", "outbox", "*", "m", encode(mails)))
        if ids:
            commands.append(("APPEND", f"ids:{self._generation}", "\n".join(ids) + "\n"))
        commands += [("HINCRBY", "counts", name, count) for name, count in counts.items()]
        if len(self._seen) >= IDS_MAX:
            self._generation += 1
            self._older, self._seen = self._seen, set()
            commands.append(("DEL", f"ids:{self._generation - 2}"))
        commands.append(("HSET", "meta", "generation", self._generation, *flat((LOGS[log], offset) for log, offset in last.items())))
        self._redis.run(transaction(commands))

    def fire(self, now_ms: int) -> None:
        """Let out those whose wait has ended; index anew those who began a longer one since."""
        names = [name.decode() for name in self._redis.run([("ZRANGEBYSCORE", "due", "-inf", now_ms, "LIMIT", 0, TIMERS_MAX)])[0]]
        if not names:
            return
        self._fetch(set(names) - self._contacts.keys())
        commands: list[Command] = []
        for name in names:
            contact = self._contacts[name]
            if contact.due_ms > now_ms:
                commands.append(("ZADD", "due", contact.due_ms, name))
            else:
                contact.due_ms = 0
                commands += [("ZREM", "due", name), ("HSET", "contacts", name, encode(contact))]
        self._redis.run(transaction(commands))


def _entry(name: bytes, raw: tuple[bytes, list[bytes]]) -> Entry:
    id, (_, blob) = raw
    return Entry(int(name[4:]), id, int(id.partition(b"-")[0]), decode_records(blob))


def _pairs(flat: Iterable[bytes]) -> dict[bytes, bytes]:
    """What HGETALL answers, as a dict."""
    found = iter(flat)
    return dict(zip(found, found, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    worker = Worker(Redis(parser.parse_args().socket))
    gc.freeze()  # and the threshold: as our own shards have it
    gc.set_threshold(50_000, 20, 20)
    looked = 0.0
    while True:
        worker.turn()
        if time.monotonic() - looked > 1:
            looked = time.monotonic()
            worker.fire(int(time.time() * 1_000))


if __name__ == "__main__":
    main()
