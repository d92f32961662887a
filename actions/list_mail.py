"""The messages of a fulfillment list: what has to be read from storage before it can be written.

An email is the same at every attempt, because an export does not change (but for contacts who were erased meanwhile).
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from actions.action import Rendering
from actions.list_exports import ExportGone, Link, export_within, make_link
from actions.messages import Attachment, Email, ListJob, Message
from actions.providers.provider import House
from engine.core.effects import Effect
from engine.core.fulfillment import CHANNEL, Export, export_of
from engine.core.local_time import iso
from engine.ports import Lists


class ListMail:
    """Writes the messages of the effects that lists decide."""

    def __init__(self, lists: Lists, house: House) -> None:
        self._lists, self._house = lists, house

    async def compose(self, effect: Effect, workspace: Rendering) -> Message:
        """The message of an effect. Raises ExportGone, Unavailable."""
        export, params = export_of(effect), effect.params
        columns = list(params.get("columns", ()))
        if effect.channel == CHANNEL:
            return ListJob(do=params["do"], export=export, columns=columns)
        day = datetime.fromtimestamp(export.due_ms / 1_000, ZoneInfo(params["timezone"])).strftime("%Y-%m-%d")
        count = "1 contact" if params["rows"] == 1 else f"{params['rows']} contacts"
        email = Email(
            to=params["to"],
            sender=str(workspace.providers.get("email", {}).get("from", "")),
            subject=f"{export.list}: {count}, {day}",
            text=f"The fulfillment list {export.list} of {day} holds {count}.\n",
        )
        if params["linked"]:
            email.text += self._linked(export, columns)
        else:
            email.text += "It is attached as CSV (UTF-8).\n"
            email.attachments = (await self._attachment(export, columns, day),)
        return email

    async def _attachment(self, export: Export, columns: list[str], day: str) -> Attachment:
        content = await export_within(self._lists, export, columns, self._house.config)
        if content is None:
            raise ExportGone("the list does not fit an attachment any more: attachment_bytes_max was lowered since it was gathered")
        return Attachment(name=file_name(export.list, day), kind="text/csv; charset=utf-8", content=content)

    def _linked(self, export: Export, columns: list[str]) -> str:
        config = self._house.config
        until_ms = export.due_ms + config.export_life_ms
        link = make_link(self._house.public_url, self._house.secret, Link(export, until_ms, columns))
        return f"It is too large to be attached. Until {iso(until_ms)} it can be fetched as CSV (UTF-8), by everybody who has this link:\n\n{link}\n"


def file_name(name: str, day: str) -> str:
    """A list's name as part of a file name: what is not plain becomes a dash."""
    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "-" for letter in name)
    return f"{plain}-{day}.csv"
