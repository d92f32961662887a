"""The fan-out suite: one event becomes many effects, and these go through rate-limited pools.

`free`: contacts are added to a map that mails, texts and calls a webhook for each, with no limit: effects a second by channel, until the sinks have the last.
`limited`: the same under a limit for each channel; the sinks' own clocks say how many came in any one second. `fair`: mails of another map (transactional,
and promotional in the same lane as the bulk) are followed from the 202 to the sink, in quiet and while a bulk of mails stands before the pool.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from benchmarks.client import Checks, all_right, in_words, percentiles, wait_until_none
from benchmarks.deployment import Deployment, Ledgers, Sinks, wait_until_settled
from benchmarks.markers import Markers, map_of, note_until_arrived, template_of
from engine.config import Config

ADDED_AT_ONCE = 5_000
IMPORTED_AT_ONCE = 1_000
SETTLE_S_MAX = 900
LIMITS_S = 1.5  # pools promise to heed new limits within a second
LATENCIES = ("transactional", "promotional")

Say = Callable[[str], None]


class Size(msgspec.Struct, frozen=True):
    """`rates`: (channel, effects a second) while limited. `bulk` mails wait while the markers are sent, let go at `bulk_rate` a second."""

    contacts: int = 20_000
    rates: tuple[tuple[str, int], ...] = (("email", 1_000), ("sms", 400), ("webhook", 800))
    bulk: int = 1_000_000
    bulk_rate: int = 4_000
    markers: int = 300
    markers_per_s: float = 10


FULL = Size()
SMALL = Size(contacts=100, rates=(("email", 100), ("sms", 70), ("webhook", 85)), bulk=600, bulk_rate=300, markers=8, markers_per_s=16)


def steps(size: Size) -> int:
    """How many lines `run` will say."""
    return 2 + 2 * len(LATENCIES) + 1


def documents(sinks: Sinks, rates: dict[str, str]) -> dict[str, Any]:
    """The workspace: two campaigns over three channels, a newsletter, and two maps that mail for one event."""
    return {
        "maps": [
            *(_campaign(name, sinks.url) for name in ("free", "limited")),
            {"map": "newsletter", "triggers": ["added"], "path": [{"id": "mail", "send_email": {"template": "newsletter"}}, "exit"]},
            *(map_of(name, transactional=name == "transactional") for name in LATENCIES),
        ],
        "sequences": [],
        "templates": {name: template_of(name) for name in ("free", "limited", "newsletter", *LATENCIES)},
        "products": {},
        "team": {},
        "routers": {},
        "fulfillment": {},
        "limits": {"timezone": "UTC", "rates": rates, "quiet_hours": {"sms": None}},
        "providers": {
            "email": {"provider": "smtp", "host": "127.0.0.1", "port": sinks.smtp_port, "from": "Shop <shop@example.com>", "tls": "never"},
            "sms": {"provider": "twilio", "base_url": sinks.url, "account": "AC1", "token": "none", "from": "+12025550100"},
            "webhook": {"secret": "whsec_YmVuY2htYXJrLWJlbmNobWFyay1iZW5jaG1hcms=", "allow_private": True},
        },
    }


def _campaign(name: str, url: str) -> dict[str, Any]:
    return {
        "map": name,
        "triggers": ["added"],
        "path": [
            {"id": "mail", "send_email": {"template": name}},
            {"id": "text", "send_sms": {"text": f"Hello, {name}"}},
            {"id": "call", "send_webhook": {"url": f"{url}/{name}", "headers": {"content-type": "application/json"}, "body": '{"contact": "{{ email }}"}'}},
            "exit",
        ],
    }


def kinds(name: str) -> dict[str, str]:
    """What the sinks call a campaign's messages, by channel. They call every SMS the same."""
    return {"email": f"email:{name}", "sms": "sms", "webhook": f"webhook:/{name}"}


