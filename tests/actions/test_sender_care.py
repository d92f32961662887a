"""Sender care in the pool: what is asked again at its door, warm-up and days, throttles, and a channel that pauses itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from actions.feedback import Heard
from actions.health import HealthWatch, tally_heard, why_paused
from actions.limits import read_limits
from actions.messages import Email
from actions.providers.provider import DEFERRED, Dispatch, Result, rejected
from engine.core.effects import Effect, effect_id
from engine.core.errors import Unavailable
from engine.core.partitioning import partition_of
from engine.core.quiet import spread
from engine.core.sender_care import Health
from engine.ports import Commit
from tests.actions.pool_bench import START_MS, Bench, Told, fine

HOUR = 3_600_000
assert datetime.fromtimestamp(START_MS / 1_000, UTC).isoformat() == "2026-01-05T09:00:00+00:00"


class MailBench(Bench):
    """Its messages are emails to `to`, else to the contact at example.com."""

    def pool(self, channel: str, provider: Any, limits: Any = None, owner: str = "pool-1") -> Any:
        pool = super().pool(channel, provider, limits, owner)
        pool._render = lambda effect, _: Email(to=effect.params.get("to", f"{effect.contact}@example.com"), sender="s@x.com", subject="s", text="t")
        return pool

    def hold(self, contacts: Sequence[str], not_before_ms: int, quiet: Any) -> None:
        """Commit promotional effects as the core decides them in quiet hours, of partition 0's contacts."""
        lease = self._leases[0]
        assert lease is not None
        state = self.store.commits.load(lease)
        zone = read_limits({}, "sms").timezone
        assert zone == "UTC"
        effects = [
            Effect(
                effect_id(contact, 0, 1, 1, 1), contact, "send_sms", "sms", "b", "", "m", 1, "e", 1, 1, 1, 1, self.now_ms, {}, not_before_ms, "",
                spread(contact, not_before_ms, quiet, UTC),
            )
            for contact in contacts
        ]  # fmt: skip
        commit = Commit(expected=state.commit, offset=state.offset, time_ms=self.now_ms, snapshot=1, effects=effects)
        assert self.store.commits.commit([(lease, commit)]) == [None]


# -- the door ----------------------------------------------------------------------------------------------------------------


async def test_who_was_put_on_the_list_after_the_decision_is_sent_nothing() -> None:
    bench = MailBench()
    told = Told(fine)
    pool = bench.pool("email", told)
    for to in ("ann@example.com", "Eve <EVE@example.com>", "x@spam.example"):
        bench.decide("email", to=to, lane="t")
    pool.use(told, read_limits({"suppression": {"email": ["eve@example.com", "@spam.example"]}}, "email"))
    await bench.work(pool)
    assert [dispatch.message.to for dispatch in told.sent] == ["ann@example.com"]
    assert await bench.counts("email") == {"decided": 3, "delivered": 1, "suppressed": 2}
    assert pool._gate.in_flight == 0


async def test_a_queue_that_lasts_into_the_quiet_hours_waits_for_the_morning() -> None:
    bench = MailBench()
    told = Told(fine)
    bench.now_ms = START_MS + 12 * HOUR - 1  # 20:59:59.999
    pool = bench.pool("sms", told, read_limits({"rates": {"sms": "10/s"}}, "sms"))
    bench.decide("sms", count=5)
    bench.decide("sms", count=2, lane="t")
    await bench.work(pool)
    before = len(told.sent)
    assert before == 1
    bench.now_ms += 1
    for _ in range(50):
        bench.now_ms += 1_000
        await bench.work(pool)
    assert {dispatch.effect.lane for dispatch in told.sent} == {"t"}, "21:00: promotional ones wait, transactional ones don't"
    assert await bench.counts("sms") == {"decided": 7, "delivered": 2, "pending": 5}
    bench.now_ms = START_MS + 23 * HOUR - 1
    await bench.work(pool)
    assert len(told.sent) == 2
    bench.now_ms = START_MS + 23 * HOUR + HOUR // 2
    for _ in range(20):
        await bench.work(pool)
        bench.now_ms += 1_000
    assert await bench.counts("sms") == {"decided": 7, "delivered": 7}
    assert all(dispatch.attempt == 1 for dispatch in told.sent), "to wait is no failed attempt"


