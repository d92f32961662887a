"""The pool over the memory twin: what becomes of an effect, whatever the provider, the limits or a crash do."""

from __future__ import annotations

import asyncio

import pytest

from actions.limits import Limits
from actions.providers.provider import CHANNEL, CREDENTIALS, DEFERRED, DEST, REJECTED, UNKNOWN, Dispatch, Result
from engine.core.errors import ResultUnknown, Unavailable
from engine.ports import Settle
from tests.actions.pool_bench import Bench, Told, fine

REFUSED = Result(state=DEFERRED, reason="connection refused", blames=DEST)


async def test_what_is_delivered_is_settled_and_not_reported() -> None:
    bench = Bench()
    provider = Told(fine)
    bench.decide("email", count=200)
    await bench.work(bench.pool("email", provider))
    assert await bench.counts("email") == {"decided": 200, "delivered": 200}
    assert len(provider.sent) == 200
    assert max(provider.batches) <= 64, "no more is marked than can be sent at once"
    assert not bench.outcomes()
    assert sum(batch.outcomes.get("delivered", 0) for batch in bench.batches) == 200


async def test_a_rejection_is_reported_with_what_the_provider_said() -> None:
    bench = Bench()
    [effect] = bench.decide("sms")
    await bench.work(bench.pool("sms", Told(lambda _: Result(state=REJECTED, reason="21211 nobody", data={"code": 21211}))))
    assert await bench.counts("sms") == {"decided": 1, "rejected": 1}
    [outcome] = bench.outcomes()
    assert (outcome.effect, outcome.status, outcome.reason, outcome.data) == (effect, "rejected", "21211 nobody", {"code": 21211})


async def test_a_deferral_is_tried_again_until_its_life_is_over() -> None:
    bench = Bench(effect_life_ms=60_000)
    provider = Told(lambda _: Result(state=DEFERRED, reason="450 later"))
    [effect] = bench.decide("email")
    pool = bench.pool("email", provider)
    for _ in range(80):
        await bench.work(pool)
        bench.now_ms += 1_000
    assert [dispatch.attempt for dispatch in provider.sent] == list(range(1, len(provider.sent) + 1))
    assert len(provider.sent) >= 5
    assert {dispatch.effect.id for dispatch in provider.sent} == {effect}
    [letter] = await bench.store.outbox.listing("dead", 10)
    assert (letter["effect"], letter["reason"]) == (effect, "450 later")
    assert [outcome.status for outcome in bench.outcomes()] == ["dead"]


async def test_a_dead_letter_that_is_replayed_has_a_new_life() -> None:
    bench = Bench(attempts_max=1)
    told = Told(lambda _: Result(state=DEFERRED, reason="450 later"))
    pool = bench.pool("email", told)
    ids = bench.decide("email")
    await bench.work(pool)
    bench.now_ms += 10 * bench.config.effect_life_ms
    assert await bench.store.outbox.resolve(ids, "dead", "pending") == 1
    told.answer = fine
    await bench.work(pool)
    assert await bench.counts("email") == {"decided": 1, "delivered": 1}


async def test_an_uncounted_deferral_is_no_attempt() -> None:
    bench = Bench(attempts_max=2)
    told = Told(lambda _: Result(state=DEFERRED, reason="not begun", counts=False))
    pool = bench.pool("email", told)
    bench.decide("email")
    for _ in range(5):
        await bench.work(pool)
        bench.now_ms += bench.config.retry_ms_min
    assert [dispatch.attempt for dispatch in told.sent] == [1] * 5


@pytest.mark.parametrize(("channel", "state"), [("email", "unknown"), ("webhook", "pending")])
async def test_what_may_have_been_accepted_is_listed_or_sent_again_as_declared(channel: str, state: str) -> None:
    bench = Bench()
    told = Told(lambda _: Result(state=UNKNOWN, reason="no answer in time"))
    pool = bench.pool(channel, told)
    [effect] = bench.decide(channel)
    await bench.work(pool)
    assert await bench.counts(channel) == {"decided": 1, state: 1}
    told.answer = fine
    bench.now_ms += 60_000
    await bench.work(pool)
    assert [dispatch.effect.id for dispatch in told.sent] == [effect] * (1 if channel == "email" else 2)