def run(size: Size, folder: Path, say: Say) -> list[dict[str, Any]]:
    """One result, all of it on one deployment."""
    data = folder / "fanout"
    with Sinks() as sinks, Deployment(data) as deployment, closing(Ledgers(data, Config())) as ledgers:
        bench = _Bench(size, deployment, sinks, ledgers)
        free = bench.campaign("free", {})
        say("no limits: " + ", ".join(f"{channel} {found['per_s']:,}/s" for channel, found in free.items()))
        limited = bench.campaign("limited", dict(size.rates))
        say("limited: " + ", ".join(f"{channel} {found['mean_per_s']:,} of {found['limit_per_s']:,}/s" for channel, found in limited.items()))
        fair = dict(bench.fairness(say))
        checks = bench.checks(limited)
    say(in_words(checks))
    figures = {"free": free, "limited": limited, "fair": fair}
    return [{"suite": "fanout", "size": msgspec.to_builtins(size), "figures": figures, "checks": checks, "holds": all_right(checks)}]


class _Bench:
    """The deployment, with everybody imported."""

    def __init__(self, size: Size, deployment: Deployment, sinks: Sinks, ledgers: Ledgers) -> None:
        self._size, self._deployment, self._sinks, self._ledgers = size, deployment, sinks, ledgers
        self._sent: Counter[str] = Counter()  # markers, by what the sink calls them
        everybody = max(size.contacts, size.bulk)
        for start in range(0, everybody, IMPORTED_AT_ONCE):
            body = msgspec.json.encode([_contact(number) for number in range(start, min(everybody, start + IMPORTED_AT_ONCE))])
            deployment.api.request("POST", "/v1/contacts", body)
        wait_until_settled(deployment, SETTLE_S_MAX)

    def _publish(self, rates: dict[str, int]) -> None:
        self._deployment.publish(documents(self._sinks, {channel: f"{rate}/s" for channel, rate in rates.items()}))
        wait_until_settled(self._deployment)  # every partition has read it
        time.sleep(LIMITS_S if rates else 0)

    def _add(self, name: str, count: int) -> None:
        for start in range(0, count, ADDED_AT_ONCE):
            contacts = [f"c{number}" for number in range(start, min(count, start + ADDED_AT_ONCE))]
            self._deployment.api.json("POST", f"/v1/maps/{name}/contacts", {"contacts": contacts})

    def campaign(self, name: str, rates: dict[str, int]) -> dict[str, dict[str, Any]]:
        """Everybody into a campaign, until all is sent: what came, by channel."""
        self._publish(rates)
        begun_s = time.monotonic()
        self._add(name, self._size.contacts)
        wait_until_settled(self._deployment, SETTLE_S_MAX)
        found = {}
        for channel, kind in kinds(name).items():
            times_s = [at_s for _, at_s in self._sinks.arrivals(kind) if at_s > begun_s]
            found[channel] = paced(times_s, begun_s, rates.get(channel))
        return found

    def fairness(self, say: Say) -> Iterator[tuple[str, dict[str, Any]]]:
        """Latencies of single mails, in quiet and while the bulk drains."""
        size = self._size
        self._publish({"email": size.bulk_rate})
        for phase, bulk in (("quiet", 0), ("behind the bulk", size.bulk)):
            self._add("newsletter", bulk)
            wait_until_none(self._ledgers.lag, 0.1)  # all of the bulk is decided
            for name in LATENCIES:
                before = self._ledgers.pending("email")
                took = self._followed(name, first=2 * size.markers if bulk else 0)
                waiting = {"mails_waiting_before": before, "mails_waiting_after": self._ledgers.pending("email")}
                say(f"{name}, {phase}: p50 {took['50']} ms, p99 {took['99']} ms from acceptance to the sink, {before:,} mails waiting")
                yield f"{name}, {phase}", {**waiting, "percentiles": took}
        wait_until_settled(self._deployment, SETTLE_S_MAX)

    def _followed(self, name: str, first: int) -> dict[str, float]:
        """Percentiles of the milliseconds from the 202 to the sink, of single mails of one map."""
        with Markers(self._deployment, self._size.markers_per_s, first, name) as markers:
            time.sleep(self._size.markers / self._size.markers_per_s)
        note_until_arrived(markers.sent, self._sinks, name)
        self._sent[f"email:{name}"] += len(markers.sent)
        return percentiles([one.dispatch_ms for one in markers.sent])

    def checks(self, limited: dict[str, dict[str, Any]]) -> Checks:
        """What the sinks counted, who is where, and that no channel went beyond its limit."""
        size, counts = self._size, self._sinks.counts()
        wanted = {kind: size.contacts for name in ("free", "limited") for kind in kinds(name).values()}
        wanted |= {"sms": 2 * size.contacts, "email:newsletter": size.bulk, **self._sent}
        checks: Checks = {f"{kind} at the sink": (number, counts["kinds"].get(kind, 0)) for kind, number in wanted.items()}
        checks["messages that came twice"] = (0, counts["duplicates"])
        for name in ("free", "limited", "newsletter", *LATENCIES):
            checks[f"{name}: contacts unaccounted for"] = (0, self._deployment.stats(name)["conservation"]["drift"])
        for channel, found in limited.items():
            checks[f"{channel}: beyond its limit"] = (0, found["beyond_the_limit"])
        return checks


