"""The memory twin of the outbox."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from engine.codec import encode
from engine.config import Config
from engine.core.effects import TRANSACTIONAL
from engine.core.errors import WayfareError
from engine.core.guard import ERASED, refusal
from engine.ports import DEFAULT_CONSENT, Claim, Settle
from engine.storage.effect_values import CLAIMED, DEAD, DEFERRED, GONE, MARKED, MOVES, PENDING, RESOLVES, UNKNOWN, first_ms
from engine.storage.listing import add_depths, entry_of, outcome_of, wanted
from engine.storage.memory_effects import defer, drop, enlist, enqueue
from engine.storage.memory_log import append
from engine.storage.memory_partition import Clock, Held, Partition


class MemoryOutbox:
    """Effects after their commit, for pools."""

    def __init__(self, partitions: Sequence[Partition], config: Config, clock: Clock) -> None:
        self._partitions = partitions
        self._config = config
        self._clock = clock
        self._claims = 0

    async def claim(
        self, channel: str, partitions: Sequence[int], owner: str, most: int, lease_ms: int, room: Mapping[str, int], closed: Sequence[str]
    ) -> list[Claim]:
        """Take up to `most` effects, transactional lane first, then queue by queue in turns."""
        self._claims += 1
        token = f"claim.{self._claims}"
        free = dict(room)
        claims: list[Claim] = []
        for number in partitions:
            self._sweep(self._partitions[number], channel)
        waiting = [number for number in partitions if _waits(self._partitions[number], channel)]
        for lane in ("t", "b"):
            for number in waiting:
                where = self._partitions[number]
                for held in self._take(where, channel, lane, most - len(claims), free, closed):
                    held.state, held.token, held.deadline_ms = CLAIMED, token, self._clock() + lease_ms
                    guard = where.guard.get(held.effect.contact, "")
                    claims.append(Claim(number, token, held.attempts + 1, held.effect, guard, held.since_ms or first_ms(held.effect)))
        return claims

    def _sweep(self, where: Partition, channel: str) -> None:
        """Expired claims and due deferred ones become pending again, expired marks unknown."""
        now_ms = self._clock()
        of_channel = [held for held in where.effects.values() if held.effect.channel == channel and held.state in (CLAIMED, MARKED, DEFERRED)]
        due = sorted((held for held in of_channel if held.deadline_ms <= now_ms), key=lambda held: held.deadline_ms)
        for held in due[: self._config.sweep_max]:
            if held.state == MARKED and held.once:
                held.reason = "no result before the lease of its mark ended"
                enlist(where, held, UNKNOWN, now_ms, self._config.dead_letters_max)
            else:
                held.attempts += held.state == MARKED
                enqueue(where, held, front=held.state != DEFERRED)

    def _take(self, where: Partition, channel: str, lane: str, most: int, free: dict[str, int], closed: Sequence[str]) -> list[Held]:
        """Take from the queues of one ring in turns of `claim_quantum`, until `most` or a round without a gain."""
        ring = where.rings.get((channel, lane), deque())
        taken: list[Held] = []
        passed = 0
        if _stopped(where, channel, lane):
            return taken
        for _ in range(self._config.claim_visits_max):
            if len(taken) >= most or not ring or (passed and passed >= len(ring)):
                break
            name = ring.popleft()
            dest, _, map_id = name.split(":", 2)[2].partition("|")
            can = min(self._config.claim_quantum, most - len(taken), free.get(dest, self._config.claim_quantum))
            if dest in closed or f"map:{map_id}" in where.stopped or can <= 0:
                passed += 1
            else:
                passed = 0
                gained = _pop(where, where.queues[name], can)
                taken += gained
                if dest in free:
                    free[dest] -= len(gained)
            if where.queues[name]:
                ring.append(name)
            else:
                del where.queues[name]
        return taken

    async def mark(self, claims: Sequence[Claim], lease_ms: int, *, once: bool, defaults: Mapping[str, str] | None = None) -> list[str]:
        """The point of no return; per claim "" (go), or why not."""
        consent = DEFAULT_CONSENT if defaults is None else defaults
        return [self._mark(claim, lease_ms, once, consent) for claim in claims]

    def _mark(self, claim: Claim, lease_ms: int, once: bool, consent: Mapping[str, str]) -> str:
        where, held = self._held(claim)
        if held is None or held.state not in (CLAIMED, MARKED):
            return "lost"
        effect = held.effect
        if held.state == CLAIMED:
            if held.flag:
                drop(where, held, "withdrawn")
                return "withdrawn"
            if _stopped(where, effect.channel, effect.lane) or f"map:{effect.map}" in where.stopped:
                enqueue(where, held, front=True)
                return "stopped"
            text = where.guard.get(effect.contact, "")
            why = ""
            if effect.consent or text == ERASED:
                why = refusal(text, effect.consent, consent.get(effect.consent, ""), effect.lane == TRANSACTIONAL)
            if why:
                drop(where, held, "suppressed")
                return why
            held.state, held.once = MARKED, once
        held.deadline_ms = self._clock() + lease_ms
        return ""

    async def settle(self, settles: Sequence[Settle]) -> list[bool]:
        """Settle; False where the token no longer holds or the move is illegal. Full is raised where an outcome finds no room."""
        bound = self._config.log_records_max + self._config.log_reserve_records
        for settle in settles:
            if settle.report and self._partitions[settle.claim.partition].next - self._partitions[settle.claim.partition].offset >= bound:
                append(self._partitions[settle.claim.partition], [], bound, self._clock())
        return [self._settle(settle) for settle in settles]

    def _settle(self, settle: Settle) -> bool:
        where, held = self._held(settle.claim)
        if held is None or settle.state not in MOVES.get(held.state, ()):
            return False
        if settle.state in GONE:
            drop(where, held, settle.state)
        else:
            held.attempts += settle.attempted
            held.reason = settle.reason
            if settle.state in (UNKNOWN, DEAD):
                held.token = held.token if settle.state == UNKNOWN else ""
                enlist(where, held, settle.state, self._clock(), self._config.dead_letters_max)
            elif held.flag:
                drop(where, held, "withdrawn")
            else:
                defer(where, held, settle.due_ms)
        if settle.report:
            append(where, [(1, encode([outcome_of(settle)]))], where.next + 1, self._clock())
        return True

    async def release(self, claims: Sequence[Claim]) -> None:
        """Give unmarked claims back, to the front of their queues."""
        for claim in reversed(claims):
            where, held = self._held(claim)
            if held is not None and held.state == CLAIMED:
                enqueue(where, held, front=True)

    async def depths(self) -> dict[str, dict[str, int]]:
        """Per channel, how full the outbox is; see the port."""
        depths: dict[str, dict[str, int]] = {}
        for where in self._partitions:
            for channel in {channel for channel, _ in where.fx}:
                add_depths(depths.setdefault(channel, {}), _figures(where, channel), self._clock())
        return depths

    async def listing(self, state: str, most: int, *, channel: str = "", map_id: str = "", reason: str = "", since_ms: int = 0) -> list[dict[str, Any]]:
        """Dead letters (`dead`) or `unknown` effects that pass the filters, newest first."""
        listed = [where.effects[effect_id] for where in self._partitions for effect_id in reversed(where.listed[state])]
        lines = [entry_of(held.effect, held.reason, held.attempts, held.at_ms) for held in listed]
        return sorted((line for line in lines if wanted(line, channel, map_id, reason, since_ms)), key=lambda line: -int(line["at_ms"]))[:most]

    async def resolve(self, effect_ids: Sequence[str], state: str, into: str, partition: int | None = None) -> int:
        """Move listed effects; how many moved."""
        if into not in RESOLVES.get(state, ()):
            raise WayfareError(f"an effect that is {state} cannot become {into}")
        moved = 0
        asked = self._partitions if partition is None else (self._partitions[partition],)
        for effect_id in effect_ids:
            for where in asked:
                held = where.effects.get(effect_id)
                if held is None or held.state != state:
                    continue
                moved += 1
                if into == PENDING:
                    held.attempts, held.since_ms = 0, self._clock()
                    enqueue(where, held, front=False)
                else:
                    drop(where, held, into)
        return moved

    async def stop(self, what: str, stopped: bool, reason: str = "") -> None:
        """The red button."""
        for where in self._partitions:
            if stopped:
                where.stopped[what] = reason
            else:
                where.stopped.pop(what, None)

    async def stopped(self) -> dict[str, str]:
        """What is stopped now, in order, and why."""
        return dict(sorted(self._partitions[0].stopped.items()))

    def _held(self, claim: Claim) -> tuple[Partition, Held | None]:
        """The effect that a claim's token still holds."""
        where = self._partitions[claim.partition]
        held = where.effects.get(claim.effect.id)
        return where, held if held is not None and held.token == claim.token else None


