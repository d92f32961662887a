"""Triggers: every kind of trigger comes down to an event name and a predicate (`tag_added: vip` is `tag.added` with `event.tag` vip).

The same words stand in `triggers`, in `exit_on`, and in the place of `event` in waits and goals.
"""

from __future__ import annotations

from typing import Any

from engine.core.automation_map import LocalDate, Trigger
from engine.core.documents import LocatedDict
from engine.core.names import field_fault, shown
from engine.core.reading import Place
from engine.core.times import parse_clock, parse_offset

# The word of the document → (event name, what a value beside the word tests; "" where a value means nothing).
WORDS: dict[str, tuple[str, str]] = {
    "event": ("", ""),
    "date": ("date", ""),
    "added": ("added", "event.map"),
    "removed": ("removed", "event.map"),
    "paused": ("paused", "event.map"),
    "unpaused": ("unpaused", "event.map"),
    "tag_added": ("tag.added", "event.tag"),
    "tag_removed": ("tag.removed", "event.tag"),
    "field_changed": ("field.changed", "event.field"),
    "purchased": ("purchased", "event.product"),
    "order_cancelled": ("order.cancelled", "event.product"),
    "transaction_charged": ("transaction.charged", "event.product"),
    "transaction_declined": ("transaction.declined", "event.product"),
    "membership_changed": ("membership.changed", "event.site"),
    "task_completed": ("task.completed", "event.outcome"),
    "email_opened": ("email.opened", "event.template"),
    "email_clicked": ("email.clicked", "event.template"),
    "email_bounced": ("email.bounced", "event.template"),
    "email_complained": ("email.complained", "event.template"),
    "unsubscribed": ("unsubscribed", "event.channel"),
    "sms_received": ("sms.received", "event.text"),
    "sms_failed": ("sms.failed", "event.reason"),
}
OF_A_MAP = ("added", "removed", "paused", "unpaused")


def keys_of(word: str) -> set[str]:
    """The keys that may stand beside a trigger's word."""
    beside = {word, "where"} if word != "date" else {word}
    return beside | {"to", "from"} if word == "field_changed" else beside


def read_trigger(place: Place, map_id: str, *, go: bool = False) -> Trigger | None:
    """One item of `triggers` or `exit_on`: a bare word, or a mapping with one word. `go` says whether `go` may stand there."""
    if isinstance(place.raw, str):
        if place.raw in WORDS:
            return _trigger(place, place.raw, None, map_id)
        place.one_of([*WORDS], "a trigger")
        return None
    word = trigger_word(place, {"go"} if go else set())
    if word is None:
        return None
    trigger = _trigger(place, word, place.at(word), map_id)
    if go and trigger is not None and place.has("go"):
        trigger.go = place.at("go").name("`go`")
    return trigger


def trigger_word(place: Place, also: set[str]) -> str | None:
    """The one trigger word of a mapping, its other keys checked against `also`; None with a problem where there is none."""
    if not isinstance(place.raw, dict):
        place.problem(f"a trigger must be a word or a mapping such as `event: order.placed`, not {shown(place.raw)}")
        return None
    found = [key for key in place.raw if key in WORDS]
    if len(found) == 1:
        place.known(keys_of(found[0]) | also, f"`{found[0]}`")
        return str(found[0])
    if found:
        place.problem(f"a trigger has one word, and here are {' and '.join(f'`{word}`' for word in found)}", "write one trigger for each")
        return None
    strange = [key for key in place.raw if key not in also and key != "where"]
    if strange:
        place.unknown(str(strange[0]), [*WORDS], "a trigger")
    else:
        place.problem("no trigger stands here", "write `event: NAME`, or one of " + ", ".join(WORDS))
    return None


def read_trigger_of(place: Place, word: str, map_id: str) -> Trigger | None:
    """The trigger of a wait or a goal, whose mapping holds `word` among keys of its own."""
    return _trigger(place, word, place.at(word), map_id)


def _trigger(place: Place, word: str, value: Place | None, map_id: str) -> Trigger | None:
    bare = value is None or value.raw is None or value.raw is True
    line = (value or place).line
    if word == "date":
        return _date(value or place, line)
    event, tested = WORDS[word]
    tests = LocatedDict(file=place.file, line=line)
    if word == "event":
        event = (value or place).text("the event's name") if not bare else ""
        if bare:
            place.problem("`event` needs the name of an event", "write `event: order.placed`")
        if not event:
            return None
    elif word in OF_A_MAP:
        tests[tested] = map_id if bare else _map(value)  # type: ignore[arg-type]  # a value that is not bare is there
    elif not bare:
        assert value is not None
        tests.update(_membership(value) if word == "membership_changed" and isinstance(value.raw, dict) else {tested: value.text(f"the value of `{word}`")})
    if word == "field_changed":
        _check_field(value, bare)
        tests.update({f"event.{key}": _changed(place.at(key)) for key in ("to", "from") if place.has(key)})
    return Trigger(kind=word, event=event, where=_with_where(tests, place), line=line)


def _map(value: Place) -> str:
    if isinstance(value.raw, dict) and value.known({"map"}, "this trigger"):
        return value.at("map").name("`map`") if value.has("map") else ""
    value.problem(f"write the bare word, or `{{map: ID}}` for another map, not {shown(value.raw)}")
    return ""


def _membership(value: Place) -> dict[str, str]:
    value.known({"site", "level", "status"}, "`membership_changed`")
    return {f"event.{key}": value.at(key).text(f"`{key}`") for key in ("site", "level", "status") if value.has(key)}


def _check_field(value: Place | None, bare: bool) -> None:
    if value is not None and not bare and isinstance(value.raw, str) and (fault := field_fault(value.raw)):
        value.problem(fault)


def _changed(place: Place) -> Any:
    """What `to` and `from` test: a value, a test such as `{gte: 5}`, or nothing, which means that the field is missing."""
    return {"exists": False} if place.raw is None else place.raw


def _with_where(tests: LocatedDict, place: Place) -> dict[str, Any]:
    """The trigger's own tests and its `where`, both of which must hold."""
    if not place.has("where"):
        return tests
    where = place.at("where")
    if not isinstance(where.raw, dict):
        where.problem(f"`where` must be a predicate such as `{{event.total: {{gte: 20}}}}`, not {shown(where.raw)}")
        return tests
    if not tests:
        return where.raw
    return LocatedDict({"all": [tests, where.raw]}, file=place.file, line=where.line)


def _date(place: Place, line: int) -> Trigger | None:
    if not place.known({"field", "offset", "time", "yearly"}, "`date`"):
        return None
    date = read_date(place)
    yearly = place.at("yearly").flag("`yearly`") if place.has("yearly") else False
    return Trigger(kind="date", event="date", date=date, yearly=yearly, line=line) if date else None


def read_date(place: Place) -> LocalDate | None:
    """`field`, `offset?` and `time?` of a mapping."""
    if not place.has("field"):
        place.problem("the date field is missing", "write `field: birthday`")
        return None
    field = place.at("field")
    if fault := field_fault(field.raw):
        field.problem(fault)
    offset = place.at("offset").taken(parse_offset) if place.has("offset") else 0
    time = place.at("time").taken(parse_clock) if place.has("time") else None
    return LocalDate(field=str(field.raw), offset_ms=offset, time=time)
