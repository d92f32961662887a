"""What clients send: the types of the bodies, which /openapi.json describes, and the limits that hold for each.

Unknown members are errors, so that a misspelt one is told and not lost. Times are RFC 3339 with an offset, or epoch
milliseconds.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

NAME_CHARS_MAX = 200
TIME_MS_MAX = 253_402_300_799_999  # the end of the year 9999, as RFC 3339 has it

Name = Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX)]
Text = Annotated[str, Meta(min_length=1)]
Time = Annotated[datetime, Meta(tz=True, description="RFC 3339, with an offset")]


class EventIn(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """One event. With an `id` it is applied once, however often it is sent; its `time` is data."""

    contact: Text
    name: Name
    id: str | None = None
    time: Time | int | float | None = None
    data: dict[str, Any] | None = None


class TagsIn(msgspec.Struct, forbid_unknown_fields=True):
    """Tags to add and to remove."""

    add: list[Name] = []
    remove: list[Name] = []


class ContactIn(msgspec.Struct, forbid_unknown_fields=True):
    """A change of one contact, who is made where there is none. A field that is null is cleared; `timezone` is short for `fields.timezone`."""

    contact: Text
    fields: dict[Name, Any] = {}
    tags: TagsIn | None = None
    consent: dict[str, str] = {}
    timezone: str | None = None


class MapContacts(msgspec.Struct, forbid_unknown_fields=True):
    """Whom to add, remove, pause or unpause: one `contact`, or many `contacts`. `where` (a predicate) is refused in this version."""

    contact: str | None = None
    contacts: list[str] = []
    where: dict[str, Any] | None = None


class TaskOutcome(msgspec.Struct, forbid_unknown_fields=True):
    """How a task ended: one of the outcomes that its `assign_task` names, or empty where it names none. `by`, where it is given, is the team
    member who says so, and must be one to whom the task was assigned."""

    outcome: str = ""
    by: str = ""


class TaskAssignment(msgspec.Struct, forbid_unknown_fields=True):
    """Whom a task goes to: `owner`, `user:ID` or `role:NAME`, as in a map."""

    to: Text


class EffectFilter(msgspec.Struct, forbid_unknown_fields=True):
    """Which dead letters or unknown effects: by their ids, or all that match. `since` bounds when they were set aside."""

    ids: list[str] = []
    channel: str = ""
    map: str = ""
    reason: str = ""
    since: Time | int | None = None


class UnknownResolution(EffectFilter, forbid_unknown_fields=True, kw_only=True):
    """What became of unknown effects, as somebody found out; `pending` sends them again."""

    into: str


class Sending(msgspec.Struct, forbid_unknown_fields=True):
    """Of what to stop or resume sending: a channel, or a map; all of it where neither is given."""

    channel: str = ""
    map: str = ""


def epoch_ms(time: datetime | float | None) -> int | None:
    """A time as a client may give it, in epoch milliseconds; ValueError where no calendar has it."""
    if time is None:
        return None
    ms = int(time.timestamp() * 1000) if isinstance(time, datetime) else int(time)
    if not -TIME_MS_MAX <= ms <= TIME_MS_MAX:
        raise ValueError("`time` is out of range: give RFC 3339 or epoch milliseconds")
    return ms