@pytest.mark.parametrize("channel", ["email", "webhook"])
async def test_a_kill_between_acceptance_and_settling(channel: str) -> None:
    """at_most_once: listed as unknown, never resent; at_least_once: sent again with the same id."""
    bench = Bench()
    accepted = Told(fine)
    [effect] = bench.decide(channel)
    dying = bench.pool(channel, accepted)
    await dying.turn()
    await asyncio.gather(*dying._tasks)  # the provider has it, and nothing is settled: here the process is killed
    assert len(accepted.sent) == 1
    bench.now_ms += bench.config.claim_lease_ms + 1
    heir = Told(fine)
    await bench.work(bench.pool(channel, heir, owner="pool-2"))
    if channel == "email":
        assert not heir.sent
        assert [line["effect"] for line in await bench.store.outbox.listing("unknown", 10)] == [effect]
        assert await bench.counts(channel) == {"decided": 1, "unknown": 1}
    else:
        assert [dispatch.effect.id for dispatch in heir.sent] == [effect]
        assert await bench.counts(channel) == {"decided": 1, "delivered": 1}


async def test_a_late_settle_turns_unknown_into_its_result() -> None:
    bench = Bench()
    pool = bench.pool("email", Told(fine))
    bench.decide("email")
    await pool.turn()
    await asyncio.gather(*pool._tasks)
    bench.now_ms += bench.config.claim_lease_ms + 1
    await bench.pool("email", Told(fine), owner="pool-2").turn()
    assert (await bench.counts("email"))["unknown"] == 1
    await pool.settled()
    assert await bench.counts("email") == {"decided": 1, "delivered": 1}


async def test_an_unsubscribe_stops_what_was_decided_before() -> None:
    bench = Bench()
    provider = Told(fine)
    bench.decide("email", contact="ann", consent="email")
    bench.decide("email", contact="bob", consent="email")
    await bench.store.intake.unsubscribe("ann", "email", "unsubscribed")
    await bench.work(bench.pool("email", provider))
    assert [dispatch.effect.contact for dispatch in provider.sent] == ["bob"]
    assert await bench.counts("email") == {"decided": 2, "delivered": 1, "suppressed": 1}


async def test_the_workspaces_default_consent_counts_for_contacts_without_one() -> None:
    bench = Bench()
    provider = Told(fine)
    bench.decide("sms", consent="sms")
    await bench.work(bench.pool("sms", provider, Limits("sms", consent={"email": "subscribed", "sms": "unsubscribed"})))
    assert not provider.sent
    bench.decide("sms", consent="sms")
    await bench.work(bench.pool("sms", provider, Limits("sms", consent={"sms": "subscribed"})))
    assert len(provider.sent) == 1


async def test_an_hour_without_one_host_delays_no_other_host_and_no_other_channel() -> None:
    bench = Bench(in_flight_per_host_max=4, in_flight_max=16, claim_effects_max=16, mark_effects_max=8, claim_quantum=4)
    hooks = Told(lambda dispatch: REFUSED if dispatch.effect.dest == "down.example" and bench.now_ms < back_ms else fine(dispatch), by_host=True)
    mail = Told(fine)
    back_ms = bench.now_ms + 3_600_000
    webhooks, emails = bench.pool("webhook", hooks), bench.pool("email", mail)
    bench.decide("webhook", "down.example", 300)
    for minute in range(60):
        bench.decide("webhook", "up.example", 5)
        bench.decide("email", count=5)
        before = hooks.to("down.example")
        for _ in range(6):
            await bench.work(webhooks, emails)
            bench.now_ms += 10_000
        assert hooks.to("up.example") == len(mail.sent) == (minute + 1) * 5, "nothing waits for the host that is down"
        assert hooks.to("down.example") - before <= (6 if minute else 20), "a probe in ten seconds, once the breaker is open"
    assert webhooks._gate.in_flight == emails._gate.in_flight == 0
    for _ in range(200):
        await bench.work(webhooks, emails)
        bench.now_ms += 60_000
    assert await bench.counts("webhook") == {"decided": 600, "delivered": 600}, "and afterwards nothing is missing"


