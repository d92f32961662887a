"""Fulfillment lists: when each is sent, and what follows from what. Pure: times and outcomes come in, effects go out.

A list lives in its home partition, as an entity with a due time in that partition's index. A sending goes round the ring three times, and each
round is decided once, whatever dies, because every effect's id is made of the list, the scheduled time, and what is done:
  1. at the scheduled time: `gather`, which copies the rows of all partitions into an export that no longer changes;
  2. when it is gathered: one email for each address, made of the export;
  3. when every email has its result and at least one was delivered: `empty`, which takes the rows of the export off the list.
A list without rows is not mailed. A time that passed while nobody ran is made up for once, however many times were missed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from hashlib import blake2b
from typing import Any

import msgspec

from engine.core.effects import TRANSACTIONAL, Changes, Effect
from engine.core.errors import Problem
from engine.core.local_time import next_monthly, next_time, zone
from engine.core.names import shown
from engine.core.partitioning import ENTITY
from engine.core.reading import Place
from engine.core.records import Outcome
from engine.core.times import parse_clock, parse_day

KIND = "fulfillment"
CHANNEL = "lists"  # of the effects that the engine carries out itself: gather and empty
SLOTS = 8  # exports that a list keeps, so that an erasure can reach all of them by name
EVERY = ("daily", "weekdays", "weekly", "monthly")
_KEYS = ("to", "every", "at", "day", "timezone", "columns", "empty_after")
_WEEKDAYS = (0, 1, 2, 3, 4)


class FulfillmentList(msgspec.Struct, frozen=True, kw_only=True):
    """A list that is sent. `at` is minutes past midnight in `local`; `day` is 0 to 6 from Monday, or the day of the month."""

    name: str
    to: tuple[str, ...]
    every: str
    at: int
    day: int
    timezone: str
    local: Any
    empty_after: bool
    columns: tuple[str, ...]

    @property
    def schedule(self) -> str:
        """What its next time hangs on; while this stays the same, so does a time that was missed."""
        return f"{self.every} {self.day} {self.at} {self.timezone}"

    def next(self, now_ms: int) -> int:
        """The next scheduled time, strictly later."""
        if self.every == "monthly":
            return next_monthly(now_ms, self.day, self.at, self.local)
        days = {"daily": (), "weekdays": _WEEKDAYS, "weekly": (self.day,)}[self.every]
        return next_time(now_ms, self.at, days, self.local)


class Export(msgspec.Struct, frozen=True, array_like=True):
    """The rows of a list at one scheduled time. `slot` says in which of the list's `SLOTS` tables they stand."""

    list: str
    slot: int
    due_ms: int


class Sending(msgspec.Struct, array_like=True, gc=False):
    """One scheduled time that is not over yet: `waiting` holds the ids of the effects whose outcomes decide how it goes on."""

    due_ms: int
    slot: int
    waiting: list[str]
    mailed: bool = False
    delivered: bool = False


class ListState(msgspec.Struct, array_like=True, gc=False):
    """A list as its home partition remembers it. Fields are only ever added at the end."""

    format: int = 1
    schedule: str = ""
    due_ms: int = 0
    sendings: int = 0
    open: list[Sending] = []


def list_key(name: str) -> str:
    """The entity key of a list: names its home partition, its checkpoint and its due time."""
    return f"{ENTITY}fulfillment:{name}"


def name_of(key: str) -> str:
    """The list of an entity key."""
    return key.partition(":")[2]


def table_of(name: str) -> str:
    """The table of a list's rows, contact → row, one in each partition."""
    return f"fulfillment:{name}"


def export_table(name: str, slot: int) -> str:
    """The table of an export's rows, one in each partition."""
    return f"export:{name}:{slot}"


def tables_of(name: str) -> list[str]:
    """Every table in which rows of a list's contacts may stand."""
    return [table_of(name), *(export_table(name, slot) for slot in range(SLOTS))]


# -- reading fulfillment.yaml ------------------------------------------------------------------------------------------------


def read_lists(table: Mapping[str, Any], timezone: str, local: tzinfo, problems: list[Problem]) -> dict[str, FulfillmentList]:
    """The lists that are sent; every problem is reported. A list without `every` is only read by people."""
    found = {}
    whole = Place(table, problems, path="fulfillment")
    for name, raw in table.items():
        if not isinstance(raw, Mapping):
            continue  # reported with the other catalogs
        before = len(problems)
        read = _read_list(whole.at(name), str(name), timezone, local)
        if len(problems) == before and read is not None:
            found[str(name)] = read
    return found


