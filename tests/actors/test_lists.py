"""Fulfillment lists sent on schedule: shard, pools and storage's twin, with a clock that the test moves and a mail server that does as it is told."""

from __future__ import annotations

import csv
import io
from contextlib import suppress
from copy import copy
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from actions.limits import Limits
from actions.list_exports import make_link, read_link
from actions.list_jobs import ListKeeper
from actions.list_mail import ListMail
from actions.messages import Email
from actions.pool import Pool
from actions.providers.provider import DEFERRED, DELIVERED, REJECTED, UNKNOWN, House, Result
from actions.registry import render
from actors.shard import Shard
from engine.core.fulfillment import CHANNEL, Export
from engine.core.records import Erase, Event
from tests.actions.pool_bench import Told
from tests.actors.test_shard import Ring, settle

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 3, 27, 12, 0, tzinfo=BERLIN)  # a Friday; the clocks go forward in the night to Sunday
DAY_MS = 24 * 3_600_000
LIST = {"to": "ship@example.com", "every": "daily", "at": "17:00", "empty_after": True}
MAPS = [
    {"map": "on", "reentry": "parallel", "triggers": [{"event": "on"}], "path": [{"send_to_fulfillment": {"list": "kits"}}, "exit"]},
    {"map": "off", "reentry": "parallel", "triggers": [{"event": "off"}], "path": [{"remove_from_fulfillment": {"list": "kits"}}, "exit"]},
]


def berlin(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp() * 1000)


class Circle(Ring):
    """A ring with pools for mail and for the lists' own jobs. `answer` decides what becomes of a mail."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.now_ms = int(START.timestamp() * 1000)
        self.result = Result(state=DELIVERED)
        self.mailer = Told(lambda _: self.result)
        house = House(config=self.config, clock=lambda: self.now_ms, secret="s")
        mail = ListMail(self.store.lists, house)

        async def workspace_of(number: int) -> Any:
            return self.compiled(number)

        def pool(channel: str, provider: Any, once: bool) -> Pool:
            return Pool(
                channel,
                self.store.outbox,
                self.store.budget,
                provider,
                workspace_of,
                self.config,
                lambda: self.now_ms,
                limits=Limits(channel, once=once),
                owner=f"pool-{channel}",
                render=render,
                compose=mail.compose,
            )

        self.pools = [pool(CHANNEL, ListKeeper(self.store.lists, self.config), once=False), pool("email", self.mailer, once=True)]

    async def set_up(self, timezone: str = "Europe/Berlin", **changed: Any) -> None:
        lists = {"kits": {**LIST, **changed}}
        providers = {"email": {"provider": "smtp", "host": "h", "from": "Shop <shop@example.com>"}}
        await self.publish({"fulfillment": lists, "limits": {"timezone": timezone}, "providers": providers, "maps": MAPS})

    async def put(self, *contacts: str, event: str = "on") -> None:
        await self.append(*(Event(contact, event) for contact in contacts))

    async def go_round(self, shard: Shard) -> None:
        """Everything that is to be done at this instant."""
        for _ in range(6):
            settle(shard)
            for pool in self.pools:
                await pool.turn()
                await pool.settled()
        settle(shard)

    async def at(self, shard: Shard, text: str) -> None:
        self.now_ms = berlin(text)
        shard.renew()
        await self.go_round(shard)

    async def listed(self) -> set[str]:
        return set(await self.store.directory.rows("fulfillment:kits"))

    def mails(self) -> list[Email]:
        return [dispatch.message for dispatch in self.mailer.sent if isinstance(dispatch.message, Email)]

    def files(self) -> list[list[str]]:
        """The contacts of each mail's attachment."""
        found = []
        for mail in self.mails():
            (file,) = mail.attachments
            assert file.content.startswith(b"\xef\xbb\xbfcontact,")
            found.append([row["contact"] for row in csv.DictReader(io.StringIO(file.content.decode("utf-8-sig")))])
        return found


async def test_a_list_is_mailed_at_its_time_and_emptied_of_what_was_sent() -> None:
    ring = Circle()
    shard = ring.shard()
    await ring.set_up()
    await ring.put("ann", "bob", "cyd")
    await ring.at(shard, "2026-03-27T16:59")
    assert ring.mails() == []
    await ring.at(shard, "2026-03-27T17:00")
    (mail,) = ring.mails()
    assert (mail.to, mail.sender, mail.subject) == ("ship@example.com", "Shop <shop@example.com>", "kits: 3 contacts, 2026-03-27")
    assert [sorted(contacts) for contacts in ring.files()] == [["ann", "bob", "cyd"]]
    assert mail.attachments[0].name == "kits-2026-03-27.csv"
    assert await ring.listed() == set()
    await ring.at(shard, "2026-03-28T16:59")
    assert len(ring.mails()) == 1
    await ring.put("dan")
    await ring.at(shard, "2026-03-28T17:00")
    assert ring.files()[1:] == [["dan"]]
    await ring.at(shard, "2026-03-29T17:00")
    assert len(ring.mails()) == 2  # nobody is on it
    counters = await ring.counters()
    assert counters["fx:email:delivered"] == counters["fx:email:decided"] == 2
    assert counters["fx:lists:delivered"] == counters["fx:lists:decided"] == 3 + 2


