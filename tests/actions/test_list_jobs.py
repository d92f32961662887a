"""The engine's own jobs about lists: what storage does to them is a deferral, never a lost or half-believed job."""

from __future__ import annotations

from typing import Any

import pytest

from actions.list_exports import ExportGone, export_within
from actions.list_jobs import ListKeeper
from actions.list_mail import ListMail
from actions.messages import ListJob
from actions.providers.provider import DEFERRED, DELIVERED, REJECTED, Dispatch, House, Result
from engine.codec import encode
from engine.config import Config
from engine.core.effects import Effect
from engine.core.errors import Full, ResultUnknown, Unavailable, WayfareError
from engine.core.fulfillment import CHANNEL, KIND, Export, list_key
from engine.storage.memory import MemoryStore

CONFIG = Config(partitions=4, export_page_rows=3)
EXPORT = Export("kits", 1, 5_000)


class Failing:
    """The store's lists, of which one call fails."""

    def __init__(self, lists: Any, call: str, error: Exception) -> None:
        self._lists, self._call, self._error = lists, call, error

    def __getattr__(self, name: str) -> Any:
        if name == self._call:
            raise self._error
        return getattr(self._lists, name)


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore(CONFIG, lambda: 10_000)
    for number in range(20):
        contact = f"c{number:02}"
        store.partitions[number % 4].rows.setdefault("fulfillment:kits", {})[contact] = encode({"contact": contact, "added_ms": 1, "fields": {f"f{number}": 1}})
    return store


def effect(channel: str, **params: Any) -> Effect:
    named = {"list": EXPORT.list, "slot": EXPORT.slot, "due_ms": EXPORT.due_ms, **params}
    return Effect("e1", list_key("kits"), KIND, channel, "t", "", "", 0, "kits", 0, 0, 0, 1, 0, named)


async def done(lists: Any, do: str) -> Result:
    results: list[Result] = []
    await ListKeeper(lists, CONFIG).send([Dispatch(effect(CHANNEL), ListJob(do=do, export=EXPORT))], lambda _, result: results.append(result))
    (result,) = results
    return result


async def test_gathering_and_emptying_may_be_done_again(store: MemoryStore) -> None:
    for _ in range(2):
        assert (await done(store.lists, "gather")).data == {"rows": 20, "linked": False}
    assert [(await done(store.lists, "empty")).data for _ in range(2)] == [{"rows": 20}, {"rows": 0}]


@pytest.mark.parametrize(
    ("error", "state"),
    [(Unavailable("away"), DEFERRED), (ResultUnknown("lost"), DEFERRED), (Full("full"), DEFERRED), (WayfareError("a newer export stands"), REJECTED)],
)
@pytest.mark.parametrize(("do", "call"), [("gather", "freeze"), ("gather", "rows"), ("empty", "take_off")])
async def test_what_storage_does_is_a_result(store: MemoryStore, error: Exception, state: str, do: str, call: str) -> None:
    await done(store.lists, "gather")
    assert (await done(Failing(store.lists, call, error), do)).state == state
    assert (await done(store.lists, do)).state == DELIVERED


async def test_columns_are_found_up_to_a_bound(store: MemoryStore) -> None:
    await store.lists.freeze(EXPORT, 60_000)
    text = await export_within(store.lists, EXPORT, [], Config(partitions=4, export_page_rows=3, export_columns_max=5))
    assert text is not None
    assert text.decode("utf-8-sig").splitlines()[0] == "contact,added_ms,f0,f1,f10"


async def test_a_mail_whose_export_is_gone_cannot_be_written(store: MemoryStore) -> None:
    mail = ListMail(store.lists, House(config=CONFIG, clock=lambda: 0, secret="s"))

    class Workspace:
        providers: dict[str, Any] = {}

    with pytest.raises(ExportGone):
        await mail.compose(effect("email", to="a@example.com", rows=1, linked=False, columns=[], timezone="UTC"), Workspace())  # type: ignore[arg-type]