def _read_list(place: Place, name: str, timezone: str, local: tzinfo) -> FulfillmentList | None:
    place.known(_KEYS, "a fulfillment list")
    to = tuple(_addresses(place.at("to"))) if place.has("to") else ()
    every = place.at("every").one_of(EVERY, "`every`") if place.has("every") else ""
    at = place.at("at").taken(parse_clock) if place.has("at") else 0
    empty_after = place.at("empty_after").flag("`empty_after`") if place.has("empty_after") else False
    columns = tuple(item.text("a column") for item in place.at("columns").items("`columns`")) if place.has("columns") else ()
    if place.has("timezone"):
        timezone = place.at("timezone").text("`timezone`")
        named = zone(timezone) if timezone else local
        if named is None:
            place.at("timezone").problem(f'there is no time zone "{timezone[:60]}"', "write an IANA name such as Europe/Berlin")
        local = named or local
    day = _day(place, every)
    if not every:
        return None
    if not to and not place.has("to"):
        place.problem("the list is sent to nobody", "write `to: ship@example.com`")
    return FulfillmentList(name=name, to=to, every=every, at=at, day=day, timezone=timezone, local=local, empty_after=empty_after, columns=columns)


def _day(place: Place, every: str) -> int:
    """`day`: a weekday for `weekly` (default Monday), a day of the month for `monthly` (default the first)."""
    if not place.has("day"):
        return 1 if every == "monthly" else 0
    at = place.at("day")
    if every == "weekly":
        return at.taken(parse_day)
    if every == "monthly":
        if isinstance(at.raw, int) and not isinstance(at.raw, bool) and 1 <= at.raw <= 31:
            return at.raw
        at.problem(f"`day` of a monthly list must be 1 to 31, not {shown(at.raw)}")
    elif every:
        at.problem(f"a list that is sent {every} has no `day`", "`day` belongs to weekly and monthly lists")
    return 1


def _addresses(place: Place) -> list[str]:
    """One address, or several with commas between them."""
    text = place.text("`to`")
    found = [part.strip() for part in text.split(",")] if text else []
    for address in found:
        local, at, domain = address.rpartition("@")
        if not (at and local and domain) or not address.isprintable() or any(mark in address for mark in ' <>"'):
            place.problem(f"{shown(address)} is not an e-mail address", 'write `to: ship@example.com`, or several with commas: "a@example.com, b@example.com"')
    return list(dict.fromkeys(found))


# -- what follows from what --------------------------------------------------------------------------------------------------


def on_time(key: str, state: ListState | None, now_ms: int, lists: Mapping[str, FulfillmentList], snapshot: int, changes: Changes) -> ListState | None:
    """A look at a list: its time has come, or a workspace was published. None: it is no longer sent, forget it."""
    found = lists.get(name_of(key))
    if found is None:
        return None
    state = state or ListState()
    if state.schedule != found.schedule:
        state.schedule, state.due_ms = found.schedule, found.next(now_ms)
    elif state.due_ms <= now_ms:
        slot, state.sendings = state.sendings % SLOTS, state.sendings + 1
        job = _effect(key, state.due_ms, "gather", CHANNEL, snapshot, now_ms, {"slot": slot, "columns": list(found.columns)})
        kept = [sending for sending in state.open if sending.slot != slot]
        state.open = [*kept, Sending(state.due_ms, slot, [job.id])]
        changes.effects.append(job)
        state.due_ms = found.next(now_ms)
    return state


def on_outcome(key: str, state: ListState, record: Outcome, now_ms: int, lists: Mapping[str, FulfillmentList], snapshot: int, changes: Changes) -> str:
    """What became of an effect of a list decides what is done next. The text is what an operator should hear, "" where all is well."""
    sending = next((sending for sending in state.open if record.effect in sending.waiting), None)
    if sending is None:
        return f"a mail came back: {record.reason}" if record.status in ("bounced", "complained") else ""
    sending.waiting = [waiting for waiting in sending.waiting if waiting != record.effect]
    good = record.status == "delivered"
    found = lists.get(name_of(key))
    if not sending.mailed:
        rows = record.data.get("rows", 0)
        if good and rows and found is not None:
            said = {"rows": rows, "linked": bool(record.data.get("linked")), "slot": sending.slot, "columns": list(found.columns), "timezone": found.timezone}
            mails = [_effect(key, sending.due_ms, f"mail {to}", "email", snapshot, now_ms, {**said, "to": to}) for to in found.to]
            changes.effects.extend(mails)
            sending.waiting, sending.mailed = [mail.id for mail in mails], True
    else:
        sending.delivered = sending.delivered or good
    if not sending.waiting:
        state.open = [other for other in state.open if other is not sending]
        if sending.delivered and found is not None and found.empty_after:
            changes.effects.append(_effect(key, sending.due_ms, "empty", CHANNEL, snapshot, now_ms, {"slot": sending.slot}))
    return "" if good else f"{record.status}: {record.reason}"


def _effect(key: str, due_ms: int, what: str, channel: str, snapshot: int, now_ms: int, params: dict[str, Any]) -> Effect:
    made_of = f"{key}\x00{due_ms}\x00{what}"
    name = name_of(key)
    return Effect(
        blake2b(made_of.encode(), digest_size=16).hexdigest(),
        key,
        KIND,
        channel,
        TRANSACTIONAL,
        "",
        "",
        0,
        name,
        0,
        0,
        0,
        snapshot,
        now_ms,
        {"do": what.partition(" ")[0], "list": name, "due_ms": due_ms, **params},
    )


def export_of(effect: Effect) -> Export:
    """The export that an effect of a list is about."""
    params = effect.params
    return Export(params["list"], params["slot"], params["due_ms"])
