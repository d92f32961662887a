"""The window of event ids that were already applied in one partition.

Keys are 64-bit digests of (contact, event id), kept in generations: a new one begins when the time bucket changes or a
generation holds its share of `dedupe_keys_max`; only the newest `dedupe_buckets` are kept. So a repeated id is dropped if it
comes within `dedupe_buckets - 1` buckets of time and within five sixths of `dedupe_keys_max` ids, whichever is less.
Invariant: `seen` is the union of the generations.
"""

from __future__ import annotations

from collections import deque
from hashlib import blake2b

from engine.config import Config


def dedupe_key(contact: str, event_id: str) -> bytes:
    """Eight bytes that stand for one event id of one contact; the same in every process."""
    return blake2b(f"{contact}\x00{event_id}".encode(), digest_size=8).digest()


class DedupeWindow:
    """The keys of one partition. `fresh` holds what the next commit must write."""

    def __init__(self, config: Config, saved: list[tuple[int, bytes]]) -> None:
        self._bucket_ms = config.dedupe_bucket_ms
        self._generations_max = config.dedupe_buckets
        self._keys_max = max(1, config.dedupe_keys_max // config.dedupe_buckets)
        self._generations: deque[tuple[int, int, list[bytes]]] = deque()  # (generation, time bucket, keys)
        self._fresh: list[bytes] = []
        self.seen: set[bytes] = set()
        for generation, joined in saved[-self._generations_max :]:
            keys = [joined[at : at + 8] for at in range(0, len(joined), 8)]
            self._generations.append((generation, generation, keys))
            self.seen.update(keys)

    def add(self, key: bytes) -> bool:
        """True if the key is new; it will be part of the next commit."""
        if key in self.seen:
            return False
        self.seen.add(key)
        self._fresh.append(key)
        return True

    def fresh(self, now_ms: int) -> tuple[int, bytes] | None:
        """The keys added since the last `confirm`, as (generation, keys joined) for the commit that applies their events."""
        if not self._fresh:
            return None
        return self._current(now_ms)[0], b"".join(self._fresh)

    def confirm(self, now_ms: int) -> None:
        """The commit that carried the fresh keys stands."""
        if self._fresh:
            self._current(now_ms)[1].extend(self._fresh)
            self._fresh.clear()

    def undo(self) -> None:
        """Forget the fresh keys: their events will be stepped again."""
        self.seen.difference_update(self._fresh)
        self._fresh.clear()

    def _current(self, now_ms: int) -> tuple[int, list[bytes]]:
        bucket = now_ms // self._bucket_ms
        if self._generations:
            generation, begun, keys = self._generations[-1]
            if bucket <= begun and len(keys) < self._keys_max:
                return generation, keys
            bucket_after = max(bucket, generation + 1)
        else:
            bucket_after = bucket
        self._generations.append((bucket_after, bucket, []))
        while len(self._generations) > self._generations_max:
            self.seen.difference_update(self._generations.popleft()[2])
        return bucket_after, self._generations[-1][2]