async def test_a_slow_host_holds_no_more_than_its_places() -> None:
    bench = Bench(in_flight_per_host_max=4, in_flight_max=16, claim_effects_max=16, mark_effects_max=8)
    answer = asyncio.Event()

    class Slow(Told):
        async def send(self, dispatches, report):
            await asyncio.gather(*(self._one(dispatch, report) for dispatch in dispatches))

        async def _one(self, dispatch, report):
            self.sent.append(dispatch)
            if dispatch.effect.dest == "slow.example":
                await answer.wait()
            report(dispatch, fine(dispatch))

    slow = Slow(fine, by_host=True)
    pool = bench.pool("webhook", slow)
    bench.decide("webhook", "slow.example", 40)
    bench.decide("webhook", "quick.example", 40)
    for _ in range(60):
        await pool.turn()
        await asyncio.sleep(0)
        await pool._settler.flush()
    assert slow.to("slow.example") == 4
    assert slow.to("quick.example") == 40
    answer.set()
    await pool.settled()
    await bench.work(pool)
    assert slow.to("slow.example") == 40
    assert await bench.counts("webhook") == {"decided": 80, "delivered": 80}


async def test_refused_credentials_pause_the_channel_and_lose_nothing() -> None:
    bench = Bench(claim_effects_max=8, mark_effects_max=8)
    good = False
    told = Told(lambda dispatch: fine(dispatch) if good else Result(state=CREDENTIALS, reason="535 no", blames=CHANNEL))
    pool = bench.pool("email", told)
    bench.decide("email", count=50)
    await bench.work(pool)
    tried = len(told.sent)
    assert tried <= 8
    bench.now_ms += bench.config.credentials_retry_ms
    await bench.work(pool)
    assert len(told.sent) == tried + 1, "one probe, then it is paused again"
    good = True
    for _ in range(3):
        bench.now_ms += bench.config.credentials_retry_ms
        await bench.work(pool)
    assert await bench.counts("email") == {"decided": 50, "delivered": 50}
    assert all(dispatch.attempt == 1 for dispatch in told.sent), "none of it was an attempt of a message"


async def test_a_site_that_refuses_our_credentials_pauses_alone() -> None:
    bench = Bench(claim_effects_max=8, mark_effects_max=8)
    told = Told(lambda d: Result(state=CREDENTIALS, reason="401", blames=DEST) if d.effect.dest == "closed" else fine(d), by_host=True)
    pool = bench.pool("wordpress", told)
    bench.decide("wordpress", "closed", 30)
    bench.decide("wordpress", "open", 30)
    await bench.work(pool)
    assert told.to("open") == 30
    tried = told.to("closed")
    assert 1 <= tried <= 8
    bench.now_ms += bench.config.credentials_retry_ms
    await bench.work(pool)
    assert told.to("closed") == tried + 1
    assert await bench.counts("wordpress") == {"decided": 60, "delivered": 30, "pending": 30}


async def test_a_new_provider_is_tried_at_once() -> None:
    bench = Bench()
    pool = bench.pool("email", Told(lambda _: Result(state=CREDENTIALS, reason="535 no", blames=CHANNEL)))
    bench.decide("email", count=3)
    await bench.work(pool)
    pool.use(None, pool.limits)
    bench.decide("email")
    await bench.work(pool)
    pool.use(Told(fine), pool.limits)
    await bench.work(pool)
    assert (await bench.counts("email"))["delivered"] == 1
    bench.now_ms += bench.config.credentials_retry_ms
    await bench.work(pool)
    assert await bench.counts("email") == {"decided": 4, "delivered": 4}