async def test_a_list_that_is_not_emptied_stays() -> None:
    ring = Circle()
    shard = ring.shard()
    await ring.set_up(empty_after=False, to="a@example.com, b@example.com")
    await ring.put("ann")
    await ring.at(shard, "2026-03-27T17:00")
    await ring.at(shard, "2026-03-28T17:00")
    assert ring.files() == [["ann"]] * 4
    assert [mail.to for mail in ring.mails()] == ["a@example.com", "b@example.com"] * 2
    assert await ring.listed() == {"ann"}


async def test_who_comes_while_the_mail_is_on_its_way_stays_on_the_list() -> None:
    ring = Circle()
    shard = ring.shard()
    await ring.set_up()
    await ring.put("ann", "bob", "cyd")
    ring.result = Result(state=DEFERRED, reason="greylisted", retry_after_ms=60_000)
    await ring.at(shard, "2026-03-27T17:00")
    assert await ring.listed() == {"ann", "bob", "cyd"}
    await ring.put("dan", "bob")  # bob again, with a row of his own
    await ring.put("cyd", event="off")
    ring.result = Result(state=DELIVERED)
    await ring.at(shard, "2026-03-27T17:05")
    assert [sorted(contacts) for contacts in ring.files()] == [["ann", "bob", "cyd"]] * 2  # the same at every attempt
    assert await ring.listed() == {"bob", "dan"}


@pytest.mark.parametrize("state", [REJECTED, UNKNOWN])
async def test_what_was_not_delivered_is_not_taken_off_and_comes_with_the_next_mail(state: str) -> None:
    ring = Circle()
    shard = ring.shard()
    await ring.set_up()
    await ring.put("ann")
    ring.result = Result(state=state, reason="no such user")
    await ring.at(shard, "2026-03-27T17:00")
    assert await ring.listed() == {"ann"}
    ring.result = Result(state=DELIVERED)
    await ring.at(shard, "2026-03-28T17:00")
    assert ring.files() == [["ann"], ["ann"]]
    assert await ring.listed() == set()


async def test_of_several_addresses_one_delivery_is_enough_to_empty() -> None:
    ring = Circle()
    shard = ring.shard()
    await ring.set_up(to="a@example.com, b@example.com")
    await ring.put("ann")
    ring.mailer.answer = lambda dispatch: Result(state=DELIVERED if dispatch.message.to.startswith("a") else REJECTED)  # type: ignore[union-attr]
    await ring.at(shard, "2026-03-27T17:00")
    assert len(ring.mails()) == 2
    assert await ring.listed() == set()


async def test_times_that_were_missed_are_made_up_for_once() -> None:
    ring = Circle()
    shard = ring.shard()
    await ring.set_up()
    await ring.put("ann")
    await ring.at(shard, "2026-03-27T16:00")
    await ring.put("bob")
    await ring.at(ring.shard("shard-2"), "2026-03-31T08:00")  # the first one is gone, and so are Friday to Monday
    assert [sorted(contacts) for contacts in ring.files()] == [["ann", "bob"]]
    assert ring.mails()[0].subject == "kits: 2 contacts, 2026-03-27"


async def test_local_times_hold_across_the_change_of_the_clocks() -> None:
    ring = Circle()
    shard = ring.shard()
    await ring.set_up(empty_after=False, timezone="Europe/Berlin")
    await ring.put("ann")
    for day, hours in (("28", 24), ("29", 23), ("30", 24)):
        before = ring.now_ms = berlin(f"2026-03-{int(day) - 1}T17:00")
        sent = len(ring.mails())
        await ring.at(shard, f"2026-03-{int(day) - 1}T17:00")
        sent = len(ring.mails())
        ring.now_ms = before + hours * 3_600_000 - 1
        shard.renew()
        await ring.go_round(shard)
        assert len(ring.mails()) == sent
        ring.now_ms += 1
        await ring.go_round(shard)
        assert len(ring.mails()) == sent + 1


