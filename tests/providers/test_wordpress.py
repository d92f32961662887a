"""WordPress sites: what is looked at and written, races with others, and what each of the API's faults means for the effect."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from actions.messages import Access
from actions.providers.provider import CREDENTIALS, DEFERRED, DELIVERED, DEST, MESSAGE, REJECTED, UNKNOWN, Dispatch, House, Result
from actions.providers.registry import make_provider
from actions.providers.wordpress import ROUNDS_MAX
from actions.wordpress_api import PAGES_MAX, PER_PAGE, logins
from engine.config import Config
from engine.core.effects import Effect
from engine.core.errors import InvalidConfig
from tests.providers.wordpress_server import WordpressServer

LEVELS = {"gold": "member_gold", "silver": "member_silver"}


def access(email: str = "ann@example.com", level: str = "gold", *, give: bool = True, hop: int = 1, **changes: Any) -> Dispatch:
    kind = "give_wordpress_access" if give else "remove_wordpress_access"
    effect = Effect(f"{hop:032x}", "ann", kind, "wordpress", "t", "members", "m", 1, "e", 1, hop, 0, 1, 1_767_603_600_000 + hop)
    return Dispatch(effect, Access(**({"site": "members", "level": level, "email": email, "give": give} | changes)))


@asynccontextmanager
async def site(**settings: Any) -> AsyncIterator[tuple[WordpressServer, Any]]:
    house = House(config=Config(send_timeout_ms=settings.pop("timeout_ms", 5_000)), clock=lambda: 1_767_603_600_000)
    async with WordpressServer() as server:
        block = {"base_url": server.url, "username": "bot", "password": "env:WP", "levels": LEVELS, **settings}
        provider = make_provider("wordpress", {"members": block}, house, {"WP": "abcd efgh"})
        try:
            yield server, provider
        finally:
            await provider.close()


async def send(provider: Any, *dispatches: Dispatch) -> list[Result]:
    results: dict[str, Result] = {}
    await provider.send(dispatches, lambda one, result: results.__setitem__(one.effect.id, result))
    return [results[one.effect.id] for one in dispatches]


def error(code: str, status: int, message: str = "Sorry") -> tuple[int, dict[str, str], str]:
    return status, {}, msgspec.json.encode({"code": code, "message": message, "data": {"status": status}}).decode()


# -- the straight path -----------------------------------------------------------------------------------------------------


async def test_a_user_is_made_with_the_role_and_nobodys_password() -> None:
    async with site() as (server, provider):
        [result] = await send(provider, access("Ann.O'Hara+x@Example.com", first_name="Ann", name="Ann O'Hara"))
    assert (result.state, result.data) == (DELIVERED, {"user": 1})
    made = server.users[0]["body"]
    assert len(made.pop("password")) > 40
    assert made == {
        "username": "ann.o-hara-x",
        "email": "Ann.O'Hara+x@Example.com",
        "roles": ["member_gold"],
        "first_name": "Ann",
        "name": "Ann O'Hara",
    }
    assert [request["method"] for request in server.requests] == ["GET", "POST", "GET"], "what was written is looked at"
    assert {request["headers"]["Authorization"] for request in server.requests} == {"Basic Ym90OmFiY2QgZWZnaA=="}


async def test_roles_are_added_and_taken_one_by_one() -> None:
    async with site() as (server, provider):
        user = server.add("ann@example.com", "administrator", "shop_manager")
        server.add("joann@example.com")
        assert (await send(provider, access(), access(level="silver", hop=2)))[0].state == DELIVERED
        assert user["roles"] == ["administrator", "shop_manager", "member_gold", "member_silver"]
        await send(provider, access(give=False, hop=3))
        assert user["roles"] == ["administrator", "shop_manager", "member_silver"]
        assert server.users[1]["roles"] == []


async def test_what_is_so_already_is_not_written() -> None:
    async with site() as (server, provider):
        server.add("ANN@example.com", "member_gold")
        results = await send(provider, access(), access("bob@example.com", give=False, hop=2))
    assert [(result.state, result.data) for result in results] == [(DELIVERED, {"user": 1}), (DELIVERED, {})]
    assert server.writes == 0


async def test_the_last_role_can_be_taken() -> None:
    async with site() as (server, provider):
        user = server.add("ann@example.com", "member_gold")
        assert (await send(provider, access(give=False)))[0].state == DELIVERED
    assert user["roles"] == []


async def test_the_address_is_compared_whole_over_the_pages_of_those_that_contain_it() -> None:
    async with site() as (server, provider):
        for number in range(2 * PER_PAGE):
            server.add(f"{number}a@b.c")
        last = server.add("a@b.c")
        assert (await send(provider, access("a@b.c")))[0].state == DELIVERED
    assert last["roles"] == ["member_gold"]
    assert sum(bool(user["roles"]) for user in server.users) == 1


async def test_a_search_is_bounded() -> None:
    async with site() as (server, provider):
        server.users = [{"id": 1, "email": "xa@b.c", "roles": [], "login": "x"}] * (PER_PAGE * PAGES_MAX + 1)
        server.users.append({"id": 2, "email": "a@b.c", "roles": [], "login": "y"})
        [result] = await send(provider, access("a@b.c"))
    assert result.state == REJECTED
    assert "shows none" in result.reason
    assert server.writes == 0


@pytest.mark.parametrize(("path", "url"), [("/wp-json", "/wp-json/wp/v2/users?"), ("", "/?rest_route=/wp/v2/users&")])
async def test_where_the_api_is(path: str, url: str) -> None:
    async with site(rest_path=path) as (server, provider):
        server.behave = error("rest_invalid_param", 400)
        await send(provider, access())
    assert server.requests[0]["path"].startswith(url)


# -- logins ----------------------------------------------------------------------------------------------------------------


def test_logins_are_made_of_the_address_and_stay_the_same() -> None:
    first, second, third = logins("Ann+Shop@example.com")
    assert first == "ann-shop"
    assert second.startswith("ann-shop-")
    assert logins("ann+shop@EXAMPLE.com") == [first, second, third] != logins("ann+shop@example.org")
    assert logins("ÄÖ@example.com")[0] == "member"
    assert all(len(login) <= 60 for login in logins("x" * 64 + "@example.com"))


async def test_a_login_that_is_taken_gets_a_part_of_the_digest() -> None:
    async with site() as (server, provider):
        server.add("ann@elsewhere.com")["login"] = "ann"
        assert (await send(provider, access()))[0].state == DELIVERED
    assert server.users[1]["login"] == logins("ann@example.com")[1]


async def test_a_login_that_the_site_forbids_is_another_one_next_time() -> None:
    async with site() as (server, provider):
        body = {"code": "rest_invalid_param", "message": "Invalid parameter(s): username", "data": {"status": 400, "params": {"username": "not allowed"}}}

        def forbid(request: Any) -> None:
            first = request.method == "POST" and not any(one["method"] == "POST" for one in server.requests[:-1])
            server.behave = (400, {}, msgspec.json.encode(body).decode()) if first else ""

        server.before = forbid
        assert (await send(provider, access("admin@example.com")))[0].state == DELIVERED
    assert server.users[0]["login"] == logins("admin@example.com")[1]


# -- races -----------------------------------------------------------------------------------------------------------------


async def test_many_at_once_about_one_user_lose_no_role_and_make_one() -> None:
    levels = {f"l{number}": f"role{number}" for number in range(8)}
    async with site(levels=levels) as (server, provider):
        results = await send(provider, *(access(level=level, hop=hop) for hop, level in enumerate(levels)))
    assert {result.state for result in results} == {DELIVERED}
    [user] = server.users
    assert set(user["roles"]) == set(levels.values())


async def test_who_is_made_by_somebody_else_meanwhile_is_found() -> None:
    async with site() as (server, provider):

        def race(request: Any) -> None:
            if request.method == "POST" and not server.users:
                server.add("ann@example.com", "customer")

        server.before = race
        assert (await send(provider, access()))[0].state == DELIVERED
    assert [user["roles"] for user in server.users] == [["customer", "member_gold"]]


async def test_a_write_that_somebody_else_overwrites_is_done_again() -> None:
    async with site() as (server, provider):
        user = server.add("ann@example.com", "customer")

        def overwrite(request: Any) -> None:
            if request.method == "GET" and server.writes == 1:
                user["roles"] = ["customer", "member_silver"]

        server.before = overwrite
        assert (await send(provider, access()))[0].state == DELIVERED
    assert user["roles"] == ["customer", "member_silver", "member_gold"]
    assert server.writes == 2


async def test_a_site_that_never_keeps_what_is_written_is_given_up_for_now() -> None:
    async with site() as (server, provider):
        user = server.add("ann@example.com")
        server.before = lambda request: user.update(roles=[])
        [result] = await send(provider, access())
    assert (result.state, server.writes) == (UNKNOWN, ROUNDS_MAX)
    assert "did not stay" in result.reason


async def test_an_older_decision_does_not_come_after_a_newer_one() -> None:
    async with site() as (server, provider):
        server.behave = error("x", 503)
        assert (await send(provider, access(hop=1)))[0].state == DEFERRED
        server.behave = ""
        assert (await send(provider, access(give=False, hop=2), access(level="silver", hop=3)))[0].state == DELIVERED
        [result] = await send(provider, access(hop=1))
    assert result.state == REJECTED
    assert "superseded" in result.reason
    assert server.users[0]["roles"] == ["member_silver"]


# -- faults ----------------------------------------------------------------------------------------------------------------

PAGE = "<html><body>Access denied by the firewall</body></html>"


@pytest.mark.parametrize(
    ("behave", "state", "blames", "says"),
    [
        (error("rest_forbidden_context", 401), CREDENTIALS, DEST, "rest_forbidden_context"),
        (error("rest_forbidden_context", 403), CREDENTIALS, DEST, "rest_forbidden_context"),
        (error("rest_cannot_create_user", 403), CREDENTIALS, DEST, "rest_cannot_create_user"),
        ((403, {}, PAGE), DEFERRED, DEST, "firewall"),
        (error("rest_no_route", 404), CREDENTIALS, DEST, "no REST API of WordPress answers here: 404 rest_no_route"),
        ((404, {}, PAGE), CREDENTIALS, DEST, "no REST API"),
        ((200, {}, PAGE), CREDENTIALS, DEST, "no REST API"),
        ((301, {"Location": "https://127.0.0.1:1/"}, ""), CREDENTIALS, DEST, "no REST API"),
        (error("rest_cannot_edit", 403), REJECTED, MESSAGE, "rest_cannot_edit"),
        (error("rest_cannot_edit_roles", 403), REJECTED, MESSAGE, "rest_cannot_edit_roles"),
        (error("rest_user_invalid_role", 400, "The role member_gold does not exist."), DEFERRED, MESSAGE, "does not exist"),
        (error("rest_user_invalid_role", 403), DEFERRED, MESSAGE, "rest_user_invalid_role"),
        (error("rest_invalid_param", 400), REJECTED, MESSAGE, "rest_invalid_param"),
        ((500, {}, "There has been a critical error"), DEFERRED, DEST, "500"),
        ((502, {}, PAGE), DEFERRED, DEST, "502"),
        ((200, {}, '[{"id": 1, "ema'), CREDENTIALS, DEST, "no REST API"),
        ((200, {}, "[\n" * 100_000), CREDENTIALS, DEST, "no REST API"),
        ((400, {}, '{"code": "x", "data": ' + "[" * 100_000), REJECTED, MESSAGE, "400"),
        ((200, {"X-WP-TotalPages": "9" * 6_000}, "[]"), DEFERRED, DEST, "503"),
    ],
)
async def test_what_a_look_is_answered_with(behave: Any, state: str, blames: str, says: str) -> None:
    async with site() as (server, provider):
        server.behave = behave
        server.before = lambda request: setattr(server, "behave", (503, {}, "") if len(server.requests) > 1 else behave)
        [result] = await send(provider, access())
    assert (result.state, result.blames) == (state, blames)
    assert says in result.reason


@pytest.mark.parametrize(
    ("behave", "state"),
    [
        (error("rest_cannot_edit", 403), REJECTED),
        (error("rest_user_invalid_role", 400), DEFERRED),
        (error("rest_forbidden", 401), CREDENTIALS),
        ((500, {}, "critical error"), UNKNOWN),
        ((504, {}, PAGE), UNKNOWN),
        ((503, {}, PAGE), DEFERRED),
        ((403, {}, PAGE), DEFERRED),
        ((404, {}, PAGE), DEFERRED),
        ((302, {"Location": "/"}, ""), DEFERRED),
    ],
)
@pytest.mark.parametrize("there", [True, False])
async def test_what_a_write_is_answered_with(behave: Any, state: str, there: bool) -> None:
    async with site() as (server, provider):
        if there:
            server.add("ann@example.com")

        def on_write(request: Any) -> None:
            server.behave = behave if request.method == "POST" else ""

        server.before = on_write
        [result] = await send(provider, access())
    assert result.state == state


async def test_too_many_requests_are_no_attempt() -> None:
    async with site() as (server, provider):
        server.behave = (429, {"Retry-After": "9"}, "slow down")
        [result] = await send(provider, access())
    assert (result.state, result.counts, result.retry_after_ms) == (DEFERRED, False, 9_000)


async def test_a_fault_after_a_write_was_answered_is_not_called_certain() -> None:
    async with site() as (server, provider):
        server.before = lambda request: setattr(server, "behave", (503, {}, "later") if server.writes else "")
        [result] = await send(provider, access())
    assert (result.state, server.writes) == (UNKNOWN, 1)


async def test_who_is_deleted_meanwhile_is_made_anew() -> None:
    async with site() as (server, provider):
        server.add("ann@example.com")

        def gone(request: Any) -> None:
            server.behave = ""
            if request.method == "POST" and server.users and "body" not in server.users[0]:
                server.users.clear()
                server.behave = error("rest_user_invalid_id", 404)

        server.before = gone
        assert (await send(provider, access()))[0].state == DELIVERED
    assert server.users[0]["roles"] == ["member_gold"]


@pytest.mark.parametrize("printed", ["\ufeff", "\ufeff<br />\n<b>Warning</b>: [x] undefined in {plugin} on line 3<br />\n", "[Notice]\n{}\n"])
async def test_what_a_plugin_prints_before_the_answer_is_skipped(printed: str) -> None:
    async with site() as (server, provider):
        server.prefix = printed
        assert (await send(provider, access()))[0].state == DELIVERED
        server.users.clear()
        server.add("ann@elsewhere.com")["login"] = "ann"
        assert (await send(provider, access(hop=2)))[0].state == DELIVERED, "errors are read too"


async def test_an_endless_answer_is_cut_off() -> None:
    async with site() as (server, provider):
        server.behave = (200, {}, "[" + " " * 2_000_000)
        [result] = await send(provider, access())
    assert (result.state, result.blames) == (DEFERRED, DEST)
    assert "more than" in result.reason


async def test_time_runs_out_before_during_and_after_a_write() -> None:
    async with site(timeout_ms=300, connections=1) as (server, provider):
        server.behave = "silence"
        results = await send(provider, access(), access(level="silver", hop=2), access("bob@example.com", hop=3))
    states = [(result.state, result.counts) for result in results]
    assert states == [(UNKNOWN, True), (DEFERRED, False), (DEFERRED, False)], "the second waits for its user, the third for a place"


async def test_a_level_that_is_gone_from_the_settings_may_come_back() -> None:
    async with site() as (_, provider):
        results = await send(provider, access(level="bronze"), access(hop=2, site="old"))
    assert {(result.state, result.blames) for result in results} == {(DEFERRED, MESSAGE)}


async def test_an_address_that_is_no_unicode_harms_nobody() -> None:
    async with site() as (server, provider):
        results = await send(provider, access("a\ud800@example.com"), access("bob@example.com", hop=2))
        server.behave = ""
    assert results[0].state in {DELIVERED, REJECTED}
    assert results[1].state == DELIVERED


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"base_url": "shop.example.com"}, "members: base_url must be"),
        ({"base_url": "https://x.y/?a=b"}, "without a query"),
        ({"username": "a:b"}, "members: username and password"),
        ({"password": "a\nb"}, "members: username and password"),
        ({"connections": 0}, "connections must be 1 to 1024"),
        ({"levels": {"gold": "a", "silver": "a"}}, "each level needs a role of its own"),
    ],
)
async def test_settings_that_cannot_work_say_why(changes: dict[str, Any], says: str) -> None:
    block = {"base_url": "https://x.y", "username": "bot", "password": "p", "levels": LEVELS} | changes
    with pytest.raises(InvalidConfig) as caught:
        make_provider("wordpress", {"members": block}, House(config=Config(), clock=lambda: 0), {})
    assert says in str(caught.value)


async def test_as_many_users_of_a_site_are_served_at_once_as_it_has_places() -> None:
    async with site(connections=4, timeout_ms=300) as (server, provider):
        server.behave = "silence"
        results = await send(provider, *(access(f"a{number}@example.com", hop=number) for number in range(12)))
    assert server.writes == 4
    assert [result.state for result in results].count(UNKNOWN) == 4
    assert [(result.state, result.counts) for result in results].count((DEFERRED, False)) == 8