async def test_what_cannot_be_rendered_is_dead_with_its_reason_and_the_rest_goes_on() -> None:
    bench = Bench()
    provider = Told(fine)
    bench.decide("email", count=3)
    bench.decide("email", broken=True)
    bench.decide("email", snapshot=7)
    await bench.work(bench.pool("email", provider))
    assert len(provider.sent) == 3
    reasons = sorted(line["reason"] for line in await bench.store.outbox.listing("dead", 10))
    assert reasons == ["can't be rendered: ZeroDivisionError: a template with a bug", "can't be rendered: snapshot 7 of the workspace is gone"]


async def test_a_snapshot_that_cannot_be_compiled_leaves_dead_letters_and_free_places() -> None:
    bench = Bench()
    provider = Told(fine)
    pool = bench.pool("email", provider)

    async def failing(number: int) -> object:
        raise KeyError(number)

    pool._workspace_of = failing
    bench.decide("email", count=3)
    await bench.work(pool)
    assert await bench.counts("email") == {"decided": 3, "dead": 3}
    assert pool._gate.in_flight == 0


async def test_a_provider_that_breaks_or_keeps_silent_leaves_unknown_not_a_hole() -> None:
    bench = Bench()

    def answer(dispatch: Dispatch) -> Result | None:
        if dispatch.effect.params.get("raise"):
            raise RuntimeError("a bug in a provider")
        return None

    bench.decide("email", count=2)
    await bench.work(bench.pool("email", Told(answer)))
    bench.decide("email", **{"raise": True})
    await bench.work(bench.pool("email", Told(answer)))
    assert await bench.counts("email") == {"decided": 3, "unknown": 3}


async def test_a_clean_stop_settles_what_was_sent_and_leaves_no_unknown() -> None:
    bench = Bench(in_flight_max=64)
    begun, release = asyncio.Event(), asyncio.Event()

    class Held(Told):
        async def send(self, dispatches, report):
            begun.set()
            await release.wait()
            await super().send(dispatches, report)

    provider = Held(fine)
    bench.decide("email", count=500)
    stop = asyncio.Event()
    running = asyncio.create_task(bench.pool("email", provider).run(stop))
    await begun.wait()
    stop.set()
    release.set()
    await running
    counts = await bench.counts("email")
    assert counts["delivered"] == len(provider.sent) <= 64
    assert counts["pending"] == 500 - counts["delivered"]
    assert "unknown" not in counts
    assert not (await bench.store.outbox.depths())["email"]["claimed"]


async def test_run_carries_everything_by_itself() -> None:
    bench = Bench()
    all_sent = asyncio.Event()

    def answer(dispatch: Dispatch) -> Result:
        if len(provider.sent) == 300:
            all_sent.set()
        return fine(dispatch)

    provider = Told(answer)
    stop = asyncio.Event()
    running = asyncio.create_task(bench.pool("email", provider).run(stop))
    bench.decide("email", count=300)
    await all_sent.wait()
    stop.set()
    await running
    assert await bench.counts("email") == {"decided": 300, "delivered": 300}


async def test_a_pool_that_stood_still_after_its_mark_sends_nothing() -> None:
    bench = Bench()
    provider = Told(fine)
    mark = bench.store.outbox.mark

    async def frozen(*args, **kwargs):
        answer = await mark(*args, **kwargs)
        bench.now_ms += bench.config.claim_lease_ms - bench.config.send_timeout_ms + 1
        return answer

    bench.store.outbox.mark = frozen  # type: ignore[method-assign]
    bench.decide("email")
    pool = bench.pool("email", provider)
    await pool.turn()
    await pool.settled()
    assert not provider.sent
    assert await bench.counts("email") == {"decided": 1, "pending": 1}
    bench.store.outbox.mark = mark  # type: ignore[method-assign]
    bench.now_ms += bench.config.retry_ms_min
    await bench.work(pool)
    assert await bench.counts("email") == {"decided": 1, "delivered": 1}