async def test_a_changed_schedule_counts_from_now_and_a_list_that_is_gone_is_forgotten() -> None:
    ring = Circle()
    shard = ring.shard()
    await ring.set_up()
    await ring.put("ann")
    await ring.go_round(shard)
    await ring.set_up(at="18:00", timezone="UTC")
    await ring.at(shard, "2026-03-27T17:30")
    assert ring.mails() == []
    await ring.at(shard, "2026-03-27T19:00")  # 18:00 in UTC
    assert len(ring.mails()) == 1
    await ring.publish({"maps": []})
    await ring.at(shard, "2026-03-29T19:00")
    assert len(ring.mails()) == 1
    assert await ring.store.directory.timers() == 0


async def test_publishing_again_neither_skips_nor_repeats_a_time() -> None:
    ring = Circle()
    shard = ring.shard()
    await ring.set_up()
    await ring.put("ann")
    await ring.at(shard, "2026-03-27T16:00")
    await ring.set_up(to="other@example.com", empty_after=False)
    ring.now_ms = berlin("2026-03-27T17:00")
    await ring.set_up(to="third@example.com", empty_after=False)
    await ring.at(shard, "2026-03-27T17:00")
    await ring.set_up(to="fourth@example.com", empty_after=False)
    await ring.at(shard, "2026-03-27T17:01")
    assert [mail.to for mail in ring.mails()] == ["third@example.com"]


async def test_the_erased_vanish_from_lists_and_from_exports() -> None:
    ring = Circle()
    shard = ring.shard()
    await ring.set_up(empty_after=False)
    await ring.put("ann", "bob")
    ring.result = Result(state=DEFERRED, reason="later", retry_after_ms=60_000)
    await ring.at(shard, "2026-03-27T17:00")
    await ring.append(Erase("ann"))
    ring.result = Result(state=DELIVERED)
    await ring.at(shard, "2026-03-27T17:05")
    assert sorted(ring.files()[0]) == ["ann", "bob"]
    assert ring.files()[1] == ["bob"]
    assert await ring.listed() == {"bob"}


async def test_a_large_list_is_a_link() -> None:
    ring = Circle(attachment_bytes_max=2_000, export_page_rows=7)
    shard = ring.shard()
    await ring.set_up()
    await ring.put(*(f"contact-{number:03}" for number in range(150)))
    await ring.at(shard, "2026-03-27T17:00")
    (mail,) = ring.mails()
    assert mail.attachments == ()
    (url,) = [line for line in mail.text.splitlines() if line.startswith("http://127.0.0.1:8080/v1/fulfillment/kits/export/")]
    link = read_link("s", url.rpartition("/")[2])
    assert link is not None
    assert link.export == Export("kits", 0, berlin("2026-03-27T17:00"))
    assert link.until_ms == berlin("2026-03-27T17:00") + ring.config.export_life_ms
    assert read_link("other", url.rpartition("/")[2]) is None
    assert make_link("", "s", link).rpartition("/")[2] == url.rpartition("/")[2]
    assert await ring.listed() == set()


class Dying(Exception):
    """The shard's process ends here."""


class Mortal:
    """A shard's commits, of which the `last` one ends its process: before it is sent, or when it is written and the shard does not know yet."""

    def __init__(self, commits: Any, last: int, written: bool) -> None:
        self._commits, self.left, self._written = commits, last, written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._commits, name)

    def commit(self, commits: Any) -> Any:
        self.left -= 1
        if self.left:
            return self._commits.commit(commits)
        if self._written:
            assert self._commits.commit(commits) == [None] * len(commits)
        raise Dying


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("last", range(1, 7))
async def test_a_sending_is_decided_once_whichever_commit_its_owner_dies_at(last: int, written: bool) -> None:
    ring = Circle()
    await ring.set_up()
    await ring.put("ann", "bob", "cyd", "dan")
    shard = ring.shard()
    shard.store = copy(ring.store)
    shard.store.commits = mortal = Mortal(ring.store.commits, last, written)  # type: ignore[misc,assignment]
    with suppress(Dying):
        await ring.go_round(shard)
        await ring.at(shard, "2026-03-27T17:00")
    assert mortal.left == (0 if last < 6 else 1)  # with the last number there is nothing left to die at
    ring.now_ms = berlin("2026-03-27T17:02")
    await ring.go_round(ring.shard("shard-2"))
    assert [sorted(contacts) for contacts in ring.files()] == [["ann", "bob", "cyd", "dan"]]
    assert await ring.listed() == set()
    counters = await ring.counters()
    assert (counters["fx:email:decided"], counters["fx:lists:decided"]) == (1, 2)
