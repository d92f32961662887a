"""What `/v1/events` accepts, and what it answers."""

from __future__ import annotations

import gzip

import pytest
import zstandard

from engine.core.errors import Full, ResultUnknown, Unavailable
from engine.core.records import Event

LINES = {"Content-Type": "application/x-ndjson"}


def event(number: int, **more):
    return {"contact": f"c{number}", "name": "order.placed", "id": f"e-{number}", "data": {"total": number}, **more}


async def test_one_event_stands_in_the_log_as_it_was_sent(gateway):
    answer = await gateway.call("POST", "/v1/events", event(1, time="2026-01-05T09:00:00+01:00"), scope="ingest")
    assert answer.status == 202
    assert await answer.json() == {"accepted": 1}
    assert gateway.records() == [Event("c1", "order.placed", {"total": 1}, "e-1", 1_767_600_000_000)]


@pytest.mark.parametrize("time", [1_767_600_000_000, 1_767_600_000_000.0, "2026-01-05T08:00:00Z", "2026-01-05t08:00:00.000z"])
async def test_a_time_may_be_text_or_milliseconds(gateway, time):
    assert (await gateway.call("POST", "/v1/events", event(1, time=time))).status == 202
    assert gateway.records()[0].time == 1_767_600_000_000


async def test_null_is_the_same_as_absent(gateway):
    assert (await gateway.call("POST", "/v1/events", {"contact": "a", "name": "n", "id": None, "time": None, "data": None})).status == 202
    assert gateway.records() == [Event("a", "n")]


async def test_an_array_and_lines_are_many_events(gateway):
    array = await gateway.call("POST", "/v1/events", [event(number) for number in range(50)])
    lines = await gateway.call("POST", "/v1/events", b'{"contact":"x","name":"n"}\r\n\n{"contact":"y","name":"n"}', headers=LINES)
    assert (array.status, lines.status) == (202, 202)
    assert (await array.json(), await lines.json()) == ({"accepted": 50}, {"accepted": 2})
    assert len(gateway.records()) == 52


async def test_events_of_one_contact_keep_their_order(gateway):
    await gateway.call("POST", "/v1/events", [{"contact": "ann", "name": f"n{number}"} for number in range(100)])
    assert [record.name for record in gateway.records()] == [f"n{number}" for number in range(100)]


async def test_an_empty_array_is_fine(gateway):
    answer = await gateway.call("POST", "/v1/events", [])
    assert (answer.status, await answer.json()) == (202, {"accepted": 0})


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("gzip", lambda body: gzip.compress(body[:10]) + gzip.compress(body[10:])),
        ("zstd", zstandard.ZstdCompressor().compress),
        ("zstd", zstandard.ZstdCompressor(write_content_size=False).compress),
        ("identity", bytes),
    ],
)
async def test_bodies_may_be_compressed(gateway, encoding, pack):
    body = b"[" + b",".join(b'{"contact":"c%d","name":"n"}' % number for number in range(1000)) + b"]"
    answer = await gateway.call("POST", "/v1/events", pack(body), headers={"Content-Encoding": encoding})
    assert (answer.status, await answer.json()) == (202, {"accepted": 1000})


async def test_bad_items_are_told_by_their_index_and_the_rest_gets_in(gateway):
    items = [event(0), {"contact": "", "name": "n"}, event(2), {"contact": "a"}, {"contact": "a", "name": "n", "data": 3}, 7, event(6)]
    answer = await gateway.call("POST", "/v1/events", items)
    body = await answer.json()
    assert answer.status == 207
    assert body["accepted"] == 3
    assert [one["index"] for one in body["rejected"]] == [1, 3, 4, 5]
    assert all(one["error"] for one in body["rejected"])
    assert sorted(record.contact for record in gateway.records()) == ["c0", "c2", "c6"]


async def test_a_broken_line_is_told_by_its_index(gateway):
    answer = await gateway.call("POST", "/v1/events", b'{"contact":"a","name":"n"}\n\n{"contact":\n{"contact":"b","name":"n"}', headers=LINES)
    body = await answer.json()
    assert (answer.status, body["accepted"], [one["index"] for one in body["rejected"]]) == (207, 2, [1])


