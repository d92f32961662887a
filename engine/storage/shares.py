"""Dividing a claim over partitions. One script costs as much as a few effects, so what is known to wait is fetched from few partitions.

Invariants: the shares add up to what was asked for; a partition with share 0 is not asked; every partition is asked again and again.
"""

from __future__ import annotations

from collections.abc import Sequence

PROBED = 4  # while others have a backlog, one in so many of the rest is looked at in each turn


def evenly(total: int, parts: int, turn: int) -> list[int]:
    """`total` in `parts` shares that differ by at most one; `turn` says where the larger ones begin."""
    least, more = divmod(total, parts)
    return [least + ((part - turn) % parts < more) for part in range(parts)]


def by_backlog(total: int, backlog: Sequence[int], turn: int) -> list[int]:
    """Shares after what each partition still held when last seen, from one partition as much as there is, in turns.

    A quarter of `total` looks at a part of those that held nothing; where nothing is known to wait, all are asked.
    """
    parts = len(backlog)
    order = [(turn + place) % parts for place in range(parts)]
    empty = [part for part in order if not backlog[part]]
    if len(empty) == parts:
        return evenly(total, parts, turn)
    shares = [0] * parts
    probed = [part for part in empty if (part + turn) % PROBED == 0]
    for part, share in zip(probed, evenly(total // 4, len(probed), turn) if probed else (), strict=True):
        shares[part] = share
    left = total - sum(shares)
    full = [part for part in order if backlog[part]]
    for part in full:
        shares[part] = min(left, backlog[part])
        left -= shares[part]
    shares[full[0]] += left
    return shares


def parted(total: int, shares: Sequence[int]) -> list[int]:
    """The room of one destination over the partitions that have shares, in proportion to them."""
    asked = sum(shares)
    parts = [total * share // asked for share in shares] if asked else [0] * len(shares)
    left = total - sum(parts)
    for part, share in enumerate(shares):
        more = min(left, max(0, share - parts[part]))
        parts[part] += more
        left -= more
    return parts
