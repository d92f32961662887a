"""Moves of effects in the memory twin: the same functions as `lua/effects.lua`, each keeping the counters exact."""

from __future__ import annotations

from collections import deque

from engine.core.effects import Effect
from engine.storage.effect_values import CLAIMED, DEAD, DEFERRED, MARKED, PENDING, UNKNOWN, place, queue_name
from engine.storage.memory_partition import Held, Partition


def gauge(state: str) -> str:
    """The counter that an effect of this state stands in: claimed, marked and deferred ones are pending still."""
    return PENDING if state in (CLAIMED, MARKED, DEFERRED) else state


def decide(where: Partition, effect: Effect) -> None:
    """A new effect: into its queue, or deferred until its `due_ms`."""
    held = Held(effect, DEFERRED if effect.not_before_ms else PENDING)
    held.deadline_ms = effect.due_ms
    where.effects[effect.id] = held
    where.fx[effect.channel, "decided"] += 1
    where.fx[effect.channel, PENDING] += 1
    where.depth[place(effect)] += 1
    if not effect.not_before_ms:
        _join_queue(where, effect, front=False)


def withdraw(where: Partition, effect_id: str) -> None:
    """No provider may be handed it any more: gone at once, or, in a pool's hands, not when it would come back."""
    held = where.effects.get(effect_id)
    if held is None:
        return
    if held.state in (PENDING, DEFERRED, DEAD):
        drop(where, held, "withdrawn")
    else:
        held.flag = True


def drop(where: Partition, held: Held, into: str) -> None:
    """End an effect: out of the table, counted as `into`. Its id stays in the queue and is passed over there."""
    _recount(where, held, into)
    del where.effects[held.effect.id]


def enqueue(where: Partition, held: Held, *, front: bool) -> None:
    """Put an effect (back) into its queue, unless it was withdrawn in the meantime."""
    if held.flag:
        drop(where, held, "withdrawn")
        return
    _recount(where, held, PENDING)
    held.state, held.token, held.deadline_ms, held.reason = PENDING, "", 0, ""
    _join_queue(where, held.effect, front=front)


def enlist(where: Partition, held: Held, state: str, now_ms: int, most: int) -> None:
    """List an effect as dead or unknown; beyond `most` listed ones the oldest is dropped."""
    _recount(where, held, state)
    held.state, held.at_ms = state, now_ms
    where.listed[state][held.effect.id] = None
    if len(where.listed[state]) > most:
        drop(where, where.effects[next(iter(where.listed[state]))], "dropped")


def defer(where: Partition, held: Held, due_ms: int) -> None:
    """Let an effect wait until a time."""
    _recount(where, held, DEFERRED)
    held.state, held.token, held.deadline_ms = DEFERRED, "", due_ms


def _recount(where: Partition, held: Held, into: str) -> None:
    """Move an effect between counters, and out of the listing that it stood in."""
    effect = held.effect
    if held.state in (DEAD, UNKNOWN):
        where.listed[held.state].pop(effect.id)
    before, after = gauge(held.state), gauge(into)
    where.fx[effect.channel, before] -= 1
    where.fx[effect.channel, after] += 1
    where.depth[place(effect)] += (after == PENDING) - (before == PENDING)


def _join_queue(where: Partition, effect: Effect, *, front: bool) -> None:
    name = queue_name(effect)
    queue = where.queues.get(name)
    if queue is None:
        queue = where.queues[name] = deque()
        where.rings.setdefault((effect.channel, effect.lane), deque()).append(name)
    if front:
        queue.appendleft(effect.id)
    else:
        queue.append(effect.id)