def paced(times_s: list[float], begun_s: float, limit: int | None) -> dict[str, Any]:
    """What arrived, and how fast. With a limit: its mean from the first to the last, the most in any one second, and how many came beyond what the
    limit gives for the whole time and a second more (a grant lives for a second, so as much can be under way)."""
    times_s = sorted(times_s)
    found: dict[str, Any] = {"arrived": len(times_s), "per_s": round(len(times_s) / (times_s[-1] - begun_s)) if times_s else 0}
    if limit and times_s:
        span_s = times_s[-1] - times_s[0]
        by_second = [0] * (int(span_s) + 1)
        for at_s in times_s:
            by_second[int(at_s - times_s[0])] += 1
        found |= {
            "limit_per_s": limit,
            "mean_per_s": round((len(times_s) - 1) / span_s) if span_s else 0,
            "most_in_a_second": most_within(times_s, 1),
            "beyond_the_limit": max(0, len(times_s) - int(limit * (span_s + 1))),
            "series": {"arrived_per_s": [(second + 0.5, number) for second, number in enumerate(by_second)]},
        }
    return found


def most_within(times_s: list[float], window_s: float) -> int:
    """The most of these (sorted) that lie within any window of this length."""
    most = first = 0
    for last, at_s in enumerate(times_s):
        while at_s - times_s[first] >= window_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def _contact(number: int) -> dict[str, Any]:
    fields = {"email": f"c{number}@example.com", "phone": f"+1202{number:07d}"}
    return {"contact": f"c{number}", "fields": fields, "consent": {"sms": "subscribed"}}


def table(found: list[dict[str, Any]]) -> Table:
    """Channels with and without limits, then the latencies."""
    figures = found[0]["figures"]
    shown = Table("", "limit/s", "mean/s", "most in a second", "p50 ms", "p99 ms", title="fan-out through the pools")
    for channel, free in figures["free"].items():
        limited = figures["limited"][channel]
        shown.add_row(f"{channel}, no limit", "", f"{free['per_s']:,}")
        shown.add_row(f"{channel}, limited", f"{limited['limit_per_s']:,}", f"{limited['mean_per_s']:,}", f"{limited['most_in_a_second']:,}")
    for name, fair in figures["fair"].items():
        shown.add_row(name, "", "", "", f"{fair['percentiles']['50']:,}", f"{fair['percentiles']['99']:,}")
    shown.caption = in_words(found[0]["checks"])
    return shown
