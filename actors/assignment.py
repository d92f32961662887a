"""Which shard shall own which partitions: pure, and the whole policy of moving them.

Invariants: every partition has exactly one shard wherever one lives; at most `active` shards own any, and their shares differ by one at
most; a partition moves only where its owner is gone, or to even out the shares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def assign(partitions: int, alive: Sequence[str], current: Mapping[str, Sequence[int]], active: int) -> dict[str, list[int]]:
    """The new assignment. `alive` in the order in which standbys are to be taken; with nobody alive the current one stays."""
    if not alive:
        return {shard: list(owned) for shard, owned in current.items()}
    chosen = sorted(alive, key=lambda shard: not current.get(shard))[:active]  # owners first; sorting keeps the order among equals
    kept = _kept(partitions, chosen, current)
    shares = _shares(partitions, chosen, kept)
    assigned = {shard: kept[shard][: shares[shard]] for shard in chosen}
    placed = {partition for owned in assigned.values() for partition in owned}
    free = iter([partition for partition in range(partitions) if partition not in placed])
    for shard in chosen:
        missing = shares[shard] - len(assigned[shard])
        assigned[shard] = sorted(assigned[shard] + [next(free) for _ in range(missing)])
    return assigned


def _kept(partitions: int, chosen: Sequence[str], current: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    """What the chosen own already; a partition that two claim stays with the first."""
    taken: set[int] = set()
    kept = {}
    for shard in chosen:
        kept[shard] = sorted({partition for partition in current.get(shard, ()) if 0 <= partition < partitions} - taken)
        taken.update(kept[shard])
    return kept


def _shares(partitions: int, chosen: Sequence[str], kept: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """How many each shall own; what does not divide goes to those that own most already."""
    share, rest = divmod(partitions, len(chosen))
    fullest = sorted(chosen, key=lambda shard: -len(kept[shard]))
    return {shard: share + (place < rest) for place, shard in enumerate(fullest)}
