"""What every process measures about itself, and how the texts of all processes become one page.

A process has one `Metrics`; shards and pools publish its text with their heartbeat, and the gateway merges: counters and
histograms are summed, gauges keep their labels (of equal ones the largest stands). What lives in storage (effects by outcome, lag,
entries of elements) is not here: the gateway reads it at each scrape, so it is right after any restart. No label grows with contacts.
Observe per batch, not per record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from engine.conservation import drift, elements, maps_in

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FAST = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
SLOW = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000)

disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The metrics of one process. Times are seconds, sizes are bytes."""

    def __init__(self, version: str = "") -> None:
        self.registry = registry = CollectorRegistry()
        self.events_accepted = Counter("wayfare_events_accepted_total", "Items accepted for the log.", ["source"], registry=registry)
        self.events_rejected = Counter("wayfare_events_rejected_total", "Items refused, by reason.", ["reason"], registry=registry)
        self.records_applied = Counter("wayfare_records_applied_total", "Records that shards committed.", ["shard"], registry=registry)
        self.step = Histogram("wayfare_step_seconds", "Stepping one batch of one partition.", registry=registry, buckets=FAST)
        self.commit = Histogram("wayfare_commit_seconds", "One round trip of commits.", registry=registry, buckets=FAST)
        self.commit_batch = Histogram("wayfare_commit_batch_records", "Records of one commit.", registry=registry, buckets=SIZES)
        self.commits_fenced = Counter("wayfare_commits_fenced_total", "Commits refused because the lease was lost.", registry=registry)
        self.contacts_resident = Gauge("wayfare_contacts_resident", "Contacts in a shard's memory.", ["shard"], registry=registry)
        self.contacts_resident_bytes = Gauge("wayfare_contacts_resident_bytes", "Bytes of contacts in a shard's memory.", ["shard"], registry=registry)
        self.timer_lateness = Histogram("wayfare_timer_lateness_seconds", "How late timers fired.", registry=registry, buckets=SLOW)
        self.action = Histogram("wayfare_action_seconds", "One call of a provider.", ["channel", "provider"], registry=registry, buckets=SLOW)
        self.rate_limit_wait = Histogram("wayfare_rate_limit_wait_seconds", "Waiting for a rate limit.", ["channel"], registry=registry, buckets=SLOW)
        self.breaker_open = Gauge("wayfare_breaker_open", "Destinations whose breaker is open.", ["destination_class"], registry=registry)
        self.trigger_to_dispatch = Histogram(
            "wayfare_trigger_to_dispatch_seconds", "From the decision of an effect to its hand-over.", ["channel", "lane"], registry=registry, buckets=SLOW
        )
        self.gateway_request = Histogram("wayfare_gateway_request_seconds", "Answering a request.", ["route", "status"], registry=registry, buckets=FAST)
        if version:
            Gauge("wayfare_build_info", "Constant 1; the version is a label.", ["version"], registry=registry).labels(version).set(1)

    def exposition(self) -> str:
        """Everything as Prometheus text, for a scrape or for a heartbeat."""
        return generate_latest(self.registry).decode()


