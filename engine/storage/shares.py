"""Dividing a number of effects over partitions, so that one round trip asks them all."""

from __future__ import annotations

from collections.abc import Sequence


def evenly(total: int, parts: int, turn: int) -> list[int]:
    """`total` in `parts` shares that differ by at most one; `turn` says where the larger ones begin."""
    least, more = divmod(total, parts)
    return [least + ((part - turn) % parts < more) for part in range(parts)]


def by_backlog(total: int, backlog: Sequence[int], turn: int) -> list[int]:
    """A quarter of `total` evenly, since any partition may have got new work; the rest after what each still held when last seen."""
    known = sum(backlog)
    if not known:
        return evenly(total, len(backlog), turn)
    probe = evenly(total // 4, len(backlog), turn)
    rest = total - total // 4
    shares = [some + rest * held // known for some, held in zip(probe, backlog, strict=True)]
    left = evenly(total - sum(shares), len(backlog), turn)
    return [share + more for share, more in zip(shares, left, strict=True)]
