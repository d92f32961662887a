"""What stands in the log. A record is addressed to one contact (or, for `UseSnapshot`, to a whole partition).

Records are msgpack arrays that begin with their tag, so a batch decodes in one call. Fields are only ever added at the
end, with defaults: yesterday's log loads today. Times are epoch milliseconds, UTC.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Event(msgspec.Struct, tag="e", array_like=True, gc=False):
    """A fact about a contact. `id` is empty where the sender gave none (then it can't be a duplicate); `time` is data."""

    contact: str
    name: str
    data: dict[str, Any] = {}
    id: str = ""
    time: int | None = None


class Update(msgspec.Struct, tag="u", array_like=True, gc=False):
    """A change of a contact's own record. A field set to None is cleared. `tighten`: its consent may only be stricter than what stands."""

    contact: str
    fields: dict[str, Any] = {}
    tags_add: list[str] = []
    tags_remove: list[str] = []
    consent: dict[str, str] = {}
    id: str = ""
    tighten: bool = False


class Command(msgspec.Struct, tag="c", array_like=True, gc=False):
    """`verb` is add_to, remove_from, pause, unpause (of the map, or `sequence:ID`, named by `map`), release, complete_task or assign_task.

    `release`: the outbox has room again for (`map` = "channel/destination"). `complete_task`: `map` is the task id,
    `data.outcome` the outcome chosen ("" for none), `data.by` who says so. `assign_task`: the same, `data.to` whom it goes to, `data.row` its row.
    """

    contact: str
    verb: str
    map: str
    id: str = ""
    data: dict[str, Any] = {}


class Outcome(msgspec.Struct, tag="o", array_like=True, gc=False):
    """What became of an effect, written by the settle script in the same breath as the effect's state.

    `status` is delivered, rejected, dead, unknown, or what came back later: bounced, complained, opened, clicked
    (an answer to an SMS is an event of its own, `sms.received`). `data` carries what the provider said; its `events`, a list of [name, data], are facts about the contact that came with it.
    `id` names the notice that brought it, where a provider may send one twice.
    """

    contact: str
    effect: str
    action: str
    status: str
    reason: str = ""
    enrollment: int = 0
    element: str = ""
    data: dict[str, Any] = {}
    id: str = ""


class Posted(msgspec.Struct, tag="p", array_like=True, gc=False):
    """A record from another partition, applied once: `seq` rises per `source` partition, and the target keeps the highest.

    `contact` is the contact or entity key it is addressed to; `kind` route (to a router's home) or owner (back).
    """

    contact: str
    source: int
    seq: int
    kind: str
    data: dict[str, Any] = {}


class Erase(msgspec.Struct, tag="x", array_like=True, gc=False):
    """Forget this contact: checkpoint, timers, pending effects, path."""

    contact: str
    id: str = ""


class UseSnapshot(msgspec.Struct, tag="s", array_like=True, gc=False):
    """From here on this partition runs snapshot `number` of the workspace."""

    number: int
    contact: str = ""


Record = Event | Update | Command | Outcome | Posted | Erase | UseSnapshot