async def test_the_quiet_hours_at_the_door_are_those_of_the_contacts_zone() -> None:
    bench = MailBench()
    told = Told(fine)
    pool = bench.pool("sms", told, read_limits({}, "sms"))
    for zone in ("Asia/Tokyo", "America/Los_Angeles", "", "Mars/Olympus"):  # 18:00, 01:00, and UTC twice
        contact = f"of {zone}"
        lease = bench._leases[partition_of(contact, bench.config.partitions)]
        assert lease is not None
        state = bench.store.commits.load(lease)
        effect = Effect(effect_id(contact, 0, 1, 1, 1), contact, "send_sms", "sms", "b", "", "m", 1, "e", 1, 1, 1, 1, START_MS, timezone=zone)
        commit = Commit(expected=state.commit, offset=state.offset, time_ms=START_MS, snapshot=1, effects=[effect])
        assert bench.store.commits.commit([(lease, commit)]) == [None]
    await bench.work(pool)
    assert {dispatch.effect.contact for dispatch in told.sent} == {"of Asia/Tokyo", "of ", "of Mars/Olympus"}
    bench.now_ms += 7 * HOUR + HOUR // 2  # 08:30 in Los Angeles
    await bench.work(pool)
    assert len(told.sent) == 4


async def test_what_waited_for_the_morning_comes_spread_and_not_at_once() -> None:
    bench = MailBench()
    told = Told(fine)
    limits = read_limits({}, "sms")
    pool = bench.pool("sms", told, limits)
    opens_ms = START_MS + 23 * HOUR
    bench.hold([f"c{number}" for number in range(1_200)], opens_ms, limits.quiet)
    by_minute = []
    for minute in range(-1, 31):
        bench.now_ms = opens_ms + minute * 60_000 + 59_999
        before = len(told.sent)
        await bench.work(pool)
        by_minute.append(len(told.sent) - before)
    assert by_minute[0] == 0, "07:59"
    assert len(told.sent) == 1_200
    assert max(by_minute) < 80, "40 a minute on average"
    assert min(by_minute[1:31]) > 12


# -- warm-up, and calendar days ----------------------------------------------------------------------------------------------


async def test_a_warm_up_lets_more_through_every_day() -> None:
    bench = MailBench()
    told = Told(fine)
    document = {"warm_up": {"email": {"start": "2026-01-06", "days": [10, 20, 40]}, "email:gmail.com": {"start": "2026-01-05", "days": [3]}}}
    pools = [bench.pool("email", told, read_limits(document, "email"), owner) for owner in ("pool-1", "pool-2")]
    bench.decide("email", count=150)
    bench.decide("email", "gmail.com", count=10)
    sent, gmail = [], []
    for _ in range(5):
        for _ in range(3):
            await bench.work(*pools)
            bench.now_ms += 60_001
        sent.append(len(told.sent))
        gmail.append(told.to("gmail.com"))
        bench.now_ms += 24 * HOUR - 3 * 60_001
    assert sent == [10, 20, 40, 80, 160], "before its start the first day's allowance holds, after its end none"
    assert gmail[0] <= 3
    assert all(dispatch.attempt == 1 for dispatch in told.sent)


async def test_transactional_mail_is_served_first_within_a_days_allowance() -> None:
    bench = MailBench()
    told = Told(fine)
    pool = bench.pool("email", told, read_limits({"rates": {"email/day": 5}}, "email"))
    bench.decide("email", count=20)
    bench.decide("email", count=3, lane="t")
    await bench.work(pool)
    assert sorted(dispatch.effect.lane for dispatch in told.sent) == ["b", "b", "t", "t", "t"]


