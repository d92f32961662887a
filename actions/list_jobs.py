"""What the engine does about fulfillment lists: `gather` makes an export, `empty` takes its rows off the list, and both may be done again.

They are effects of a channel of their own, `lists`, so they are claimed, retried and accounted for as everything else; no map and no
providers.yaml can name it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actions.list_exports import export_within
from actions.messages import ListJob
from actions.providers.provider import DEFERRED, DELIVERED, MESSAGE, Dispatch, Provider, Report, Result, clean, each, rejected
from engine.config import Config
from engine.core.errors import Full, Unavailable, WayfareError
from engine.core.fulfillment import CHANNEL
from engine.ports import Lists

LINE_BYTES_MIN = 2  # of a row in a CSV, whatever its columns


class ListKeeper(Provider):
    """Not in `actions/providers/`: it carries nothing out of the engine."""

    name = "lists"
    channel = CHANNEL
    honours_key = True
    patient = True
    not_accepted = frozenset()

    def __init__(self, lists: Lists, config: Config) -> None:
        self._lists, self._config = lists, config

    @property
    def at_once(self) -> int:
        return 2  # one waits while the other one reads

    async def send(self, dispatches: Sequence[Dispatch], report: Report) -> None:
        await each(dispatches, self._do, report)

    async def _do(self, dispatch: Dispatch) -> Result:
        job = dispatch.message
        assert isinstance(job, ListJob)
        try:
            data = await (self._gather(job) if job.do == "gather" else self._empty(job))
        except (Unavailable, Full) as error:  # also where the result is unknown: both may be done again
            return Result(state=DEFERRED, reason=clean(str(error)), blames=MESSAGE)
        except WayfareError as error:
            return rejected(str(error))
        return Result(state=DELIVERED, data=data)

    async def _gather(self, job: ListJob) -> dict[str, Any]:
        """Make the export; how many rows it has, and whether they are too many to be attached."""
        rows = await self._lists.freeze(job.export, self._config.export_life_ms)
        if rows * LINE_BYTES_MIN > self._config.attachment_bytes_max:
            return {"rows": rows, "linked": True}
        attachment = await export_within(self._lists, job.export, job.columns, self._config) if rows else b""
        return {"rows": rows, "linked": attachment is None}

    async def _empty(self, job: ListJob) -> dict[str, Any]:
        taken = 0
        for partition in range(self._config.partitions):
            contacts = await self._lists.contacts(job.export, partition) or []
            for start in range(0, len(contacts), self._config.export_page_rows):
                taken += await self._lists.take_off(job.export, partition, contacts[start : start + self._config.export_page_rows])
        return {"rows": taken}