async def test_all_bad_is_422_with_every_index(gateway):
    answer = await gateway.call("POST", "/v1/events", [{"contact": "a"}, {"name": "n"}])
    body = await answer.json()
    assert (answer.status, answer.content_type, body["type"]) == (422, "application/problem+json", "/problems/invalid")
    assert [one["index"] for one in body["rejected"]] == [0, 1]
    assert gateway.records() == []


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"contact": "x" * 257}, "contact"),
        ({"contact": "a\nb"}, "control"),
        ({"contact": "a\u0085b"}, "control"),
        ({"contact": 5}, "contact"),
        ({"name": ""}, "name"),
        ({"name": "n" * 201}, "name"),
        ({"name": "a\x00"}, "control"),
        ({"data": [1]}, "data"),
        ({"data": {"x": 2**64}}, "64 bits"),
        ({"data": {"x": [{"y": -(2**63) - 1}]}}, "64 bits"),
        ({"time": "yesterday"}, "RFC3339"),
        ({"time": "2026-01-05T09:00:00"}, "timezone"),
        ({"time": 1e300}, "time"),
        ({"time": 2**70}, "time"),
        ({"time": True}, "time"),
        ({"id": 5}, "id"),
        ({"__proto__": {}}, "__proto__"),
        ({"tag": "vip"}, "tag"),
    ],
)
async def test_what_no_event_may_hold(gateway, more, word):
    answer = await gateway.call("POST", "/v1/events", [event(0), event(1, **more)])
    body = await answer.json()
    assert (answer.status, body["accepted"], body["rejected"][0]["index"]) == (207, 1, 1)
    assert word in body["rejected"][0]["error"]


@pytest.mark.parametrize("contact", ["Zoë", "👩‍👩‍👧", "a b", "a\u00a0b", "__proto__", "x" * 256, "{p1}", "'; drop table", "a/b%2F"])
async def test_a_contact_id_may_be_nearly_any_text(gateway, contact):
    assert (await gateway.call("POST", "/v1/events", {"contact": contact, "name": "n"})).status == 202
    assert gateway.records()[0].contact == contact


@pytest.mark.parametrize("value", [2**64 - 1, -(2**63), 1.5, True, None, "\x00", {"__proto__": {"tag": 1}}, {"": ""}, [[[[1]]]]])
async def test_data_may_hold_what_can_be_stored(gateway, value):
    assert (await gateway.call("POST", "/v1/events", event(1, data={"x": value}))).status == 202
    assert gateway.records()[0].data == {"x": value}


@pytest.mark.parametrize(
    "body",
    [b"", b"  ", b"{", b"[", b"nope", b"[1,2", b'{"contact":"a","name":"n"} x', b'[{"contact":"a","name":"n"},]', b"[}", b"]", b'{"a":NaN}', b'[{"x":tru}]'],
)
async def test_what_is_no_json_is_unreadable(gateway, body):
    answer = await gateway.call("POST", "/v1/events", body)
    assert (answer.status, (await answer.json())["type"]) == (400, "/problems/unreadable")


async def test_lone_surrogates_and_broken_text_are_the_fault_of_their_item(gateway):
    body = b'[{"contact":"a","name":"n"},{"contact":"\\ud800","name":"n"},{"contact":"\xff","name":"n"},{"contact":"b","name":"n"}]'
    answer = await gateway.call("POST", "/v1/events", body)
    found = await answer.json()
    assert (answer.status, found["accepted"], [one["index"] for one in found["rejected"]]) == (207, 2, [1, 2])


@pytest.mark.parametrize("depth", [33, 1_000, 100_000])
async def test_nesting_is_bounded(gateway, depth):
    deep = b'{"contact":"a","name":"n","data":{"x":' + b"[" * depth + b"]" * depth + b"}}"
    alone = await gateway.call("POST", "/v1/events", deep)
    among = await gateway.call("POST", "/v1/events", b'[{"contact":"b","name":"n"},' + deep + b"]")
    lines = await gateway.call("POST", "/v1/events", b'{"contact":"b","name":"n"}\n' + deep, headers=LINES)
    assert alone.status == (413 if depth > 10_000 else 422)
    for answer in (among, lines):
        body = await answer.json()
        assert (answer.status, body["accepted"], body["rejected"][0]["index"]) == (207, 1, 1)


