"""Meta's custom audiences: gathering, order, what is flagged, and what each error means; at a strict server that follows Meta's documentation."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog

from actions.audience import keys_of
from actions.messages import AudienceChange
from actions.providers.facebook import regain_ms
from actions.providers.provider import CREDENTIALS, DEFERRED, DELIVERED, REJECTED, UNKNOWN, Dispatch, House, Result
from actions.providers.registry import make_provider
from engine.config import Config
from engine.core.effects import Effect
from engine.core.errors import InvalidConfig
from tests.providers.graph_server import GraphServer, graph_error

AUDIENCE = "23847"
TOKEN = "EAAsecret"


def change(contact: str, action: str = "add", at: int = 1, audience: str = AUDIENCE) -> Dispatch:
    """A change that was decided at a time of its own."""
    effect = Effect(f"{contact}-{action}-{at}-{audience}", contact, "update_facebook_audience", "facebook", "t", audience, "m", 1, "e", 1, at, 0, 1, at)
    return Dispatch(effect, AudienceChange(audience=audience, action=action, keys=keys_of(contact, {"email": f"{contact}@example.com"})))


@asynccontextmanager
async def facebook(server: GraphServer, timeout_ms: int = 5_000, **settings: Any) -> AsyncIterator[Any]:
    house = House(config=Config(send_timeout_ms=timeout_ms), clock=lambda: 0)
    block = {"base_url": server.url, "token": "env:TOKEN", "gather_ms": 50, **settings}
    provider = make_provider("facebook", block, house, {"TOKEN": TOKEN, "PROOF": "app-s3cret"})
    try:
        yield provider
    finally:
        await provider.close()


async def sent(provider: Any, *dispatches: Dispatch) -> list[Result]:
    """Each dispatch in a `send` of its own, all at once and in this order, as pools hand them over."""
    results: dict[str, Result] = {}

    def report(dispatch: Dispatch, result: Result) -> None:
        assert dispatch.effect.id not in results, "reported twice"
        results[dispatch.effect.id] = result

    await asyncio.gather(*(provider.send([dispatch], report) for dispatch in dispatches))
    return [results[dispatch.effect.id] for dispatch in dispatches]


def requests(server: GraphServer) -> list[tuple[str, list[str]]]:
    """(method, the contacts) of each request that was taken."""
    return [(method, [row["EXTERN_ID"] for row in rows]) for method, _, rows in server.log]


def states(results: Sequence[Result]) -> list[str]:
    return [result.state for result in results]


async def test_what_comes_together_goes_in_one_request() -> None:
    async with GraphServer(TOKEN) as server, facebook(server) as provider:
        results = await sent(provider, *(change(f"c{number}") for number in range(500)))
        assert states(results) == [DELIVERED] * 500, server.wrong
        assert server.sizes == [500]
        assert len(server.members[AUDIENCE]) == 500
        assert states(await sent(provider, change("late"))) == [DELIVERED]
        assert server.sizes == [500, 1]
        assert TOKEN not in server.requests[0]["path"]
        assert TOKEN.encode() not in server.requests[0]["body"]


async def test_a_full_batch_does_not_wait_for_its_window() -> None:
    async with GraphServer(TOKEN) as server, facebook(server, timeout_ms=5_000, gather_ms=1_250, users_per_request=10) as provider:
        async with asyncio.timeout(1.2):
            results = await sent(provider, *(change(f"c{number}") for number in range(30)))
        assert states(results) == [DELIVERED] * 30
        assert server.sizes == [10, 10, 10]


async def test_columns_that_nobody_has_are_left_out_and_gaps_are_blank() -> None:
    async with GraphServer(TOKEN) as server, facebook(server) as provider:
        with_phone = AudienceChange(audience=AUDIENCE, action="add", keys=keys_of("bob", {"phone": "+12025550123"}))
        await sent(provider, change("ann"), Dispatch(change("bob").effect, with_phone))
        payload = json.loads(server.requests[0]["body"])["payload"]
    assert payload["schema"] == ["EXTERN_ID", "EMAIL", "PHONE"]
    assert [[bool(value) for value in row] for row in payload["data"]] == [[True, True, False], [True, False, True]]


async def test_opposite_changes_of_one_contact_keep_their_order() -> None:
    async with GraphServer(TOKEN) as server, facebook(server) as provider:
        server.behave = "slow"
        results = await sent(
            provider,
            change("ann", "add", 1),
            change("bob", "add", 1),
            change("ann", "remove", 2),
            change("cid", "add", 1),
            change("ann", "add", 3),
            change("bob", "remove", 2),
        )
        assert states(results) == [DELIVERED] * 6, server.wrong
        assert requests(server) == [("POST", ["ann", "bob", "cid"]), ("DELETE", ["ann", "bob"]), ("POST", ["ann"])]
        assert set(server.members[AUDIENCE]) == {"ann", "cid"}


async def test_an_older_change_that_comes_later_goes_first_while_the_newer_one_waits() -> None:
    async with GraphServer(TOKEN) as server, facebook(server) as provider:
        results = await sent(provider, change("ann", "remove", 2), change("bob", "add", 1), change("ann", "add", 1))
        assert states(results) == [DELIVERED] * 3
        assert requests(server) == [("POST", ["ann"]), ("DELETE", ["ann"]), ("POST", ["bob"])]
        assert set(server.members[AUDIENCE]) == {"bob"}


async def test_a_retry_that_was_overtaken_is_given_up() -> None:
    async with GraphServer(TOKEN) as server, facebook(server) as provider:
        server.behave = (500, {}, "")
        assert states(await sent(provider, change("ann", "add", 1))) == [UNKNOWN]
        server.behave = ""
        assert states(await sent(provider, change("ann", "remove", 2))) == [DELIVERED]
        [result] = await sent(provider, change("ann", "add", 1))
        assert (result.state, result.reason) == (REJECTED, "overtaken: a later change of this contact in this audience was sent before")
        assert states(await sent(provider, change("ann", "add", 1, audience="99"))) == [DELIVERED], "another audience has its own order"
        assert AUDIENCE not in server.members or not server.members[AUDIENCE]


async def test_audiences_do_not_wait_for_one_another_and_have_names() -> None:
    async with GraphServer(TOKEN) as server, facebook(server, audiences={"buyers": 111, "readers": "222"}) as provider:
        server.behave = "slow"
        await sent(provider, change("ann", audience="buyers"), change("ann", audience="readers"), change("bob", audience="buyers"))
    assert sorted((audience, len(rows)) for _, audience, rows in server.log) == [("111", 2), ("222", 1)]


async def test_what_meta_flags_is_rejected_where_it_can_be_told() -> None:
    async with GraphServer(TOKEN) as server, facebook(server) as provider:
        server.invalid = {"c2"}
        with structlog.testing.capture_logs() as log:
            results = await sent(provider, *(change(f"c{number}") for number in range(4)))
    assert states(results) == [DELIVERED, DELIVERED, REJECTED, DELIVERED]
    assert results[2].reason == "flagged by Meta: Invalid email hash"
    assert results[0].data == {"session": "9778993", "invalid": 1}
    [line] = log
    assert (line["received"], line["invalid"], line["named"]) == (4, 1, 1)
    assert TOKEN not in repr(log)


@pytest.mark.parametrize(
    ("invalid", "expected"),
    [(3, [REJECTED] * 3), (2, [DELIVERED] * 3), (0, [DELIVERED] * 3)],
)
async def test_flagged_entries_that_no_sample_names(invalid: int, expected: list[str]) -> None:
    async with GraphServer(TOKEN) as server, facebook(server) as provider:
        server.behave = (200, {}, json.dumps({"session_id": 5, "num_received": 3, "num_invalid_entries": invalid, "invalid_entry_samples": []}))
        with structlog.testing.capture_logs() as log:
            results = await sent(provider, change("a"), change("b"), change("c"))
    assert states(results) == expected
    assert bool(log) == bool(invalid), "what cannot be told is at least logged by number"


@pytest.mark.parametrize("body", ["", "[]", "{", '{"num_received": "many"}'])
async def test_an_answer_that_cannot_be_read_was_still_a_yes(body: str) -> None:
    async with GraphServer(TOKEN) as server, facebook(server) as provider:
        server.behave = (200, {}, body)
        with structlog.testing.capture_logs() as log:
            assert states(await sent(provider, change("ann"))) == [DELIVERED]
    assert [line["log_level"] for line in log] == ["warning"]


USAGE = json.dumps({"112130216863063": [{"type": "custom_audience", "call_count": 100, "estimated_time_to_regain_access": 19}, {"type": "ads_management"}]})


@pytest.mark.parametrize(
    ("status", "headers", "body", "state", "counts", "wait_ms"),
    [
        (400, {}, graph_error(190, "expired"), CREDENTIALS, True, 0),
        (400, {}, graph_error(104, "appsecret_proof"), CREDENTIALS, True, 0),
        (403, {}, graph_error(200, "permissions", error_user_msg=None, error_subcode=None), CREDENTIALS, True, 0),
        (400, {}, graph_error(294, "ads_management"), CREDENTIALS, True, 0),
        (401, {}, "", CREDENTIALS, True, 0),
        (400, {}, graph_error(4, "app limit"), DEFERRED, False, 0),
        (400, {}, graph_error(17, "user limit", error_subcode=2446079), DEFERRED, False, 0),
        (400, {}, graph_error(32, "page limit"), DEFERRED, False, 0),
        (400, {}, graph_error(613, "account limit", error_subcode=1487742), DEFERRED, False, 0),
        (400, {"X-Business-Use-Case-Usage": USAGE}, graph_error(80003, "audience limit"), DEFERRED, False, 19 * 60_000),
        (429, {"Retry-After": "4"}, "", DEFERRED, False, 4_000),
        (500, {}, graph_error(2, "temporary"), DEFERRED, True, 0),
        (400, {}, graph_error(2650, "being updated"), DEFERRED, True, 0),
        (400, {}, graph_error(99999, "a hiccup", is_transient=True), DEFERRED, True, 0),
        (500, {}, "<html>", UNKNOWN, True, 0),
        (504, {}, "", UNKNOWN, True, 0),
        (400, {}, graph_error(100, "Invalid parameter", error_subcode=1713230, error_user_msg="resolve restrictions"), REJECTED, True, 0),
        (404, {}, "", REJECTED, True, 0),
        (302, {"Location": "http://127.0.0.1:1/"}, "", REJECTED, True, 0),
    ],
)
async def test_errors(status: int, headers: dict[str, str], body: str, state: str, counts: bool, wait_ms: int) -> None:
    async with GraphServer(TOKEN) as server, facebook(server) as provider:
        server.behave = (status, headers, body)
        results = await sent(provider, change("ann"), change("bob"))
    assert states(results) == [state] * 2
    assert (results[0].counts, results[0].retry_after_ms) == (counts, wait_ms)
    assert len(server.requests) == 1
    if "resolve" in body:
        assert results[0].reason == "100.1713230 Invalid parameter resolve restrictions"


async def test_the_proof_of_an_app_secret() -> None:
    async with GraphServer(TOKEN, app_secret="app-s3cret") as server:
        async with facebook(server, app_secret="env:PROOF") as provider:
            assert states(await sent(provider, change("ann"))) == [DELIVERED], server.wrong
            assert "s3cret" not in repr(provider.__dict__["_settings"])
        async with facebook(server) as provider:
            assert states(await sent(provider, change("ann"))) == [REJECTED]


async def test_who_waits_too_long_behind_other_requests_was_certainly_not_sent() -> None:
    async with GraphServer(TOKEN) as server, facebook(server, timeout_ms=400, gather_ms=10) as provider:
        server.behave = "silence"
        first, second = await sent(provider, change("ann", "add"), change("bob", "remove"))
    assert first.state == UNKNOWN
    assert (second.state, second.counts) == (DEFERRED, False)
    assert second.reason == "not sent: other requests to this audience took too long"


async def test_closing_ends_what_is_gathered() -> None:
    async with GraphServer(TOKEN) as server:
        async with facebook(server, gather_ms=1_000) as provider:
            waiting = asyncio.create_task(sent(provider, change("ann")))
            await asyncio.sleep(0.01)
        waiting.cancel()
        assert server.log == []
        assert not [task for task in asyncio.all_tasks() if "Lanes" in repr(task.get_coro())]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"base_url": "graph.facebook.com"}, "base_url"),
        ({"token": "a\nb"}, "token"),
        ({"version": "25"}, "version"),
        ({"gather_ms": 0}, "gather_ms"),
        ({"gather_ms": 4_000}, "a quarter of send_timeout_ms"),
        ({"users_per_request": 10_001}, "1 to 10000"),
        ({"audiences": ["a"]}, "audiences"),
        ({"tokens": "x"}, "unknown setting"),
    ],
)
async def test_settings_that_cannot_work(settings: dict[str, Any], says: str) -> None:
    async with GraphServer(TOKEN) as server:
        with pytest.raises(InvalidConfig, match=says):
            async with facebook(server, **settings):
                pass


@pytest.mark.parametrize("header", [None, "", "{", "[]", '{"a": 5}', '{"a": [5]}', '{"a": [{"estimated_time_to_regain_access": "x"}]}'])
def test_a_usage_header_that_says_nothing(header: str | None) -> None:
    assert regain_ms(header) == 0
