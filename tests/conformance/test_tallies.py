"""Tallies: counts over a sliding window, the same for everybody."""

from __future__ import annotations


async def test_counts_add_up_and_are_seen_by_all(storage):
    assert await storage.tallies.add("email", {}, 60_000) == {}
    assert await storage.tallies.add("email", {"sent": 10, "bounced": 1}, 60_000) == {"sent": 10, "bounced": 1}
    assert await storage.tallies.add("email", {"sent": 5}, 60_000) == {"sent": 15, "bounced": 1}
    assert await storage.tallies.add("email", {"complained": 2}) == {"sent": 15, "bounced": 1, "complained": 2}
    assert await storage.tallies.add("sms", {}) == {}


async def test_what_is_older_than_the_window_falls_off(storage):
    await storage.tallies.add("email", {"sent": 10}, 300)
    await storage.pass_ms(400)
    assert await storage.tallies.add("email", {"sent": 1}) == {"sent": 1}
    await storage.pass_ms(400)
    assert await storage.tallies.add("email", {}, 300) == {}


async def test_who_names_no_window_has_the_one_that_was_named(storage):
    await storage.tallies.add("email", {"bounced": 1}, 300)
    await storage.pass_ms(400)
    assert await storage.tallies.add("email", {"bounced": 1}) == {"bounced": 1}
    await storage.tallies.add("sms", {"bounced": 1})
    await storage.pass_ms(400)
    assert await storage.tallies.add("sms", {"bounced": 1}) == {"bounced": 2}, "an hour, where nobody named one"


async def test_forgetting_begins_anew(storage):
    await storage.tallies.add("email", {"sent": 10}, 60_000)
    await storage.tallies.forget("email")
    assert await storage.tallies.add("email", {"sent": 1}, 60_000) == {"sent": 1}
