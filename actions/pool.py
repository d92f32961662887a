"""The pool of one channel: claims effects, spends budget, renders, marks, hands to the provider, settles.

Invariants. Nothing is handed to a provider that is not marked, and nothing is marked (at most 64 at a time, and no more than the provider
can have under way) that is not handed over at once. Every claim ends in exactly one of: settled, refused by the mark, released. A message in flight holds a place at the gate until it is
settled, so memory is bounded by `in_flight_max`. A fault of one effect is that effect's result, never the pool's end. A pool that was
frozen after its mark looks at the clock before it sends: what it holds may belong to somebody else by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog

from actions.door import turned_back
from actions.gate import WHOLE, Gate
from actions.limits import Limits, Tokens
from actions.messages import Message
from actions.providers.provider import DEFERRED, UNKNOWN, Dispatch, Provider, Report, Result, clean
from actions.settler import FAULT_WAIT_MS, PoolBatch, Settler
from actions.settling import dead, settle_of
from engine.config import Config
from engine.core.effects import Effect
from engine.core.errors import Unavailable, WayfareError
from engine.core.partitioning import ENTITY
from engine.ports import Budget, Claim, Outbox

PROBE_CLAIMS = 16  # claimed without tokens in hand, when no backlog is known
MARK_TRIES = 3
KEY_FORGOTTEN = "an earlier attempt may have been accepted, and its key is no longer remembered: look there, and resolve it"

log = structlog.get_logger(__name__)


class Pool:
    """One channel over the ports, with any provider. `workspace_of` compiles a snapshot (None: it is gone); `clock` is epoch milliseconds.

    `compose` makes the messages of entities' effects, such as a fulfillment list's, for which storage must be read.
    """

    def __init__(
        self,
        channel: str,
        outbox: Outbox,
        budget: Budget,
        provider: Provider | None,
        workspace_of: Callable[[int], Awaitable[Any]],
        config: Config,
        clock: Callable[[], int],
        *,
        limits: Limits,
        owner: str,
        render: Callable[[Effect, Any], Message],
        compose: Callable[[Effect, Any], Awaitable[Message]] | None = None,
        partitions: Sequence[int] = (),
        observe: Callable[[PoolBatch], None] | None = None,
    ) -> None:
        self.channel = channel
        self._outbox = outbox
        self._budget = budget
        self._workspace_of = workspace_of
        self._config = config
        self._clock = clock
        self._owner = owner
        self._render = render
        self._compose = compose
        self._partitions = list(partitions) or list(range(config.partitions))
        self._backlog = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._freed = asyncio.Event()  # places became free, or there is another provider, or it is time to stop
        self._gate = Gate(config)
        self._settler = Settler(channel, outbox, config, clock, self._gate, self._freed, observe)
        self.use(provider, limits)

    def use(self, provider: Provider | None, limits: Limits) -> None:
        """Go on with another provider and other limits (None: claim nothing). What is under way ends with the old ones."""
        if provider is not None:
            provider.start()
        self.provider = provider
        self.limits = limits
        self._idle_ms_max = self._config.idle_ms_max if provider and not provider.patient else self._config.patient_idle_ms_max
        self._settler.provider = provider.name if provider else ""
        per_host = self._config.in_flight_per_host_max if provider and provider.by_host else 0
        most = self._config.gathered_effects_max if provider and provider.gathers else self._config.in_flight_max
        at_once = min(provider.at_once, most) if provider else 1
        self._batch = max(1, min(self._config.mark_effects_max, at_once // 2))  # half: while one is on the wire, the next is being marked
        self._wire = asyncio.Semaphore(max(1, at_once // self._batch))
        self._gate.use(Tokens(limits, self._budget, self._clock), per_host=per_host, in_flight_max=min(most, provider.in_flight_max) if provider else 0)
        self._freed.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`; then end what was handed over, settle it, and give back the rest."""
        settler = asyncio.create_task(self._settler.run())
        stopping = asyncio.create_task(self._wake(stop))
        try:
            await self._turns(stop)
            await self.settled()
        finally:
            settler.cancel()
            stopping.cancel()

    async def _wake(self, stop: asyncio.Event) -> None:
        """End a pause when `stop` comes: one may last seconds."""
        await stop.wait()
        self._freed.set()

    async def _turns(self, stop: asyncio.Event) -> None:
        idle_ms = self._config.idle_ms_min
        while True:
            self._freed.clear()  # before the turn: what comes free during it must not be missed
            if stop.is_set():
                return
            try:
                busy = await self.turn()
            except Unavailable as error:
                log.warning("storage is away", channel=self.channel, error=str(error))
                await _pause(FAULT_WAIT_MS, stop)
                continue
            idle_ms = self._config.idle_ms_min if busy else min(self._idle_ms_max, idle_ms * 2)
            if not busy:
                await _pause(idle_ms, self._freed)
            elif not self._backlog:
                await _pause(self._config.claim_wait_ms, stop)

    async def turn(self) -> bool:
        """Claim once and start sending; whether there may be more at once. Raises Unavailable."""
        now_ms, gate = self._clock(), self._gate
        most = gate.most(now_ms)
        if not most or self.provider is None:
            return False
        first = gate.tokens.slice("")
        if first:
            most = await gate.tokens.take("", most) if self._backlog else min(most, first, PROBE_CLAIMS)
        if not most:
            self._settler.limited_ms += gate.tokens.wait_ms("")
            return False
        held = most if first and self._backlog else 0
        room = gate.room(now_ms)
        closed = [dest for dest, places in room.items() if places <= 0]
        self._partitions.append(self._partitions.pop(0))  # a small claim must not always go to the same partition
        claims = await self._outbox.claim(
            self.channel,
            self._partitions,
            self._owner,
            most,
            self._config.claim_lease_ms,
            {dest: places for dest, places in room.items() if places > 0},
            closed,
        )
        self._backlog = len(claims) >= most
        await self._start(claims, held)
        return bool(claims)

    async def settled(self) -> None:
        """Wait until everything that was claimed has been sent and settled."""
        while self._tasks or self._settler.waiting:
            await asyncio.gather(*self._tasks)
            await self._settler.flush()
        await self._settler.flush()

    async def _start(self, claims: list[Claim], held: int) -> None:
        """Admit what may go and send it in tasks of its own; release the rest. `held` tokens were taken beforehand."""
        tokens = self._gate.tokens
        taken = held or await tokens.take("", len(claims))  # first, since a day's allowance that a destination gives can't be given back
        admitted, excess = await self._gate.admit(claims[:taken], self._clock()) if claims else ([], [])
        granted = await tokens.take_day("", len(admitted))
        tokens.give_back("", taken - granted)
        for claim in admitted[granted:]:
            self._gate.leave(claim)
        excess += admitted[granted:] + claims[taken:]
        size = self._batch
        for start in range(0, granted, size):
            task = asyncio.create_task(self._deliver(admitted[start : min(granted, start + size)]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if excess:
            await self._outbox.release(excess)

    async def _deliver(self, claims: list[Claim]) -> None:
        """Render, mark and send up to 64 claims; each ends refused, released or in the settler."""
        provider, once, wire = self.provider, self.limits.once, self._wire
        try:
            workspaces = {number: await self._workspace(number) for number in {claim.effect.snapshot for claim in claims}}
            composed = {claim.effect.id: await self._composed(claim.effect, workspaces) for claim in claims if claim.effect.contact[:1] == ENTITY}
        except Unavailable:
            provider = None
        if provider is None:
            await self._give_back(claims)
            return
        dispatches = self._rendered(claims, workspaces, composed)
        async with wire:
            await self._hand_over(provider, dispatches, once=once)

    async def _hand_over(self, provider: Provider, dispatches: list[tuple[Claim, Dispatch]], *, once: bool) -> None:
        """Mark and send at once, but for what may not go now."""
        if self.limits.suppressed or self.limits.quiet is not None:
            dispatches = self._let_through(dispatches)
        asked_ms = self._clock()
        going = await self._marked([claim for claim, _ in dispatches], once=once)
        sent_ms = self._clock()
        left = {claim.effect.id: claim for claim, _ in dispatches if claim.effect.id in going}
        for claim in [] if once else [claim for claim in left.values() if self._is_forgotten(claim, provider, sent_ms)]:
            self._hear(left.pop(claim.effect.id), Result(state=UNKNOWN, reason=KEY_FORGOTTEN), 0, once=True)
        batch = [dispatch for claim, dispatch in dispatches if claim.effect.id in left]

        def report(dispatch: Dispatch, result: Result) -> None:
            claim = left.pop(dispatch.effect.id, None)
            if claim is not None:
                self._hear(claim, result, sent_ms, once=once)

        rest = await self._send(provider, batch, report, late=sent_ms - asked_ms > self._config.claim_lease_ms - self._config.send_timeout_ms)
        for dispatch in batch:
            report(dispatch, rest)

    def _is_forgotten(self, claim: Claim, provider: Provider, now_ms: int) -> bool:
        """Whether an earlier attempt may have been accepted under a key that the provider may no longer remember."""
        age_ms = now_ms - (claim.first_ms or claim.effect.decided_ms)
        return claim.attempt > 1 and 0 < provider.key_life_ms < age_ms + self._config.send_timeout_ms

    def _let_through(self, dispatches: list[tuple[Claim, Dispatch]]) -> list[tuple[Claim, Dispatch]]:
        """Those that limits.yaml, as it is now, lets go; the others are settled."""
        now_ms, going = self._clock(), []
        for claim, dispatch in dispatches:
            settle = turned_back(claim, dispatch, self.limits, now_ms)
            if settle is None:
                going.append((claim, dispatch))
            else:
                self._settler.add(settle)
        return going

    async def _send(self, provider: Provider, batch: list[Dispatch], report: Report, *, late: bool) -> Result:
        """Hand over; the result for those that the provider did not report. `late`: so much time passed that nothing may be sent."""
        if late:
            return Result(state=DEFERRED, reason="not sent: the pool stood still, and its lease may be over", counts=False)
        try:
            if batch:
                await provider.send(batch, report)
        except Exception as error:
            log.exception("a provider failed", channel=self.channel, provider=provider.name)
            return Result(state=UNKNOWN, reason=clean(f"{type(error).__name__}: {error}"))
        return Result(state=UNKNOWN, reason="the provider did not say what became of it")

    async def _workspace(self, number: int) -> Any:
        """A compiled snapshot, or the fault that keeps it from being used. Raises Unavailable."""
        try:
            return await self._workspace_of(number) or WayfareError(f"snapshot {number} of the workspace is gone")
        except Unavailable:
            raise
        except Exception as error:
            log.exception("a snapshot cannot be compiled", channel=self.channel, snapshot=number)
            return error

    async def _composed(self, effect: Effect, workspaces: Mapping[int, Any]) -> Message | Exception:
        """The message of an entity's effect, or the fault that it cannot be made for. Raises Unavailable."""
        workspace = workspaces[effect.snapshot]
        if self._compose is None or isinstance(workspace, Exception):
            return WayfareError("nobody here writes the messages of entities") if self._compose is None else workspace
        try:
            return await self._compose(effect, workspace)
        except Unavailable:
            raise
        except Exception as error:
            if not isinstance(error, WayfareError):
                log.exception("a message could not be composed", channel=self.channel, effect=effect.id, action=effect.kind)
            return error

    def _rendered(self, claims: list[Claim], workspaces: Mapping[int, Any], composed: Mapping[str, Message | Exception]) -> list[tuple[Claim, Dispatch]]:
        """Each claim with its message; what can't be rendered is dead, with its reason."""
        dispatches = []
        for claim in claims:
            effect, workspace = claim.effect, workspaces[claim.effect.snapshot]
            try:
                if isinstance(workspace, Exception):
                    raise workspace
                message = composed.get(effect.id) or self._render(effect, workspace)
                if isinstance(message, Exception):
                    raise message
                dispatches.append((claim, Dispatch(effect, message, claim.attempt)))
            except WayfareError as fault:
                self._settler.add(dead(claim, clean(f"can't be rendered: {fault}")))
            except Exception as error:
                log.exception("an action failed to render", channel=self.channel, effect=effect.id, action=effect.kind)
                self._settler.add(dead(claim, clean(f"can't be rendered: {type(error).__name__}: {error}")))
        return dispatches

    async def _marked(self, claims: list[Claim], *, once: bool) -> set[str]:
        """The ids that may be sent; the others are settled by the mark, or are no longer ours."""
        if not claims:
            return set()
        for attempt in range(1, MARK_TRIES + 1):
            try:
                answers = await self._outbox.mark(claims, self._config.claim_lease_ms, once=once, defaults=self.limits.consent or None)
                break
            except WayfareError as error:  # marking again with the same token is harmless
                if attempt == MARK_TRIES:
                    log.warning("could not mark", channel=self.channel, error=str(error))
                    never_sent = Result(state=DEFERRED, reason="storage was away before it was sent", counts=False)
                    for claim in claims:
                        self._settler.add(settle_of(claim, never_sent, self._clock(), self._config, once=once))
                    return set()
                await asyncio.sleep(FAULT_WAIT_MS / 1_000)
        for claim, answer in zip(claims, answers, strict=True):
            if answer:
                self._gate.leave(claim)
        return {claim.effect.id for claim, answer in zip(claims, answers, strict=True) if not answer}

    async def _give_back(self, claims: list[Claim]) -> None:
        for claim in claims:
            self._gate.leave(claim)
        try:
            await self._outbox.release(claims)
        except WayfareError as error:
            log.warning("could not give back; the claims run out by themselves", channel=self.channel, error=str(error))

    def _hear(self, claim: Claim, result: Result, sent_ms: int, *, once: bool) -> None:
        """A result: to the breakers, to the settler, and where the channel's state changed to the log, once."""
        now_ms = self._clock()
        what, whose = self._gate.heard(claim.effect.dest, result, now_ms)
        if what == "paused":
            place, wait_ms = self.channel if whose == WHOLE else f"{self.channel}:{whose}", self._config.credentials_retry_ms
            log.error("paused: the provider refuses us", channel=self.channel, destination=place, reason=result.reason, retry_ms=wait_ms)
        elif what == "slowed":
            pace = round(self._gate.throttles.pace(whose, now_ms), 2)
            log.warning("slowing down, as asked", destination=f"{self.channel}:{whose}", per_s=pace, reason=result.reason)
        elif what:
            log.warning("breaker", state=what, destination=self.channel if whose == WHOLE else f"{self.channel}:{whose}", reason=result.reason)
        self._settler.add(settle_of(claim, result, now_ms, self._config, once=once), sent_ms)


async def _pause(wait_ms: int, event: asyncio.Event) -> None:
    """Sleep, or until the event."""
    try:
        async with asyncio.timeout(wait_ms / 1_000):
            await event.wait()
    except TimeoutError:
        pass
