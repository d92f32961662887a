"""What must hold when the demo is over: the sinks' counts against the engine's, the engine's against themselves, and both against the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from benchmarks.deployment import Deployment, Metrics, Sinks, lag_of, unsettled_of
from ops.demo.replay import Replay, Truth

SENDS: Mapping[str, tuple[str, str, str]] = {
    "email:Thank you": ("welcome", "thanks", "email"),
    "email:A voucher for you": ("welcome", "voucher", "email"),
    "email:We miss you": ("win-back", "miss-you", "email"),
    "email:New VIP": ("lifetime-value", "tell-eve", "email"),
    "sms": ("welcome", "text", "sms"),
    "webhook:/crm": ("lifetime-value", "tell-crm", "webhook"),
}
"""What the sinks count: the map, the element that sends it, its channel."""

CHANNELS = ("email", "sms", "webhook")
ENDED = ("delivered", "suppressed", "withdrawn", "unknown")
MAY_COME_TWICE = "webhook"  # delivered at least once, with an id that lets the receiver see it: where a process was killed


class Check(msgspec.Struct, frozen=True):
    """One truth: what it says, what it should be, what was found."""

    says: str
    wanted: object
    found: object

    @property
    def holds(self) -> bool:
        return self.wanted == self.found


class Outcome(msgspec.Struct, frozen=True):
    """Everything that was counted, and the checks of it."""

    checks: list[Check]
    maps: dict[str, dict[str, Any]]  # map → the answer of its stats
    channels: dict[str, dict[str, int]]  # channel → outcome → effects
    kinds: dict[str, int]  # what the sinks counted

    @property
    def holds(self) -> bool:
        return all(check.holds for check in self.checks)


def judge(deployment: Deployment, sinks: Sinks, replay: Replay, truth: Truth, maps: list[str]) -> Outcome:
    """Count everything and compare. The logs are read and the outbox is empty."""
    metrics, counts = deployment.metrics(), sinks.counts()
    stats = {name: deployment.stats(name) for name in maps}
    channels = {channel: _outcomes(metrics, channel) for channel in CHANNELS}
    checks = [
        *_of_the_data(sinks, replay, truth, metrics, {channel: found.get("unknown", 0) for channel, found in channels.items()}),
        *_of_the_messages(_once(counts), channels),
        *_of_the_engine(stats, channels, metrics),
        Check("messages that came twice", 0, _not_allowed(counts["duplicates_by_kind"])),
    ]
    return Outcome(checks, stats, channels, counts["kinds"])


def _once(counts: Mapping[str, Any]) -> dict[str, int]:
    """Messages by kind, each counted once."""
    return {kind: count - counts["duplicates_by_kind"].get(kind, 0) for kind, count in counts["kinds"].items()}


def _not_allowed(duplicates: Mapping[str, int]) -> int:
    return sum(count for kind, count in duplicates.items() if not kind.startswith(MAY_COME_TWICE))


def _but_for(unknown: int, wanted: int, found: int) -> int:
    """What was found, as the wanted figure where the difference is within what is listed as unknown: it may have arrived or not.

    Nothing is unknown unless a process was killed between handing over and hearing.
    """
    return wanted if wanted - unknown <= found <= wanted else found


def _of_the_data(sinks: Sinks, replay: Replay, truth: Truth, metrics: Metrics, unknown: Mapping[str, int]) -> list[Check]:
    """What the purchases alone say must have come of them."""
    thanks = sinks.recipients("email:Thank+you")
    texts = sinks.recipients("sms")
    vips = sinks.recipients("webhook:/crm")
    return [
        Check("events sent twice on purpose and found to be so", replay.repeated, min(replay.repeated, int(metrics.total("wayfare_events_duplicate_total")))),
        Check("thank-you emails, one for each who may get email", len(truth.thanks), _but_for(unknown["email"], len(truth.thanks), len(thanks))),
        Check("… and to nobody else", 0, len(set(thanks) - truth.thanks)),
        Check("SMS, one for each who opted in", len(truth.texts), _but_for(unknown["sms"], len(truth.texts), len(texts))),
        Check("… and to nobody else", 0, len(set(texts) - truth.texts)),
        Check("webhooks, one for each who spent 200 dollars", len(truth.vips), len(set(vips))),
        Check("… and for nobody else", 0, len(set(vips) - truth.vips)),
        Check("notices to Eve of new VIPs", len(truth.vips), _but_for(unknown["email"], len(truth.vips), sinks.counts()["kinds"].get("email:New VIP", 0))),
    ]


def _of_the_messages(kinds: Mapping[str, int], channels: Mapping[str, Mapping[str, int]]) -> list[Check]:
    """What the sinks counted is what the outbox says was delivered, and nothing else came."""
    arrived = dict.fromkeys(CHANNELS, 0)
    for kind, count in kinds.items():
        arrived[SENDS[kind][2] if kind in SENDS else kind] = arrived.get(SENDS[kind][2] if kind in SENDS else kind, 0) + count
    checks = []
    for channel, count in arrived.items():
        outcomes = channels.get(channel, {})
        delivered, unknown = outcomes.get("delivered", 0), outcomes.get("unknown", 0)
        checks.append(Check(f"{channel}: counted by the sink = delivered", delivered + unknown, _but_for(unknown, delivered + unknown, count)))
    return checks


def _of_the_engine(stats: Mapping[str, dict[str, Any]], channels: Mapping[str, Mapping[str, int]], metrics: Metrics) -> list[Check]:
    """Nothing is lost inside: every enrollment and every effect is accounted for."""
    checks = [
        Check("records accepted and not committed", 0, lag_of(metrics)),
        Check("effects decided and not settled", 0, unsettled_of(metrics)),
    ]
    came = sum(_entered(stats, name, element) for name, element, _ in SENDS.values())
    suppressed = sum(found["suppressed"] for found in stats.values())
    decided = sum(outcomes["decided"] for outcomes in channels.values())
    checks.append(Check("arrivals at elements that send = effects decided + suppressed for want of consent", came, decided + suppressed))
    for channel, outcomes in channels.items():
        checks.append(
            Check(f"{channel}: decided = delivered + suppressed + withdrawn + unknown", outcomes["decided"], sum(outcomes.get(end, 0) for end in ENDED))
        )
    for name, found in stats.items():
        check = found["conservation"]
        checks.append(Check(f"{name}: entered = accounted for", check["entered"], check["entered"] - check["drift"]))
    return checks


def _outcomes(metrics: Metrics, channel: str) -> dict[str, int]:
    found = metrics.by("wayfare_effects_total", "outcome", channel=channel)
    return {"decided": 0, **{outcome: int(count) for outcome, count in found.items()}}


def _entered(stats: Mapping[str, dict[str, Any]], map_id: str, element: str) -> int:
    return sum(found["entered"] for found in stats[map_id]["elements"] if found["element"] == element)
