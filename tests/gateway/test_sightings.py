"""Opens and clicks through the gateway: on to the target whatever the log does, kept once, and never a way to somewhere else."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from actions.tracking import Track, tracked
from engine.core.effects import Effect
from engine.core.errors import Unavailable
from engine.core.records import Outcome
from gateway.routes.sightings import IMAGE
from gateway.sightings import Sightings

EFFECT = Effect("e" * 32, "ann", "send_email", "email", "b", "", "m", 1, "mail", 2, 1, 1, 1, 0, {"template": "hello.html"}, 0, "email")
TARGET = "https://shop.example.com/a?b=1&c=\u00e4#d"


def paths(secret: str = "s3cret", target: str = TARGET) -> tuple[str, str]:
    """(the path of the link, that of the image) of one mail."""
    html = tracked(f'<a href="{target}">x</a>', Track(opens=True, clicks=True), EFFECT, "", secret)
    return tuple(re.findall(r'"(/[co]/[^"]+)"', html))  # type: ignore[return-value]


def kept(gateway: Any) -> list[Any]:
    return [record for record in gateway.records() if record.contact]


async def get(gateway: Any, path: str, method: str = "GET", **headers: str) -> Any:
    return await gateway.client.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}, allow_redirects=False)


async def test_a_click_is_kept_and_leads_to_its_target(gateway: Any) -> None:
    link, _ = paths()
    answer = await get(gateway, link)
    assert (answer.status, answer.headers["Location"]) == (302, "https://shop.example.com/a?b=1&c=%C3%A4#d")
    assert answer.headers["Cache-Control"] == "no-store"
    [record] = kept(gateway)
    assert record.id.startswith(f"click:{'e' * 32}:")
    assert record == Outcome("ann", "e" * 32, "send_email", "clicked", "", 2, "mail", {"template": "hello.html", "url": TARGET}, record.id)


async def test_an_open_is_kept_and_answered_with_an_image(gateway: Any) -> None:
    _, image = paths()
    answer = await get(gateway, image)
    assert (answer.status, answer.content_type, await answer.read()) == (200, "image/gif", IMAGE)
    assert answer.headers["Cache-Control"] == "no-store"
    assert kept(gateway) == [Outcome("ann", "e" * 32, "send_email", "opened", "", 2, "mail", {"template": "hello.html"}, f"open:{'e' * 32}:o")]


async def test_the_same_again_has_the_same_id_and_another_link_another(gateway: Any) -> None:
    for path in (paths()[0], paths()[0], paths(target="https://other.example.com")[0]):
        await get(gateway, path)
    first, second, other = (record.id for record in kept(gateway))
    assert first == second != other


async def test_what_fetches_ahead_is_answered_and_not_counted(gateway: Any) -> None:
    link, image = paths()
    assert (await get(gateway, link, "HEAD")).status == 302
    assert (await get(gateway, link, Sec_Purpose="prefetch;prerender")).status == 302
    assert (await get(gateway, image, X_Purpose="preview")).status == 200
    assert kept(gateway) == []


async def test_a_link_that_we_did_not_sign_leads_nowhere(gateway: Any) -> None:
    link, image = paths(secret="another")
    mine, picture = paths()
    for path in (link, image, mine.replace("/c/", "/o/"), picture.replace("/o/", "/c/"), mine[:-1], "/c/x", "/o/https%3A%2F%2Fevil.example"):
        answer = await get(gateway, path)
        assert (answer.status, "Location" in answer.headers) == (404, False), path
    assert (await get(gateway, mine, "POST")).status == 405
    assert kept(gateway) == []


class TestWhileTheLogIsAway:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return {"sighting_wait_ms": 50, "sightings_waiting_max": 2}

    async def test_a_click_leads_on_and_its_record_is_kept_when_the_log_is_back(self, gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.sightings.AGAIN_S", 0.05)
        append = gateway.store.intake.append
        away = asyncio.Event()

        async def failing(*args: Any, **more: Any) -> Any:
            if not away.is_set():
                raise Unavailable("gone")
            return await append(*args, **more)

        monkeypatch.setattr(gateway.store.intake, "append", failing)
        for number in range(3):
            answer = await get(gateway, paths(target=f"https://shop.example.com/{number}")[0])
            assert (answer.status, answer.headers["Location"]) == (302, f"https://shop.example.com/{number}")
        away.set()
        await gateway.services.sightings.drain()
        assert sorted(record.data["url"][-1] for record in kept(gateway)) == ["0", "1"], "the third found no place to wait"
        assert gateway.services.metrics.events_rejected.labels("sighting")._value.get() == 1

    async def test_a_log_that_hangs_holds_nobody_back(self, gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        append, hanging = gateway.store.intake.append, asyncio.Event()

        async def slow(*args: Any, **more: Any) -> Any:
            await hanging.wait()
            return await append(*args, **more)

        monkeypatch.setattr(gateway.store.intake, "append", slow)
        assert (await get(gateway, paths()[0])).status == 302
        assert kept(gateway) == []
        hanging.set()
        await gateway.services.sightings.drain()
        assert len(kept(gateway)) == 1


async def test_what_cannot_be_kept_is_given_up_and_counted(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def failing(*args: Any, **more: Any) -> Any:
        raise Unavailable("gone")

    monkeypatch.setattr("gateway.sightings.AGAIN_S", 60.0)  # so that there is one try
    monkeypatch.setattr(gateway.store.intake, "append", failing)
    sightings = Sightings(gateway.services.admission, gateway.config, gateway.services.metrics)
    await sightings.keep(Outcome("ann", "e", "send_email", "opened", id="o"))
    assert gateway.services.metrics.events_rejected.labels("sighting")._value.get() == 1
    assert not sightings._waiting
