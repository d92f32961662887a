"""What both stores tell about effects: outcomes, lines of listings, depths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.core.effects import Effect, outcome_data
from engine.core.partitioning import ENTITY
from engine.core.records import Outcome
from engine.ports import Settle

_DEPTHS = ("pending:t", "pending:b", "claimed", "deferred", "unknown", "dead")


def outcome_of(settle: Settle) -> Outcome:
    """The record that tells the contact what became of its effect."""
    effect = settle.claim.effect
    return Outcome(effect.contact, effect.id, effect.kind, settle.state, settle.reason, effect.enrollment, effect.element, outcome_data(effect, settle.data))


def entry_of(effect: Effect, reason: str, attempts: int, at_ms: int) -> dict[str, Any]:
    """A line of a listing."""
    return {
        "effect": effect.id,
        "contact": effect.contact.removeprefix(ENTITY),
        "kind": effect.kind,
        "channel": effect.channel,
        "dest": effect.dest,
        "map": effect.map,
        "element": effect.element,
        "reason": reason,
        "attempts": attempts,
        "at_ms": at_ms,
    }


def wanted(entry: Mapping[str, Any], channel: str, map_id: str, reason: str, since_ms: int) -> bool:
    """Whether a line passes the filters of a listing."""
    return (
        (not channel or entry["channel"] == channel)
        and (not map_id or entry["map"] == map_id)
        and entry["reason"].startswith(reason)
        and entry["at_ms"] >= since_ms
    )


def add_depths(total: dict[str, int], figures: Sequence[int], now_ms: int) -> None:
    """Add a partition's figures for a channel to the total; of the oldest the oldest counts."""
    for name, figure in zip(_DEPTHS, figures, strict=False):
        total[name] = total.get(name, 0) + figure
    for name, first_ms in (("oldest_ms:t", figures[6]), ("oldest_ms:b", figures[7])):
        total[name] = max(total.get(name, 0), now_ms - first_ms if first_ms else 0)
