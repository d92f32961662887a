"""Sends: what stands between an action and its effect: the address, consent, suppression, room in the outbox, caps and quiet hours.

Only promotional sends are capped and held by quiet hours; what is held back goes out at `not_before`, or is skipped where a
cap says so. The same consent is asked again by the guard, at the provider's door.
"""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.core.effects import BULK, TRANSACTIONAL, Effect, effect_id
from engine.core.leaving import SENT_MAX
from engine.core.local_time import iso, next_opening, zone_of

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
    if suppressed and (send.to.lower() in suppressed or send.to.lower().partition("@")[2] in suppressed):
        return "suppression list"
    return ""


def _held(turn: CoreTurn, channel: str) -> tuple[int, str]:
    """Until when caps and quiet hours hold a promotional send (0: not at all), or why it is skipped."""
    workspace, contact, now = turn.workspace, turn.contact, turn.now_ms
    caps = workspace.caps.get(channel, ())
    quiet = workspace.quiet_hours.get(channel)
    when = now
    for _ in range(_ROUNDS):
        before = when
        for cap in caps:
            times = [time for time in contact.sends.get(channel, ()) if time > when - cap.per_ms]
            if len(times) >= cap.at_most:
                if cap.skip:
                    return 0, f"cap: {channel}, {cap.at_most} per {cap.per}"
                when = times[-cap.at_most] + cap.per_ms
        if quiet is not None:
            # outside the quiet hours is inside the window from their end to their start
            when = next_opening(when, quiet[1], quiet[0], (), zone_of(contact.fields, workspace.zone)) or when
        if when == before:
            break
    if caps:
        times = contact.sends.setdefault(channel, [])
        insort(times, when)
        oldest = now - max(cap.per_ms for cap in caps)
        contact.sends[channel] = [time for time in times if time > oldest][-max(cap.at_most for cap in caps) :]
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
        enrollment.sent = [*enrollment.sent[1 - SENT_MAX :], (turn.position.number, hop, ordinal)]
    turn.decide(effect, {"not_before": iso(not_before)} if not_before else {}, quiet=send.quiet)
