"""Access at a real WordPress on MariaDB: who becomes a user, which roles they have then, and what the site's refusals mean."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actions.messages import Access
from actions.providers.provider import CREDENTIALS, DEFERRED, DELIVERED, Dispatch, House, Result
from actions.providers.registry import make_provider
from engine.config import Config
from engine.core.effects import Effect
from tests.counterparts import wordpress
from tests.counterparts.needs import needs
from tests.counterparts.proofs import proves
from tests.counterparts.wordpress import WordPress
from tests.end_to_end.ring import Ring, running, until
from tests.end_to_end.test_ring_sending import Deaf

pytestmark = needs(*wordpress.TOOLS)
WORDPRESS = "a WordPress on MariaDB"
LEVELS = {"gold": "member_gold", "silver": "member_silver"}
BUYERS = {
    "map": "buyers",
    "triggers": [{"event": "order.placed"}],
    "path": [
        {"id": "give", "give_wordpress_access": {"site": "members", "level": "gold"}},
        {"id": "refund", "wait": {"event": "order.refunded"}},
        {"id": "take", "remove_wordpress_access": {"site": "members", "level": "gold"}},
        "exit",
    ],
}


@pytest.fixture(scope="module")
def site() -> Iterator[WordPress]:
    with wordpress.start() as made:
        yield made


def block(site: WordPress, user: str = "bot", **changes: Any) -> dict[str, Any]:
    return {"members": {"base_url": site.url, "username": user, "password": site.passwords[user], "levels": LEVELS} | changes}


@asynccontextmanager
async def provider_of(settings: dict[str, Any]) -> AsyncIterator[Any]:
    provider = make_provider("wordpress", settings, House(config=Config(), clock=lambda: int(time.time() * 1_000)), {})
    try:
        yield provider
    finally:
        await provider.close()


def access(email: str, level: str = "gold", *, give: bool = True, hop: int = 1) -> Dispatch:
    kind = "give_wordpress_access" if give else "remove_wordpress_access"
    effect = Effect(f"{hop:032x}", email, kind, "wordpress", "t", "members", "m", 1, "e", 1, hop, 0, 1, hop)
    return Dispatch(effect, Access(site="members", level=level, email=email, give=give))


async def send(provider: Any, *dispatches: Dispatch) -> list[Result]:
    results: dict[str, Result] = {}
    await provider.send(dispatches, lambda one, result: results.__setitem__(one.effect.id, result))
    return [results[one.effect.id] for one in dispatches]


async def roles(site: WordPress, email: str) -> list[list[str]]:
    return await asyncio.to_thread(site.roles, email)


# -- the whole ring --------------------------------------------------------------------------------------------------------


async def publish(ring: Ring, site: WordPress) -> None:
    await ring.publish({"maps": [BUYERS], "providers": {"wordpress": block(site)}})
    ring.start_shard()


@proves("give_wordpress_access", WORDPRESS, "the user is made with names and role; who is there keeps every other role")
@proves("remove_wordpress_access", WORDPRESS, "that role alone is taken; the user stays, also without any role")
async def test_access_is_given_and_taken_through_the_whole_ring(site: WordPress) -> None:
    make_eve = "return wp_insert_user(['user_login' => 'eve', 'user_email' => 'Eve@Example.com', 'user_pass' => 'x', 'role' => 'author']);"
    await asyncio.to_thread(site.php, make_eve)
    async with running() as ring:
        await publish(ring, site)
        await ring.start_pools("wordpress")
        people = {"ann": {"email": "ann@example.com", "first_name": "Ann", "last_name": "Lee"}, "eve": {"email": "eve@example.com"}}
        await ring.accepted("/v1/contacts", [{"contact": name, "fields": fields} for name, fields in people.items()])
        await ring.accepted("/v1/events", [{"contact": name, "name": "order.placed"} for name in people])
        await ring.carried("wordpress")
        assert await roles(site, "ann@example.com") == [["member_gold"]]
        assert await roles(site, "eve@example.com") == [["author", "member_gold"]]
        names = "$user = get_user_by('email', 'ann@example.com'); return [$user->user_login, $user->first_name, $user->last_name, $user->display_name];"
        assert await asyncio.to_thread(site.php, names) == ["ann", "Ann", "Lee", "Ann Lee"]
        await ring.accepted("/v1/events", [{"contact": name, "name": "order.refunded"} for name in people])
        await ring.carried("wordpress")
        assert await roles(site, "ann@example.com") == [[]]
        assert await roles(site, "eve@example.com") == [["author"]]
        assert await ring.effects("wordpress") == {"decided": 4, "delivered": 4}
        assert (await ring.contact("ann"))["enrollments"] == []


async def test_a_crash_after_the_site_took_it_leaves_one_user_with_the_role(site: WordPress) -> None:
    async with running(claim_lease_ms=3_000, send_timeout_ms=2_500) as ring:
        await publish(ring, site)
        await ring.accepted("/v1/contacts", {"contact": "cyd", "fields": {"email": "cyd@example.com"}})
        await ring.accepted("/v1/events", {"contact": "cyd", "name": "order.placed"})
        await ring.read_on()
        deaf = Deaf(ring.store.outbox)
        await ring.start_pools("wordpress", outbox=deaf)  # type: ignore[arg-type]
        await until(lambda: len(deaf.unheard) == 1)
        await ring.kill_pools()
        assert await roles(site, "cyd@example.com") == [["member_gold"]]
        await ring.start_pools("wordpress")
        await ring.carried("wordpress")
        assert await ring.effects("wordpress") == {"decided": 1, "delivered": 1}
    assert await roles(site, "cyd@example.com") == [["member_gold"]]


# -- roles and addresses ---------------------------------------------------------------------------------------------------


async def test_levels_are_independent(site: WordPress) -> None:
    async with provider_of(block(site)) as provider:
        steps = [("gold", True), ("silver", True), ("gold", False), ("gold", False), ("silver", False)]
        seen = []
        for hop, (level, give) in enumerate(steps):
            assert (await send(provider, access("dan@example.com", level, give=give, hop=hop)))[0].state == DELIVERED
            seen += await roles(site, "dan@example.com")
    assert seen == [["member_gold"], ["member_gold", "member_silver"], ["member_silver"], ["member_silver"], []]


async def test_eight_at_once_for_one_user_lose_no_role_and_make_one_user(site: WordPress) -> None:
    made = [f"part_{number}" for number in range(8)]
    await asyncio.to_thread(site.php, "foreach ($args as $role) add_role($role, $role, ['read' => true]);", *made)
    levels = {name: name for name in made}
    async with provider_of(block(site, levels=levels)) as provider:
        results = await send(provider, *(access("fay@example.com", level, hop=hop) for hop, level in enumerate(made)))
        assert [result.state for result in results] == [DELIVERED] * 8
        assert await roles(site, "fay@example.com") == [made]
        assert {one.state for one in await send(provider, *(access(f"fay{hop}@example.com", made[0], hop=hop) for hop in range(8)))} == {DELIVERED}


@pytest.mark.parametrize(("email", "stored"), [("O'Hara+shop@Example.com", ""), ("a&b@example.com", "a&amp;b@example.com"), ("x_y%z*@example.com", "")])
async def test_an_odd_address_is_one_user_however_often_it_comes(site: WordPress, email: str, stored: str) -> None:
    async with provider_of(block(site)) as provider:
        for hop, written in enumerate([email, email.lower(), email.upper()]):
            [result] = await send(provider, access(written, "silver" if hop else "gold", hop=hop))
            assert result.state == DELIVERED, result
    assert await roles(site, stored or email) == [["member_gold", "member_silver"]]


async def test_an_address_that_contains_another_is_another_user(site: WordPress) -> None:
    async with provider_of(block(site)) as provider:
        assert (await send(provider, access("mann@example.com"), access("nn@example.com", "silver", hop=2)))[1].state == DELIVERED
    assert await roles(site, "mann@example.com") == [["member_gold"]]
    assert await roles(site, "nn@example.com") == [["member_silver"]]


async def test_a_login_of_somebody_else_is_left_to_them(site: WordPress) -> None:
    async with provider_of(block(site)) as provider:
        [result] = await send(provider, access("bot@elsewhere.com"))
        assert result.state == DELIVERED
    assert await roles(site, "bot@elsewhere.com") == [["member_gold"]]
    assert await roles(site, "bot@example.com") == [["administrator"]]


# -- refusals --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("user", "changes"), [("bot", {"password": "wrong"}), ("bot", {"username": "nobody"}), ("clerk", {}), ("bot", {"rest_path": "/api"})])
async def test_who_may_not_change_users_is_told_once_and_burns_nothing(site: WordPress, user: str, changes: dict[str, str]) -> None:
    async with provider_of(block(site, user, **changes)) as provider:
        [result] = await send(provider, access("gus@example.com"))
    assert (result.state, result.blames) == (CREDENTIALS, "dest"), result
    assert site.passwords["bot"] not in result.reason
    assert await roles(site, "gus@example.com") == []


async def test_a_role_that_the_site_does_not_have_waits_for_it(site: WordPress) -> None:
    async with provider_of(block(site, levels={"gold": "member_platinum"})) as provider:
        [result] = await send(provider, access("hal@example.com"))
        assert (result.state, result.blames) == (DEFERRED, "message")
        assert "member_platinum does not exist" in result.reason
        await asyncio.to_thread(site.php, "add_role('member_platinum', 'Platinum', []);")
        assert (await send(provider, access("hal@example.com")))[0].state == DELIVERED


async def test_the_administrators_own_account_is_not_touched(site: WordPress) -> None:
    async with provider_of(block(site)) as provider:
        [result] = await send(provider, access("bot@example.com"))
    assert result.state == DEFERRED
    assert "not allowed to give users that role" in result.reason
    assert await roles(site, "bot@example.com") == [["administrator"]]


async def test_an_address_that_wordpress_refuses_is_rejected(site: WordPress) -> None:
    async with provider_of(block(site)) as provider:
        [result] = await send(provider, access("änn@exämple"))
    assert result.state == "rejected"
    assert "rest_invalid_param" in result.reason


@pytest.mark.parametrize(
    ("plugin", "state", "says"),
    [
        ("add_filter('rest_authentication_errors', fn() => new WP_Error('closed', 'The API is closed', ['status' => 403]));", CREDENTIALS, "closed"),
        ("add_filter('rest_endpoints', fn($all) => array_diff_key($all, ['/wp/v2/users' => 1]));", CREDENTIALS, "rest_no_route"),
        ("wp_die('Briefly unavailable', '', ['response' => 503]);", DEFERRED, "503"),
        ("if (!defined('WP_CLI') && PHP_SAPI !== 'cli') { echo '<b>Warning</b>: loose [talk]' . PHP_EOL; }", DELIVERED, ""),
    ],
)
async def test_what_plugins_do_to_the_api(site: WordPress, plugin: str, state: str, says: str) -> None:
    site.plugin(f"if (PHP_SAPI !== 'cli') {{ {plugin} }}")
    try:
        async with provider_of(block(site)) as provider:
            [result] = await send(provider, access("ida@example.com"))
    finally:
        site.plugin("")
    assert result.state == state, result
    assert says in result.reason
