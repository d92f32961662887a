"""Dividing a claim over the partitions that have something waiting. One script costs as much as a few effects, so few are asked for much.

Invariants: the shares add up to what was asked for, or to nothing where nothing waits; a partition with share 0 is not asked; what is
urgent comes first, wherever it is.
"""

from __future__ import annotations

from collections.abc import Sequence


def by_need(total: int, urgent: Sequence[int], other: Sequence[int], turn: int) -> list[int]:
    """Shares after what waits in each partition: all that is urgent first, then the rest, from one partition as much as there is.

    `turn` says which partition comes first, so that each has its turn.
    """
    parts = len(urgent)
    order = [(turn + place) % parts for place in range(parts)]
    shares = [0] * parts
    left = total
    for need in (urgent, other):
        for part in order:
            share = min(left, need[part])
            shares[part] += share
            left -= share
    asked = [part for part in order if shares[part]]
    if asked:
        shares[asked[0]] += left  # something may have come since
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
