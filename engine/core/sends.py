"""Sends: what stands between an action and its effect: the address, consent, suppression, room in the outbox, caps and quiet hours.

Only promotional sends are capped and held by quiet hours; what is held back goes out at `not_before`, or is skipped where a
cap says so. The same consent is asked again by the guard, at the provider's door, and suppression and quiet hours by the pool.

What is held until one hour must not come at once: it becomes due a share of the spread after `not_before` (see quiet.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from engine.core import caps
from engine.core.effects import BULK, TRANSACTIONAL, Effect, effect_id
from engine.core.leaving import SENT_MAX
from engine.core.local_time import iso, zone_of
from engine.core.quiet import opening, spread
from engine.core.sender_care import domain_of
from engine.core.suppression import is_suppressed

if TYPE_CHECKING:
    from engine.core.turn import CoreTurn

_ROUNDS = 8  # a cap and quiet hours may push each other on; then the time found stands


class Send(NamedTuple):
    """What an action wants sent; the arguments of `Turn.emit`."""

    channel: str
    params: dict[str, Any]
    consent: str
    transactional: bool
    to: str
    missing: str
    dest: str
    quiet: bool


def emit(turn: CoreTurn, send: Send) -> bool:
    """Decide an effect; False where it was suppressed, or the position parked because its outbox is full."""
    domains = turn.workspace.mail_domains
    if domains and send.channel == "email" and not send.dest and (domain := domain_of(send.to)) in domains:
        send = send._replace(dest=domain)
    place = f"{send.channel}/{send.dest}"
    if place in turn.full and send.channel == turn.kind_channel and not turn.ordinal and not turn.halted:
        turn.park(turn.enrollment, turn.position, f"channel_full:{place}")
        turn.changes.parked.append((place, turn.contact.id))
        return False
    reason = refusal(turn, send)
    not_before = 0
    if not reason and not send.transactional:
        not_before, reason = _held(turn, send.channel)
    if reason:
        turn.suppress(reason)
        turn.ordinal += 1
        return False
    _decide(turn, send, not_before)
    return True


def refusal(turn: CoreTurn, send: Send) -> str:
    """Why nothing may be sent, "" where it may."""
    workspace = turn.workspace
    if not send.to and send.missing:
        return send.missing
    if send.consent:
        status = turn.contact.consent.get(send.consent) or workspace.default_consent.get(send.consent, "unsubscribed")
        if status != "subscribed" and not (send.transactional and status == "transactional_only"):
            return f"{send.consent}: {status}"
    suppressed = workspace.suppressed.get(send.channel)
    if suppressed and is_suppressed(suppressed, send.to):
        return "suppression list"
    return ""


def _held(turn: CoreTurn, channel: str) -> tuple[int, str]:
    """Until when caps and quiet hours hold a promotional send (0: not at all), or why it is skipped."""
    workspace, contact, now = turn.workspace, turn.contact, turn.now_ms
    of_channel = workspace.caps.get(channel, ())
    quiet = workspace.quiet_hours.get(channel)
    when = now
    for _ in range(_ROUNDS):
        before = when
        if of_channel:
            when, skips = caps.room(contact, channel, of_channel, when)
            if skips is not None:
                return 0, f"cap: {channel}, {skips.at_most} per {skips.per}"
        if quiet is not None:
            when = opening(when, quiet, zone_of(contact.fields, workspace.zone)) or when
        if when == before:
            break
    if of_channel:
        caps.count(contact, channel, of_channel, when, now)
    return (when if when > now else 0), ""


def _decide(turn: CoreTurn, send: Send, not_before: int) -> None:
    contact, enrollment, owner = turn.contact, turn.enrollment, turn.map
    ordinal = turn.ordinal
    turn.ordinal += 1
    hop = enrollment.hops
    effect = Effect(
        effect_id(contact.id, contact.born, enrollment.number, hop, ordinal),
        contact.id,
        turn.kind,
        send.channel,
        TRANSACTIONAL if send.transactional else BULK,
        send.dest,
        owner.id,
        owner.version,
        owner.ids[turn.position.at],
        enrollment.number,
        hop,
        ordinal,
        turn.workspace.number,
        turn.now_ms,
        send.params,
        not_before,
        send.consent,
    )
    if not send.transactional:
        _remember(turn, effect)
        enrollment.sent = [*enrollment.sent[1 - SENT_MAX :], (turn.position.number, hop, ordinal)]
    turn.decide(effect, {"not_before": iso(not_before)} if not_before else {}, quiet=send.quiet)


def _remember(turn: CoreTurn, effect: Effect) -> None:
    """What a promotional effect needs that may wait: when it is due, the zone of its quiet hours, and its place in the caps, should it be withdrawn."""
    contact, workspace = turn.contact, turn.workspace
    quiet = workspace.quiet_hours.get(effect.channel)
    if quiet is not None:
        zone = contact.fields.get("timezone")
        effect.timezone = zone if isinstance(zone, str) else ""
        if effect.not_before_ms:
            effect.spread_ms = spread(contact.id, effect.not_before_ms, quiet, zone_of(contact.fields, workspace.zone))
    if effect.not_before_ms and workspace.caps.get(effect.channel):
        caps.hold(contact, effect.id, effect.channel, effect.not_before_ms, turn.now_ms)
