"""What limits.yaml says about a sender's good name, and what the core does about it."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from engine.core.errors import Problem
from engine.core.local_time import at_local
from engine.core.quiet import Quiet, opening, spread
from engine.core.records import Event, Update
from engine.core.send_limits import read_limits
from engine.core.sender_care import Health, WarmUp
from engine.core.suppression import entry_of, is_suppressed
from tests.core.stepping import DAY, HOUR, NOW, Bench, workspace_of

MAIL = {"map": "m", "reentry": "parallel", "triggers": [{"event": "go"}], "path": [{"id": "mail", "send_email": {"template": "t"}}, "exit"]}
TEXT = {"map": "m", "reentry": "parallel", "triggers": [{"event": "go"}], "path": [{"id": "text", "send_sms": {"text": "hi"}}, "exit"]}
TEMPLATES = {"t": "---\nsubject: s\n---\nHi"}


def problems_of(document: dict[str, Any]) -> list[str]:
    found: list[Problem] = []
    read_limits(document, found)
    return [f"{problem.place}: {problem.message} {problem.remedy}".strip() for problem in found]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"warmup": {}}, 'limits has no key "warmup" did you mean "warm_up"?'),
        ({"healt": {}}, 'limits has no key "healt" did you mean "health"?'),
        ({"throtle": {}}, 'limits has no key "throtle" did you mean "throttle"?'),
        ({"rates": {"emial": "5/s"}}, 'there is no channel "emial" did you mean "email"?'),
        ({"rates": {"emial:gmail.com/day": 5}}, 'there is no channel "emial" did you mean "email"?'),
        ({"caps": [{"channel": "emial", "at_most": 1, "per": "1d"}]}, 'there is no channel "emial" did you mean "email"?'),
        ({"suppression": {"mail": []}}, 'there is no channel "mail" did you mean "email"?'),
        ({"suppression": {"sms": ["12025550123"]}}, '"12025550123" is not a number such as +12025550123'),
        ({"suppression": {"email": ["eve at example"]}}, '"eve at example" is neither an address nor a domain such as @example.com'),
        ({"suppression": {"email": [5]}}, "an entry of the suppression list must be text, not 5"),
        ({"quiet_hours": {"sms": {"from": "21:00", "to": "08:00", "spreed": "5m"}}}, 'quiet hours has no key "spreed" did you mean "spread"?'),
        ({"quiet_hours": {"sms": {"from": "21:00", "to": "08:00", "spread": "14h"}}}, "`spread` must not be longer than the time between the quiet hours"),
        ({"quiet_hours": {"sms": {"from": "21:00", "to": "08:00", "spread": "soon"}}}, '"soon" is not a duration'),
        ({"warm_up": {"email": {"begin": "2026-12-01", "days": [1]}}}, 'the warm-up of email has no key "begin"'),
        ({"warm_up": {"email": {"days": [1]}}}, "the warm-up of email needs `start` and `days`"),
        ({"warm_up": {"email": {"start": "1.12.2026", "days": [1]}}}, '"1.12.2026" is not a date such as 2026-12-01'),
        ({"warm_up": {"email": {"start": "2026-12-01", "days": []}}}, "`days` has 0 days; it must have 1 to 366"),
        ({"warm_up": {"email": {"start": "2026-12-01", "days": [50, "many"]}}}, 'a day\'s allowance must be a whole number, not "many"'),
        ({"warm_up": {"email": {"start": "2026-12-01", "days": 50}}}, "`days` must be a list"),
        ({"throttle": {"sms": ["gmail.com"]}}, "only email slows down by domain, not sms"),
        ({"throttle": {"email": ["a@gmail.com"]}}, '"a@gmail.com" is not a domain such as gmail.com'),
        ({"health": {"sms": {}}}, "only email has bounces and complaints, not sms"),
        ({"health": {"email": {"bounce": "5%"}}}, 'health has no key "bounce" did you mean "bounces"?'),
        ({"health": {"email": {"bounces": 5}}}, "`bounces` must be a share of what was sent, not 5 write `5%`"),
        ({"health": {"email": {"complaints": "0%"}}}, '`complaints` must be a share of what was sent, not "0%"'),
        ({"health": {"email": {"window": "30d"}}}, "the window must be 1m to 7d"),
        ({"health": {"email": {"least": 0}}}, "`least` must be a whole number of at least 1, not 0"),
        ({"health": {"email": {"holds": "all"}}}, '`holds` must be one of promotional, everything, not "all"'),
    ],
)
def test_every_mistake_is_named(document: dict[str, Any], said: str) -> None:
    assert said in problems_of(document)[0]


def test_what_is_right_is_read() -> None:
    found = read_limits(
        {
            "rates": {"email:Gmail.com": "50/s", "sms/day": 100, "push": "1/s"},
            "warm_up": {"email": {"start": "2026-12-01", "days": [50, 100]}, "email:yahoo.com": {"start": "2026-12-01", "days": [10]}},
            "throttle": {"email": ["outlook.com"]},
            "health": {"email": {"bounces": "5%", "window": "2h", "holds": "everything"}},
            "suppression": {"email": ["Eve@Example.com", "@spam.example"], "sms": ["+1 (202) 555-0123"]},
            "quiet_hours": {"sms": {"from": "21:00", "to": "08:00", "spread": "1h"}, "email": {"from": "22:00", "to": "21:50"}},
        },
        problems := [],
        channels={"push"},
    )
    assert not problems
    assert found.mail_domains == {"gmail.com", "yahoo.com", "outlook.com"}
    assert found.health == {"email": Health(bounces=0.05, window_ms=7_200_000, everything=True)}
    assert found.suppressed == {"email": {"eve@example.com", "spam.example"}, "sms": {"+12025550123"}}
    assert (found.quiet_hours["sms"].spread_ms, found.quiet_hours["email"].spread_ms) == (3_600_000, 600_000), "no longer than what is open"
    assert read_limits({}, []).health == {"email": Health()}
    assert read_limits({"health": {"email": None}}, []).health == {}
    assert read_limits({}, []).mail_domains == frozenset()


def test_a_warm_up_grows_day_by_day_and_ends() -> None:
    table = WarmUp("2026-02-27", (50, 100, 500))
    days = ("2025-12-31", "2026-02-26", "2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02")
    assert [table.allowance(day) for day in days] == [50, 50, 50, 100, 500, None]


def test_a_suppression_entry_is_an_address_a_domain_or_a_number() -> None:
    entries = frozenset(map(entry_of, ["Eve@Example.com", "@spam.example", "+1 202-555-0123"]))
    for to in ("eve@example.com", "Eve <EVE@example.com>", "anyone@SPAM.example", "x@spam.example.", "+12025550123"):
        assert is_suppressed(entries, to), to
    for to in ("ann@example.com", "x@mail.spam.example", "spam.example@gmail.com", "+12025550124", ""):
        assert not is_suppressed(entries, to), to


def test_what_waited_is_spread_evenly_and_the_same_for_one_contact() -> None:
    quiet, zone = Quiet(21 * 60, 8 * 60, 30 * 60_000), ZoneInfo("Europe/Berlin")
    ends_ms = opening(at_local("2026-03-01 23:00", zone) or 0, quiet, zone)
    assert ends_ms == at_local("2026-03-02 08:00", zone)
    minutes = [0] * 30
    for number in range(6_000):
        later = spread(f"contact-{number}", ends_ms, quiet, zone)
        assert later == spread(f"contact-{number}", ends_ms + 86_400_000, quiet, zone)
        minutes[later // 60_000] += 1
    assert min(minutes) > 130
    assert max(minutes) < 270


def test_the_spread_does_not_lead_into_the_next_quiet_hours() -> None:
    quiet, zone = Quiet(21 * 60, 8 * 60, 30 * 60_000), ZoneInfo("UTC")
    nearly = at_local("2026-03-02 20:55", zone) or 0
    assert all(spread(f"c{number}", nearly, quiet, zone) < 5 * 60_000 for number in range(500))
    assert spread("c1", nearly, quiet._replace(spread_ms=0), zone) == 0


def bench_of(limits: dict[str, Any], one_map: dict[str, Any], **values: Any) -> Bench:
    """A contact with these fields, who may be sent anything."""
    bench = Bench(workspace_of(one_map, templates=TEMPLATES, limits=limits))
    bench.step(Update("ann", fields=values, consent={"sms": "subscribed"}))
    return bench


def test_a_mail_domain_that_limits_name_is_the_destination() -> None:
    limits = {"rates": {"email:gmail.com": "50/s"}, "warm_up": {"email:yahoo.com": {"start": "2026-12-01", "days": [10]}}, "throttle": {"email": ["Web.de"]}}

    def dest_of(domain: str, limits: dict[str, Any]) -> str:
        bench = bench_of(limits, MAIL, email=f"ann@{domain}")
        bench.step(Event("ann", "go"))
        [effect] = bench.changes.effects
        return effect.dest

    assert [dest_of(domain, limits) for domain in ("gmail.com", "GMail.com", "yahoo.com", "web.de")] == ["gmail.com", "gmail.com", "yahoo.com", "web.de"]
    assert (dest_of("example.com", limits), dest_of("gmail.com", {})) == ("", "")


def test_a_full_queue_of_one_mail_domain_parks_only_its_contacts() -> None:
    bench = bench_of({"throttle": {"email": ["gmail.com"]}}, MAIL, email="ann@gmail.com")
    bench.step(Event("ann", "go"), full=frozenset({"email/gmail.com"}))
    assert bench.changes.parked == [("email/gmail.com", "ann")]
    bench.step(Event("ann", "go"), full=frozenset({"email/"}))
    assert len(bench.changes.effects) == 1


def test_what_is_held_is_due_later_than_not_before_and_knows_its_zone() -> None:
    bench = bench_of({}, TEXT, phone="+12025550123", timezone="Asia/Tokyo")
    bench.step(Event("ann", "go"), at=13 * HOUR)  # 22:00 in Tokyo
    [effect] = bench.changes.effects
    assert (effect.not_before_ms, effect.timezone) == (NOW + 23 * HOUR, "Asia/Tokyo")
    assert 0 < effect.spread_ms < HOUR // 2
    assert effect.due_ms == effect.not_before_ms + effect.spread_ms
    bench.step(Event("ann", "go"), at=24 * HOUR)
    [effect] = bench.changes.effects
    assert (effect.due_ms, effect.timezone) == (0, "Asia/Tokyo"), "asked again when it leaves its queue"


def test_a_send_that_is_withdrawn_before_its_time_no_cap_counts() -> None:
    held: dict[str, Any] = {
        "map": "m",
        "reentry": "parallel",
        "triggers": [{"event": "go"}],
        "path": [*MAIL["path"][:1], {"id": "g", "goal": {"event": "buy"}}],
    }
    bench = bench_of({"caps": [{"channel": "email", "at_most": 1, "per": "1d"}]}, held, email="ann@example.com")
    for hour in range(3):
        contact = bench.step(Event("ann", "go"), at=hour * HOUR)
    assert contact.sends["email"] == [NOW, NOW + DAY, NOW + 2 * DAY]
    contact = bench.step(Event("ann", "buy"), at=3 * HOUR)
    assert len(bench.changes.withdrawn) == 3
    assert (contact.sends["email"], contact.held) == ([NOW], {}), "the first was handed over, and nobody here knows whether it was sent"
    bench.step(Event("ann", "go"), at=4 * HOUR)
    assert bench.changes.effects[0].not_before_ms == NOW + DAY


def test_what_was_handed_over_counts_though_it_is_withdrawn() -> None:
    held: dict[str, Any] = {
        "map": "m",
        "reentry": "parallel",
        "triggers": [{"event": "go"}],
        "path": [*MAIL["path"][:1], {"id": "g", "goal": {"event": "buy"}}],
    }
    bench = bench_of({"caps": [{"channel": "email", "at_most": 2, "per": "1d"}]}, held, email="ann@example.com")
    for hour in range(3):
        bench.step(Event("ann", "go"), at=hour * HOUR)
    contact = bench.step(Event("ann", "buy"), at=3 * HOUR)
    assert contact.sends["email"] == [NOW, NOW + HOUR]


def test_what_a_contact_remembers_of_caps_is_bounded() -> None:
    bench = bench_of({"caps": [{"channel": "email", "at_most": 1, "per": "1d"}]}, MAIL, email="ann@example.com")
    for minute in range(60):
        contact = bench.step(Event("ann", "go"), at=minute * 60_000)
    assert (len(contact.held), len(contact.sends["email"])) == (32, 33)
