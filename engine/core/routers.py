"""Lead routers: whose turn it is. The turns are counted at the router's home partition, so round robin is exact across shards."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from itertools import accumulate
from typing import Any


def drawn(seed: str) -> float:
    """A number 0 ≤ x < 1 that is always the same for a seed."""
    return int.from_bytes(blake2b(seed.encode(), digest_size=8).digest()[:7], "big") / (1 << 56)


def pick(weights: list[float], seed: str) -> int:
    """The index that a seed draws out of weights; a weight of 0 is never drawn. All weights 0 draw the first."""
    sums = list(accumulate(weights))
    at = drawn(seed) * sums[-1]
    return next((index for index, upper in enumerate(sums) if at < upper), 0)


def route(router: Mapping[str, Any], turns: int, lead: Mapping[str, Any]) -> str:
    """The member that gets the lead, "" where the router has none.

    Round robin goes by `turns`, the leads routed before; weighted draws from the lead itself: its contact, enrollment, position and hop.
    """
    members = router.get("members") or []
    if isinstance(members, Mapping):
        names = list(members)
        seed = f"{lead['contact']}.{lead['enrollment']}.{lead['position']}.{lead['hop']}"
        return names[pick([float(weight) for weight in members.values()], seed)] if names else ""
    return str(members[turns % len(members)]) if members else ""
