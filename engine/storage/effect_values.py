"""How an effect stands in the outbox: its value (a head and its msgpack), its queue, and its state's text.

The Lua side of the same is `lua/effects.lua`.
"""

from __future__ import annotations

import struct

import msgspec

from engine.codec import decode_effect, encode
from engine.core.effects import Effect

_HEAD = struct.Struct(">HHd")

PENDING = "pending"
CLAIMED = "claimed"
MARKED = "marked"
DEFERRED = "deferred"
UNKNOWN = "unknown"
DEAD = "dead"
GONE = ("delivered", "rejected", "suppressed", "withdrawn", "dropped")

MOVES: dict[str, frozenset[str]] = {
    CLAIMED: frozenset({"rejected", "deferred", "dead", "suppressed", "withdrawn", "dropped"}),
    MARKED: frozenset({"delivered", "rejected", "deferred", "unknown", "dead", "suppressed", "withdrawn", "dropped"}),
    UNKNOWN: frozenset({"delivered", "rejected", "deferred", "dead", "dropped"}),
}
"""Which states a settle may lead to, by the state that it finds; all else is refused. Delivered needs a mark before."""

RESOLVES: dict[str, frozenset[str]] = {DEAD: frozenset({PENDING, "dropped"}), UNKNOWN: frozenset({PENDING, "delivered", "rejected"})}
"""What an operator may turn a listed effect into."""


class EffectState(msgspec.Struct, frozen=True):
    """The mutable part of an effect: state letter, attempts that failed, since when (0: as decided), and why."""

    state: str = "p"
    attempts: int = 0
    at_ms: int = 0
    since_ms: int = 0
    reason: str = ""


def destination(effect: Effect) -> str:
    """The destination class as the outbox names it; a `|` would break the name of the queue."""
    return effect.dest.replace("|", "_")


def place(effect: Effect) -> str:
    """`channel/dest`, under which unsettled effects and parked contacts are counted."""
    return f"{effect.channel}/{destination(effect)}"


def queue_name(effect: Effect) -> str:
    """`channel:lane:dest|map`: effects of one queue are served in order, queues take turns."""
    return f"{effect.channel}:{effect.lane}:{destination(effect)}|{effect.map}"


def first_ms(effect: Effect) -> int:
    """When an effect first became pending."""
    return max(effect.decided_ms, effect.due_ms) if effect.not_before_ms else effect.decided_ms


def effect_value(effect: Effect, queue: bytes) -> bytes:
    """The value in the table of effects."""
    contact = effect.contact.encode()
    return _HEAD.pack(len(contact), len(queue), first_ms(effect)) + contact + queue + encode(effect)


def effect_of(value: bytes) -> Effect:
    """The effect of a value."""
    contact_length, queue_length, _ = _HEAD.unpack_from(value)
    return decode_effect(memoryview(value)[_HEAD.size + contact_length + queue_length :])


def state_of(text: bytes | None) -> EffectState:
    """The state of a state's text; None stands for an effect that was never tried."""
    if text is None:
        return EffectState()
    state, _, attempts, at_ms, _, since_ms, reason = text.decode().split(" ", 6)
    return EffectState(state, int(attempts), int(at_ms), int(since_ms), reason)