async def test_a_domains_day_is_kept_by_all_pools_and_ends_in_the_workspaces_zone() -> None:
    bench = MailBench()
    told = Told(fine)
    limits = read_limits({"rates": {"email:gmail.com/day": 7}, "timezone": "Asia/Tokyo"}, "email")
    pools = [bench.pool("email", told, limits, owner) for owner in ("pool-1", "pool-2", "pool-3")]
    bench.decide("email", "gmail.com", count=20)
    bench.decide("email", "", count=20)
    await bench.work(*pools)
    assert (told.to("gmail.com"), told.to("")) == (7, 20)
    bench.now_ms = START_MS + 6 * HOUR - 1  # 23:59:59.999 in Tokyo
    await bench.work(*pools)
    assert told.to("gmail.com") == 7
    bench.now_ms += 1
    await bench.work(*pools)
    assert told.to("gmail.com") == 14
    assert await bench.counts("email") == {"decided": 40, "delivered": 34, "pending": 6}
    assert all(dispatch.attempt == 1 for dispatch in told.sent)


# -- throttles ---------------------------------------------------------------------------------------------------------------


async def test_a_domain_that_asks_for_it_is_slowed_down_and_the_others_are_not() -> None:
    bench = MailBench(throttle_hold_ms=2_000)
    limits = read_limits({"throttle": {"email": ["gmail.com", "yahoo.com"]}, "rates": {"email": "400/s"}}, "email")
    most = 20  # what the receiver takes from us within a second
    taken: dict[int, int] = {}

    def answer(dispatch: Dispatch) -> Result:
        second = bench.now_ms // 1_000
        if dispatch.effect.dest == "gmail.com":
            taken[second] = taken.get(second, 0) + 1
            if taken[second] > most:
                return Result(state=DEFERRED, reason="421 4.7.0 too fast", slow=True)
        return fine(dispatch)

    told = Told(answer)
    pool = bench.pool("email", told, limits)
    bench.decide("email", "gmail.com", count=1_500)
    bench.decide("email", "yahoo.com", count=1_500)
    for _ in range(300):
        await bench.work(pool)
        bench.now_ms += 100
    seconds = sorted(taken)
    assert taken[seconds[0]] > most, "too fast at first"
    later = [taken.get(second, 0) for second in range(seconds[0] + 12, seconds[0] + 30)]
    assert sum(later) / len(later) < 1.6 * most
    assert min(later) > 0, "never stopped"
    assert told.to("yahoo.com") == 1_500


# -- health ------------------------------------------------------------------------------------------------------------------


def watched(bench: Bench, limit: Health | None = None) -> HealthWatch:
    watch = HealthWatch("email", bench.store.tallies, bench.store.outbox, bench.store.directory.audit, lambda: bench.now_ms)
    watch.limit = limit or Health(least=100)
    return watch


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"sent": 99, "bounced": 99}, ""),
        ({"sent": 100, "bounced": 10}, ""),
        ({"sent": 100, "bounced": 11}, "11 of 100 messages bounced within 60 minutes: 11.00%, and the limit is 10.00%"),
        ({"sent": 1_000, "complained": 5}, ""),
        ({"sent": 1_000, "complained": 6}, "6 of 1000 messages were complained about within 60 minutes: 0.60%, and the limit is 0.50%"),
        ({}, ""),
    ],
)
def test_when_a_channel_must_pause(held: dict[str, int], said: str) -> None:
    assert why_paused(Health(least=100), held) == said


