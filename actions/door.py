"""The pool's door: what limits.yaml forbids about a message that is rendered and not yet marked.

It was judged when its effect was decided; since then a list may have been published, and a queue may have lasted into the quiet hours. So it
is judged again, by the newest limits. Consent and withdrawal are the guard's, which marking asks.
"""

from __future__ import annotations

from actions.limits import Limits
from actions.providers.provider import Dispatch
from engine.core.effects import BULK
from engine.core.local_time import zone
from engine.core.quiet import Quiet, opening, spread
from engine.core.suppression import is_suppressed
from engine.ports import Claim, Settle


def turned_back(claim: Claim, dispatch: Dispatch, limits: Limits, now_ms: int) -> Settle | None:
    """What becomes of a message that may not go now; None where it may."""
    to = getattr(dispatch.message, "to", None)
    if limits.suppressed and isinstance(to, str) and is_suppressed(limits.suppressed, to):
        return Settle(claim=claim, state="suppressed", reason="suppression list")
    if limits.quiet is not None and claim.effect.lane == BULK:
        due_ms = _after(claim, limits.quiet, limits, now_ms)
        if due_ms:
            return Settle(claim=claim, state="deferred", reason="quiet hours", due_ms=due_ms, attempted=False)
    return None


def _after(claim: Claim, quiet: Quiet, limits: Limits, now_ms: int) -> int:
    """When a message goes out that stands in the quiet hours of its contact; 0: it is not quiet there."""
    local = zone(claim.effect.timezone or limits.timezone) or zone(limits.timezone)
    assert local is not None, "reading the limits has checked their zone"
    ends_ms = opening(now_ms, quiet, local)
    return ends_ms and ends_ms + spread(claim.effect.contact, ends_ms, quiet, local)
