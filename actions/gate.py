"""Who may go now: messages in flight by destination, breakers, throttles, and limits, for one channel.

The gate says to storage what not to hand out (`closed`) and how much of what (`room`); what came all the same, because a destination was
new, is turned back by `admit`. So one slow or dead destination holds at most `in_flight_per_host_max` places and never the others'.
"""

from __future__ import annotations

from collections.abc import Sequence

from actions.breaker import CLOSED, OPEN, PROBING, Breakers
from actions.limits import Tokens
from actions.providers.provider import CHANNEL, CREDENTIALS, DELIVERED, DEST, REJECTED, Result
from actions.throttle import Throttles
from engine.config import Config
from engine.ports import Claim

WHOLE = "*"  # the breaker of the channel itself


class Gate:
    """The places of one channel; `use` says under which limits and for which provider."""

    def __init__(self, config: Config) -> None:
        self.in_flight = 0
        self._config = config
        self._places: dict[str, int] = {}

    def use(self, tokens: Tokens, *, per_host: int, in_flight_max: int) -> None:
        """Go on with other tokens. `per_host` is 0 where destinations are not hosts of their own; every breaker and throttle starts anew."""
        self.tokens = tokens
        self._per_host = per_host
        self._in_flight_max = in_flight_max
        self.breakers = Breakers(self._config.breaker_failures, self._config.breaker_open_ms, self._config.destinations_max)
        self.throttles = Throttles(tokens.limits.throttled, self._config.throttle_hold_ms)

    def most(self, now_ms: int) -> int:
        """How many may be claimed now; 0 while the channel is open-circuited, closed by a limit, or full."""
        state = self.breakers.state(WHOLE, now_ms)
        if state == OPEN or self.tokens.wait_ms(""):
            return 0
        if state == PROBING:
            return max(0, 1 - self.in_flight)
        return max(0, min(self._config.claim_effects_max, self._in_flight_max - self.in_flight))

    def room(self, now_ms: int) -> dict[str, int]:
        """How many more each destination takes, for those that don't take any number; 0 is closed."""
        room = {dest: self._per_host - places for dest, places in self._places.items()} if self._per_host else {}
        for dest in self.tokens.limited():
            most = 0 if self.tokens.wait_ms(dest) else (self.tokens.slice(dest) or self._config.claim_effects_max)
            room[dest] = min(most, room.get(dest, self._per_host or most))
        for dest, places in self.throttles.room(now_ms):
            room[dest] = min(places, room.get(dest, self._per_host or places))
        for dest, state in self.breakers.not_closed(now_ms):
            if dest != WHOLE:
                room[dest] = 1 - self._places.get(dest, 0) if state == PROBING else 0
        return room

    async def admit(self, claims: Sequence[Claim], now_ms: int) -> tuple[list[Claim], list[Claim]]:
        """(those that may go, those that must be given back); each that may go has its place and its tokens."""
        room = self.room(now_ms)
        queues: dict[str, list[Claim]] = {}
        for claim in claims:
            queues.setdefault(claim.effect.dest, []).append(claim)
        admitted: list[Claim] = []
        excess: list[Claim] = []
        for dest, queue in queues.items():
            most = max(0, min(len(queue), room.get(dest, self._per_host or len(queue))))
            if dest:
                most = await self._spend(dest, self.throttles.take(dest, most, now_ms))
                self.throttles.sent(dest, most, now_ms)
            admitted += queue[:most]
            excess += queue[most:]
        for claim in admitted:
            self._places[claim.effect.dest] = self._places.get(claim.effect.dest, 0) + 1
        self.in_flight += len(admitted)
        return admitted, excess

    async def _spend(self, dest: str, want: int) -> int:
        """Tokens of one destination: its rate, and its day."""
        taken = await self.tokens.take(dest, want)
        granted = await self.tokens.take_day(dest, taken)
        self.tokens.give_back(dest, taken - granted)
        return granted

    def leave(self, claim: Claim) -> None:
        """A claim was refused or given back: it holds nothing any more."""
        self.answered(claim)
        self.settled()

    def settled(self) -> None:
        """A result is written: there is room for another claim."""
        self.in_flight -= 1

    def answered(self, claim: Claim) -> None:
        """The provider has answered, or will not be asked: its destination takes another one while the result is being written."""
        dest = claim.effect.dest
        self._places[dest] -= 1
        if not self._places[dest]:
            del self._places[dest]

    def heard(self, dest: str, result: Result, now_ms: int) -> tuple[str, str]:
        """Tell the throttles and the breakers; (opened | closed | paused | slowed | "", whose) for the log.

        A delivery or a rejection is an answer, so whoever gave it is well. A deferral of one message says nothing about others.
        """
        if result.state in {DELIVERED, REJECTED}:
            closed = [whose for whose in (dest, WHOLE) if self.breakers.succeeded(whose)]
            return ("closed", closed[-1]) if closed else ("", "")
        slowed = result.slow and self.throttles.slow_down(dest, now_ms) > 0
        if result.state == CREDENTIALS:
            refusing = dest if result.blames == DEST else WHOLE  # a site of its own refuses us for itself alone
            return ("paused", refusing) if self.breakers.trip(refusing, now_ms + self._config.credentials_retry_ms) else ("", "")
        whose = {CHANNEL: WHOLE, DEST: dest}.get(result.blames)
        if whose is not None:
            first = self.breakers.state(whose, now_ms) == CLOSED
            if self.breakers.failed(whose, now_ms) and first:
                return "opened", whose
        return ("slowed", dest) if slowed else ("", "")