@pytest.mark.parametrize(("kind", "paused"), [("hard", True), ("block", True), ("soft", False), ("other", False)])
async def test_a_channel_that_bounces_too_much_pauses_itself(kind: str, paused: bool) -> None:
    bench = MailBench()
    told = Told(lambda dispatch: rejected("550", **{"class": kind}) if int(dispatch.effect.contact[1:]) % 4 == 0 else fine(dispatch))
    pool, watch = bench.pool("email", told), watched(bench)
    pool._settler._observe = watch.observe
    bench.decide("email", count=1_000)
    while len(told.sent) < 200:
        await pool.turn()
        await pool.settled()
    await watch.look()
    await watch.look()
    await bench.work(pool)
    stopped = await bench.store.outbox.stopped()
    if not paused:
        assert (stopped, len(told.sent)) == ({}, 1_000)
        return
    assert "messages bounced within 60 minutes" in stopped["promotional:email"]
    assert [(entry["what"], entry["stopped"]) for entry in await bench.store.directory.audited(10)] == [("stop sending", "promotional:email")], "once"
    sent = len(told.sent)
    assert sent < 600
    bench.decide("email", count=3, lane="t")
    await bench.work(pool)
    assert len(told.sent) == sent + 3, "transactional mail goes on"
    assert (await bench.counts("email"))["pending"] == 1_000 - sent, "nothing is burnt"
    await bench.store.tallies.forget("email")
    await bench.store.outbox.stop("promotional:email", stopped=False)
    told.answer = fine
    await bench.work(pool)
    await watch.look()
    assert "pending" not in await bench.counts("email")
    assert not await bench.store.outbox.stopped()


async def test_complaints_that_gateways_hear_pause_it_too() -> None:
    bench = MailBench()
    watch = watched(bench, Health(least=100, everything=True))
    await bench.store.tallies.add("email", {"sent": 1_000})
    bounces = [
        Heard(channel="email", contact="c", status="bounced"),
        Heard(channel="email", contact="c", status="bounced", data={"class": "soft"}),
        Heard(channel="email", contact="c", event="email.bounced", data={"class": "block"}),
        Heard(channel="email", contact="c", status="delivered"),
        Heard(channel="email", contact="c", status="opened"),
    ]
    await tally_heard(bench.store.tallies, bounces)
    await watch.look()
    assert not await bench.store.outbox.stopped()
    assert await bench.store.tallies.add("email", {}) == {"sent": 1_000, "bounced": 2}
    await tally_heard(bench.store.tallies, [Heard(channel="email", contact=f"c{number}", status="complained") for number in range(6)])
    await watch.look()
    assert list(await bench.store.outbox.stopped()) == ["channel:email"]
    pool = bench.pool("email", told := Told(fine))
    bench.decide("email", lane="t")
    await bench.work(pool)
    assert not told.sent


async def test_what_was_counted_while_storage_was_away_is_told_later() -> None:
    bench = MailBench()
    watch = watched(bench)
    pool = bench.pool("email", Told(fine))
    pool._settler._observe = watch.observe
    bench.decide("email", count=30)
    await bench.work(pool)

    class Away:
        async def add(self, *_: Any) -> dict[str, int]:
            raise Unavailable("away")

    there, watch._tallies = watch._tallies, Away()  # type: ignore[assignment]
    await watch.look()
    watch._tallies = there
    await watch.look()
    assert await bench.store.tallies.add("email", {}) == {"sent": 30}


async def test_a_channel_without_a_limit_counts_nothing() -> None:
    bench = MailBench()
    watch = watched(bench)
    watch.limit = None
    pool = bench.pool("email", Told(lambda _: rejected("550", **{"class": "hard"})))
    pool._settler._observe = watch.observe
    bench.decide("email", count=300)
    await bench.work(pool)
    await watch.look()
    assert await bench.store.tallies.add("email", {}) == {}


async def test_a_days_allowance_is_not_burnt_by_waiting_for_the_channels_rate() -> None:
    bench = MailBench()
    told = Told(fine)
    limits = read_limits({"rates": {"email": "2/s", "email:gmail.com/day": 40}}, "email")
    pools = [bench.pool("email", told, limits, owner) for owner in ("pool-1", "pool-2", "pool-3")]
    for _ in range(400):
        if len(told.sent) < 40:
            bench.decide("email", "gmail.com", count=1)
        await bench.work(*pools)
        bench.now_ms += 100
    assert len(told.sent) == 40
