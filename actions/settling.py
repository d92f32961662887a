"""From a provider's result to the effect's next state. Pure: the rules of retries, dead letters and delivery modes in one function.

| result | at_most_once | at_least_once |
|---|---|---|
| delivered | delivered, reported where it brings facts, and to entities | the same |
| rejected | rejected, reported | rejected, reported |
| deferred | deferred until the next attempt, reported where it brings facts; or dead and reported when its attempts or its life are over | the same |
| unknown | unknown: listed, never sent again unasked; reported where the provider says something of it | as deferred: sent again with the same id |
| credentials | deferred, uncounted | deferred, uncounted |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actions.providers.provider import CREDENTIALS, DELIVERED, REJECTED, UNKNOWN, Result
from actions.retry import next_attempt_ms
from engine.config import Config
from engine.core.partitioning import ENTITY
from engine.ports import Claim, Settle


def settle_of(claim: Claim, result: Result, now_ms: int, config: Config, *, once: bool) -> Settle:
    """What is written for one claim. `once` is at_most_once."""
    if result.state == DELIVERED:
        return Settle(claim=claim, state="delivered", report=bool(result.data.get("events")) or claim.effect.contact[:1] == ENTITY, data=result.data)
    if result.state == REJECTED:
        return Settle(claim=claim, state="rejected", reason=result.reason, report=True, data=result.data)
    if result.state == UNKNOWN and once:
        return Settle(claim=claim, state="unknown", reason=result.reason, report=bool(result.data), data=result.data)
    effect, first_ms = claim.effect, claim.first_ms or claim.effect.decided_ms
    if result.state == CREDENTIALS:
        due_ms = now_ms + config.credentials_retry_ms
        return _deferred(claim, result, due_ms if due_ms <= first_ms + config.effect_life_ms else 0, attempted=False)
    if not result.counts:
        due_ms = now_ms + min(config.retry_ms_max, max(config.retry_ms_min, result.retry_after_ms))
        return _deferred(claim, result, due_ms if due_ms <= first_ms + config.effect_life_ms else 0, attempted=False)
    due_ms = next_attempt_ms(effect.id, claim.attempt, first_ms, now_ms, result.retry_after_ms, config)
    return _deferred(claim, result, due_ms, attempted=True)


def dead(claim: Claim, reason: str, data: Mapping[str, Any] | None = None) -> Settle:
    """A dead letter: the map may branch on it, and an operator may replay it."""
    return Settle(claim=claim, state="dead", reason=reason, report=True, data=dict(data or {}))


def _deferred(claim: Claim, result: Result, due_ms: int, *, attempted: bool) -> Settle:
    """Deferred until `due_ms`, dead where that is 0."""
    if not due_ms:
        return dead(claim, result.reason, result.data)
    report = bool(result.data.get("events"))
    return Settle(claim=claim, state="deferred", reason=result.reason, due_ms=due_ms, attempted=attempted, report=report, data=result.data)
