"""The health of a channel: how much of what it sent bounced or was complained about lately; past a limit it pauses itself.

Pools count what they send and what is refused at once, gateways what comes back later, all in one tally of storage, so every process sees the
same figures. To pause is to press the red button with a reason: pools stop claiming within a second, nothing is burnt, and it stays so until
somebody resumes sending. Promotional mail alone is held, unless limits.yaml says otherwise: a password reset harms no reputation.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog

from actions.bounces import BAD, HARD
from actions.feedback import Heard
from actions.settler import PoolBatch
from engine.core.errors import Unavailable, WayfareError
from engine.core.sender_care import Health
from engine.ports import Outbox, Tallies

SENT, BOUNCED, COMPLAINED = "sent", "bounced", "complained"

log = structlog.get_logger(__name__)


def why_paused(limit: Health, held: Mapping[str, int]) -> str:
    """Why a channel must pause, given what its window holds; "" where it need not."""
    sent = held.get(SENT, 0)
    if sent < limit.least:
        return ""
    for name, what, most in (("bounced", BOUNCED, limit.bounces), ("were complained about", COMPLAINED, limit.complaints)):
        count = held.get(what, 0)
        if count > most * sent:
            return f"{count} of {sent} messages {name} within {limit.window_ms // 60_000} minutes: {count / sent:.2%}, and the limit is {most:.2%}"
    return ""


class HealthWatch:
    """Counts for one channel, in a pool's process; `look` is called about twice a second."""

    def __init__(self, channel: str, tallies: Tallies, outbox: Outbox, audit: Callable[[dict[str, Any]], Awaitable[None]], clock: Callable[[], int]) -> None:
        self.limit: Health | None = None
        self._channel, self._tallies, self._outbox, self._audit, self._clock = channel, tallies, outbox, audit, clock
        self._counts: dict[str, int] = {}

    def observe(self, batch: PoolBatch) -> None:
        """One settled batch."""
        if self.limit is not None and (sent := batch.outcomes.get("delivered", 0) + batch.bounced):
            self._counts[SENT] = self._counts.get(SENT, 0) + sent
            if batch.bounced:
                self._counts[BOUNCED] = self._counts.get(BOUNCED, 0) + batch.bounced

    async def look(self) -> None:
        """Tell what was counted, and pause the channel where the whole of it is too much. Never raises for storage."""
        if self.limit is None:
            self._counts = {}
            return
        counts, self._counts = self._counts, {}
        try:
            if why_paused(self.limit, await self._tallies.add(self._channel, counts, self.limit.window_ms)):
                await self._pause(self.limit)
        except Unavailable:
            for what, count in counts.items():
                self._counts[what] = self._counts.get(what, 0) + count
        except WayfareError as error:  # they may have been counted: once is better than twice
            log.warning("the health of a channel could not be looked at", channel=self._channel, error=str(error))

    async def _pause(self, limit: Health) -> None:
        what = f"channel:{self._channel}" if limit.everything else f"promotional:{self._channel}"
        if what in await self._outbox.stopped():
            return
        # Somebody may have resumed a moment ago, who forgot the tally first: so it is asked after it is known that nothing is stopped.
        why = why_paused(limit, await self._tallies.add(self._channel, {}, limit.window_ms))
        if not why:
            return
        await self._outbox.stop(what, stopped=True, reason=why)
        log.error("sending is paused", what=what, reason=why, remedy=f"see what is sent to whom, then `wayfare resume-sending --channel {self._channel}`")
        await self._audit({"at_ms": self._clock(), "who": "pool", "what": "stop sending", "stopped": what, "reason": why})


async def tally_heard(tallies: Tallies, notices: Sequence[Heard]) -> None:
    """Count the bounces and complaints among what was heard. Never raises for storage: their records are in the log."""
    counts: dict[str, int] = {}
    for heard in notices:
        if what := _counted(heard):
            counts[what] = counts.get(what, 0) + 1
    if not counts:
        return
    try:
        await tallies.add("email", counts)
    except WayfareError as error:
        log.warning("bounces and complaints could not be counted", error=str(error))


def _counted(heard: Heard) -> str:
    if heard.status == "complained" or heard.event == "email.complained":
        return COMPLAINED
    if heard.status == "bounced" or heard.event == "email.bounced":
        return BOUNCED if heard.data.get("class", HARD) in BAD else ""
    return ""
