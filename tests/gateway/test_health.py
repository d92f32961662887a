"""Health, metrics, status, and the description of it all."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine.codec import encode
from engine.core.effects import Effect
from engine.core.errors import Unavailable
from engine.metrics import Metrics


async def sample(gateway, name, path="/metrics", **labels):
    """The value of one sample on the metrics page, None where there is none."""
    text = await (await gateway.client.get(path)).text()
    found = [
        one.value for family in text_string_to_metric_families(text) for one in family.samples if one.name == name and labels.items() <= one.labels.items()
    ]
    return found[0] if found else None


async def test_ready_says_the_durability_and_needs_storage(gateway):
    assert (await (await gateway.client.get("/readyz")).json())["durability"] == "fsync"
    assert (await gateway.client.get("/startupz")).status == 200

    async def away():
        raise Unavailable

    gateway.services.directory.ping = away
    answer = await gateway.client.get("/readyz")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert (await gateway.client.get("/livez")).status == 200


async def test_metrics_count_what_was_accepted_and_rejected(gateway):
    await gateway.call("POST", "/v1/events", [{"contact": "a", "name": "n"}, {"contact": "b", "name": "n"}, {"contact": ""}])
    assert await sample(gateway, "wayfare_events_accepted_total", source="events") == 2
    assert await sample(gateway, "wayfare_events_rejected_total", reason="invalid") == 1
    assert await sample(gateway, "wayfare_gateway_request_seconds_count", route="POST /v1/events", status="207") == 1
    lags = [await sample(gateway, "wayfare_log_lag_records", partition=str(partition)) for partition in range(4)]
    assert sum(lags) == 2


async def test_metrics_of_storage_stand_on_the_page(gateway):
    counters = {
        "map:welcome:entered": 5,
        "map:welcome:active": 3,
        "map:welcome:exited": 1,
        "el:welcome:thanks:in": 5,
        "el:welcome:thanks:out": 2,
        "duplicates": 7,
    }
    effect = Effect("0" * 32, "ann", "send_email", "email", "t", "", "welcome", 1, "thanks", 1, 1, 0, 1, 0)
    gateway.commit("ann", counters=counters, effects=[effect])
    assert await sample(gateway, "wayfare_element_entries_total", map="welcome", element="thanks") == 5
    assert await sample(gateway, "wayfare_contacts_at_element", map="welcome", element="thanks") == 3
    assert await sample(gateway, "wayfare_conservation_drift", map="welcome") == 1
    assert await sample(gateway, "wayfare_events_duplicate_total") == 7
    assert await sample(gateway, "wayfare_effects_total", channel="email", outcome="decided") == 1
    assert await sample(gateway, "wayfare_outbox_pending", channel="email", lane="transactional") == 1
    assert await sample(gateway, "wayfare_outbox_pending", channel="email", lane="bulk") == 0


async def test_one_scrape_shows_every_process(gateway):
    for name in ("shard-1", "shard-2"):
        metrics = Metrics()
        metrics.records_applied.labels(name).inc(10)
        metrics.commits_fenced.inc()
        metrics.step.observe(0.002)
        gateway.store.control.beat(name, encode({"role": "shard", "name": name, "pid": 1, "metrics": metrics.exposition()}), 1_000)
    assert await sample(gateway, "wayfare_records_applied_total", shard="shard-2") == 10
    assert await sample(gateway, "wayfare_commits_fenced_total") == 2
    assert await sample(gateway, "wayfare_step_seconds_count") == 2
    assert await sample(gateway, "wayfare_commits_fenced_total", "/metrics?process=shard-1") == 1
    assert (await gateway.client.get("/metrics?process=none")).status == 404
    targets = await (await gateway.client.get("/metrics/targets")).json()
    assert [one["labels"]["__param_process"] for one in targets] == ["gateway", "shard-1", "shard-2"]


async def test_a_heartbeat_that_is_nonsense_harms_nothing(gateway):
    for value in (b"\xc1", encode(7), encode({"name": 5, "metrics": 7}), encode({"metrics": "no { metrics"})):
        gateway.store.control.beat("odd", value, 1_000)
        assert (await gateway.client.get("/metrics")).status == 200
        assert (await gateway.call("GET", "/v1/status")).status == 200


async def test_metrics_are_there_while_storage_is_away(gateway):
    async def away():
        raise Unavailable

    gateway.services.directory.processes = gateway.services.directory.counters = away
    assert (await gateway.client.get("/metrics")).status == 200


async def test_status_shows_lag_and_conservation(gateway):
    gateway.commit("ann", counters={"map:welcome:entered": 2, "map:welcome:active": 2})
    await gateway.call("POST", "/v1/events", {"contact": "ann", "name": "n"})
    body = await (await gateway.call("GET", "/v1/status", scope="read")).json()
    assert body["lag_records"] == 1
    assert len(body["partitions"]) == 4
    assert body["conservation"]["holds"] is True
    assert body["conservation"]["maps"]["welcome"]["active"] == 2


async def test_a_fault_that_nobody_thought_of_is_a_problem_with_an_instance(gateway):
    async def broken():
        raise RuntimeError("inner detail")

    gateway.services.directory.counters = broken
    answer = await gateway.call("GET", "/v1/maps")
    body = await answer.json()
    assert (answer.status, body["type"]) == (500, "/problems/internal")
    assert re.fullmatch("[0-9a-f]{16}", body["instance"])
    assert "inner detail" not in str(body)


async def test_other_methods_are_405_and_other_paths_404(gateway):
    wrong = await gateway.call("PUT", "/v1/events", b"")
    assert (wrong.status, wrong.headers["Allow"], wrong.content_type) == (405, "POST", "application/problem+json")
    assert (await gateway.call("GET", "/v1/nothing")).status == 404


async def test_the_description_has_every_route_and_the_limits(gateway):
    document = await (await gateway.client.get("/openapi.json")).json()
    assert document["x-limits"]["event_bytes_max"] == 32 * 1024
    assert document["paths"]["/v1/events"]["post"]["security"]
    text = str(document)
    for name in re.findall(r"#/components/schemas/(\w+)", text):
        assert name in document["components"]["schemas"]
    identifiers = [operation["operationId"] for operations in document["paths"].values() for operation in operations.values()]
    assert len(identifiers) == len(set(identifiers))


async def test_the_pages_load_nothing_from_elsewhere(gateway):
    for path in ("/docs", "/problems/busy"):
        answer = await gateway.client.get(path)
        assert (answer.status, answer.content_type) == (200, "text/html")
        assert "http" not in (await answer.text()).replace("http_sd", "")
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/v1/dead-letters?limit=0", "/v1/audit?limit=x", "/v1/maps/m?version=-1"])
async def test_bad_parameters_are_told(gateway, path):
    answer = await gateway.call("GET", path)
    assert answer.status in {400, 404}