def _waits(where: Partition, channel: str) -> bool:
    return any(held.state == PENDING and held.effect.channel == channel for held in where.effects.values())


def _stopped(where: Partition, channel: str, lane: str) -> bool:
    return "*" in where.stopped or f"channel:{channel}" in where.stopped or (lane != TRANSACTIONAL and f"promotional:{channel}" in where.stopped)


def _pop(where: Partition, queue: deque[str], can: int) -> list[Held]:
    """The next of a queue; ids of withdrawn effects are passed over."""
    ids = [queue.popleft() for _ in range(min(can, len(queue)))]
    return [where.effects[effect_id] for effect_id in ids if effect_id in where.effects]


def _figures(where: Partition, channel: str) -> list[int]:
    """Queued by lane, claimed and marked, deferred, unknown, dead, first ms of the oldest queued by lane."""
    held = [held for held in where.effects.values() if held.effect.channel == channel]
    queued = {lane: [one for one in held if one.state == PENDING and one.effect.lane == lane] for lane in ("t", "b")}
    states = [one.state for one in held]
    oldest = [min((one.since_ms or first_ms(one.effect) for one in queued[lane]), default=0) for lane in ("t", "b")]
    claimed = states.count(CLAIMED) + states.count(MARKED)
    return [len(queued["t"]), len(queued["b"]), claimed, states.count(DEFERRED), states.count(UNKNOWN), states.count(DEAD), *oldest]