async def test_nesting_within_the_bound_is_fine(gateway):
    deep = b'{"contact":"a","name":"n","data":{"x":' + b"[" * 31 + b"]" * 31 + b"}}"
    assert (await gateway.call("POST", "/v1/events", b"[" + b",".join([deep] * 100) + b"]")).status == 202


async def test_many_flat_items_do_not_hide_a_deep_one(gateway):
    flat = [{"contact": "a", "name": "n"} for _ in range(200)]
    deep: dict = {"contact": "b", "name": "n", "data": {}}
    inner = deep["data"]
    for _ in range(60):
        inner["x"] = inner = {}
    answer = await gateway.call("POST", "/v1/events", [*flat, deep, *flat])
    assert (answer.status, (await answer.json())["rejected"][0]["index"]) == (207, 200)


async def test_an_event_has_a_size(gateway):
    large = event(1, data={"x": "y" * 33_000})
    alone = await gateway.call("POST", "/v1/events", large)
    among = await gateway.call("POST", "/v1/events", [event(0), large, event(2)])
    assert (alone.status, (await alone.json())["rejected"][0]["index"]) == (413, 0)
    assert (among.status, [one["index"] for one in (await among.json())["rejected"]]) == (207, [1])


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "application/yaml", "a/b;;;"])
async def test_other_types_are_415(gateway, content_type):
    assert (await gateway.call("POST", "/v1/events", event(1), headers={"Content-Type": content_type})).status == 415


@pytest.mark.parametrize("content_type", ["application/json; charset=UTF-8", "Application/JSON", 'application/json; charset="utf-8"'])
async def test_json_may_be_said_in_several_ways(gateway, content_type):
    assert (await gateway.call("POST", "/v1/events", event(1), headers={"Content-Type": content_type})).status == 202


async def test_other_encodings_are_415(gateway):
    answer = await gateway.call("POST", "/v1/events", b"x", headers={"Content-Encoding": "br"})
    assert (answer.status, answer.headers["Accept-Encoding"]) == (415, "gzip, zstd")


async def test_too_many_items_are_413(gateway):
    answer = await gateway.call("POST", "/v1/events", b"[" + b",".join([b'{"contact":"a","name":"n"}'] * 10_001) + b"]")
    assert answer.status == 413
    assert gateway.records() == []


async def test_a_full_log_is_429_and_storage_away_is_503(gateway):
    failure = []

    async def fail(batches, *, reserve=False):
        raise failure[-1]

    gateway.services.intake.append = fail
    for error, status in [(Full("full", 2_500), 429), (Unavailable(), 503), (ResultUnknown(), 503), (RuntimeError("?"), 503)]:
        failure.append(error)
        answer = await gateway.call("POST", "/v1/events", [event(1), event(2)])
        assert answer.status == status
        assert int(answer.headers["Retry-After"]) >= 1


async def test_where_one_partition_is_full_the_others_get_in(gateway):
    straight = gateway.services.intake.append

    async def some_full(batches, *, reserve=False):
        answers = await straight({partition: batch for partition, batch in batches.items() if partition})
        return {partition: answers.get(partition, Full("full")) for partition in batches}

    gateway.services.intake.append = some_full
    items = [event(0), {"contact": ""}, *[event(number) for number in range(2, 40)]]
    answer = await gateway.call("POST", "/v1/events", items)
    body = await answer.json()
    accepted = {record.contact for record in gateway.records()}
    assert answer.status == 207
    assert body["accepted"] == len(accepted) > 0
    assert {one["index"] for one in body["rejected"]} == {index for index, item in enumerate(items) if item["contact"] not in accepted}
    assert 1 in {one["index"] for one in body["rejected"]}


async def test_an_idempotency_key_answers_the_same_again(gateway):
    headers = {"Idempotency-Key": "k-1"}
    body = [{"contact": "a", "name": "n"}, {"contact": "b", "name": "n", "id": "own"}]
    first = await gateway.call("POST", "/v1/events", body, headers=headers)
    again = await gateway.call("POST", "/v1/events", body, headers=headers)
    other = await gateway.call("POST", "/v1/events", [event(1)], headers=headers)
    assert (first.status, again.status, other.status) == (202, 202, 422)
    assert await again.json() == await first.json()
    assert len(gateway.records()) == 2
    ids = {record.contact: record.id for record in gateway.records()}
    assert ids["b"] == "own"
    assert ids["a"].endswith(":0")