async def test_a_lost_reply_to_a_settle_is_settled_once() -> None:
    bench = Bench()
    settle = bench.store.outbox.settle
    lost = [True, True]

    async def losing(settles: list[Settle]) -> list[bool]:
        if lost and lost.pop():
            await settle(settles[:1])
            raise ResultUnknown("the reply is lost")
        return await settle(settles)

    bench.store.outbox.settle = losing  # type: ignore[method-assign,assignment]
    bench.decide("email", count=3)
    pool = bench.pool("email", Told(fine))
    await bench.work(pool)
    assert await bench.counts("email") == {"decided": 3, "delivered": 3}
    assert pool._gate.in_flight == 0


async def test_storage_that_is_away_while_marking_sends_nothing() -> None:
    bench = Bench()
    provider = Told(fine)
    mark = bench.store.outbox.mark

    async def away(*args, **kwargs):
        raise Unavailable("away")

    bench.store.outbox.mark = away  # type: ignore[method-assign]
    bench.decide("email")
    pool = bench.pool("email", provider)
    await pool.turn()
    await pool.settled()
    assert not provider.sent
    bench.store.outbox.mark = mark  # type: ignore[method-assign]
    bench.now_ms += bench.config.claim_lease_ms + 1
    await bench.work(pool)
    assert await bench.counts("email") == {"decided": 1, "delivered": 1}


async def test_the_red_button_stops_what_is_not_marked() -> None:
    bench = Bench()
    provider = Told(fine)
    pool = bench.pool("email", provider)
    bench.decide("email", count=5)
    await bench.store.outbox.stop("map:m", stopped=True)
    await bench.work(pool)
    assert not provider.sent
    await bench.store.outbox.stop("map:m", stopped=False)
    await bench.work(pool)
    assert len(provider.sent) == 5


async def test_no_more_is_marked_than_the_provider_can_have_under_way() -> None:
    """So a kill leaves no more unknown than that, however much was claimed."""
    bench = Bench()
    release = asyncio.Event()

    class Narrow(Told):
        at_once = 8
        held = 0

        async def send(self, dispatches, report):
            self.held += len(dispatches)
            await release.wait()
            await super().send(dispatches, report)

    provider = Narrow(fine)
    bench.decide("email", count=100)
    dying = bench.pool("email", provider)
    await dying.turn()
    for _ in range(20):
        await asyncio.sleep(0)
    assert provider.held == 8
    bench.now_ms += bench.config.claim_lease_ms + 1  # here the process is killed
    await bench.work(bench.pool("email", Told(fine), owner="pool-2"))
    assert await bench.counts("email") == {"decided": 100, "unknown": 8, "delivered": 92}
    release.set()
    await dying.settled()


async def test_a_pool_without_a_provider_hardly_looks_and_wakes_at_once_for_one_and_for_the_end() -> None:
    bench = Bench(patient_idle_ms_max=60_000)
    pool, stop, turns, woke = bench.pool("email", None), asyncio.Event(), [], asyncio.Event()
    turn = pool.turn

    async def counted() -> bool:
        turns.append(pool.provider)
        if pool.provider is not None:
            woke.set()
        return await turn()

    pool.turn = counted  # type: ignore[method-assign]
    running = asyncio.create_task(pool.run(stop))
    await asyncio.sleep(0.3)
    looked = len(turns)
    pool.use(Told(fine), Limits("email"))
    await asyncio.wait_for(woke.wait(), 5)
    pool.use(None, Limits("email"))
    stop.set()
    await asyncio.wait_for(running, 5)
    assert looked < 15, "each pause is twice the one before"