class _Page:
    """Metric families in the shape that prometheus_client prints."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self.families = families

    def collect(self) -> Iterable[Metric]:
        return self.families


def page(families: Iterable[Metric]) -> str:
    """Metric families as Prometheus text."""
    return generate_latest(_Page(families)).decode()


def merge(texts: Iterable[str]) -> list[Metric]:
    """The families of several processes as one: counters and histograms summed, of equal gauges the largest. What is no metrics text is left out."""
    families: dict[str, tuple[Metric, dict[tuple[str, tuple[tuple[str, str], ...]], float]]] = {}
    for text in texts:
        for found in _parsed(text):
            family, values = families.setdefault(found.name, (found, {}))
            for sample in found.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                if key not in values:
                    values[key] = sample.value
                else:
                    values[key] = max(values[key], sample.value) if family.type == "gauge" else values[key] + sample.value
    merged = []
    for name, (family, values) in sorted(families.items()):
        whole = Metric(name, family.documentation, family.type)
        for (sample_name, labels), value in values.items():
            whole.add_sample(sample_name, dict(labels), value)
        merged.append(whole)
    return merged


def _parsed(text: str) -> list[Metric]:
    try:
        return list(text_string_to_metric_families(text))
    except (ValueError, IndexError, KeyError):
        return []


def stored(*, counters: Mapping[str, int], depths: Mapping[str, Mapping[str, int]], lag: Mapping[int, tuple[int, int]], timers: int) -> list[Metric]:
    """The families that storage knows: what has been counted there in the same scripts that changed it (see conservation.py)."""
    waiting = GaugeMetricFamily("wayfare_timers_pending", "Contacts that wait for a time.", value=timers)
    return [*_of_log(counters, lag), *_of_maps(counters), *_of_outbox(counters, depths), waiting]


LANES = {"t": "transactional", "b": "bulk"}


def _of_log(counters: Mapping[str, int], lag: Mapping[int, tuple[int, int]]) -> Iterable[Metric]:
    yield CounterMetricFamily("wayfare_events_duplicate", "Records whose id was seen before.", value=counters.get("duplicates", 0))
    records = GaugeMetricFamily("wayfare_log_lag_records", "Records appended but not committed.", labels=["partition"])
    seconds = GaugeMetricFamily("wayfare_log_lag_seconds", "Age of the oldest record not committed.", labels=["partition"])
    for partition, (count, age_ms) in sorted(lag.items()):
        records.add_metric([str(partition)], count)
        seconds.add_metric([str(partition)], age_ms / 1000)
    yield from (records, seconds)


def _of_maps(counters: Mapping[str, int]) -> Iterable[Metric]:
    entries = CounterMetricFamily("wayfare_element_entries", "Arrivals at an element.", labels=["map", "element"])
    standing = GaugeMetricFamily("wayfare_contacts_at_element", "Positions at an element now.", labels=["map", "element"])
    drifts = GaugeMetricFamily("wayfare_conservation_drift", "Enrollments entered minus those accounted for; 0 or there is a fault.", labels=["map"])
    for map_id in maps_in(counters):
        drifts.add_metric([map_id], drift(counters, map_id))
        for element, (entered, left) in elements(counters, map_id).items():
            entries.add_metric([map_id, element], entered)
            standing.add_metric([map_id, element], entered - left)
    yield from (entries, standing, drifts)


def _of_outbox(counters: Mapping[str, int], depths: Mapping[str, Mapping[str, int]]) -> Iterable[Metric]:
    effects = CounterMetricFamily("wayfare_effects", "Effects by what became of them.", labels=["channel", "outcome"])
    for name, value in sorted(counters.items()):
        parts = name.split(":")
        if len(parts) == 3 and parts[0] == "fx" and parts[2] != "pending":
            effects.add_metric([parts[1], parts[2]], value)
    pending = GaugeMetricFamily("wayfare_outbox_pending", "Effects that wait in a lane.", labels=["channel", "lane"])
    oldest = GaugeMetricFamily("wayfare_outbox_oldest_seconds", "Age of the oldest effect in a lane.", labels=["channel", "lane"])
    dead = GaugeMetricFamily("wayfare_dead_letters", "Effects that are out of attempts.", labels=["channel"])
    unknown = GaugeMetricFamily("wayfare_unknown_outcomes", "Effects of which nobody knows whether they were delivered.", labels=["channel"])
    for channel, depth in sorted(depths.items()):
        for mark, lane in LANES.items():
            pending.add_metric([channel, lane], depth.get(f"pending:{mark}", 0))
            oldest.add_metric([channel, lane], depth.get(f"oldest_ms:{mark}", 0) / 1000)
        dead.add_metric([channel], depth.get("dead", 0))
        unknown.add_metric([channel], depth.get("unknown", 0))
    yield from (effects, pending, oldest, dead, unknown)
