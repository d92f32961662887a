"""What comes back after a message: receipts, bounces, complaints, answers, opens. From what a provider said to records of the contact.

A provider that can carry a text along with a message carries the effect's token, so that what comes back names its contact, its effect
and its element, and nothing had to be stored. Where there is no token, the contact is found by address. Every notice becomes records that
are appended with the reserve (they are results, not new work) and with an id, so a notice that is sent twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import msgspec

from actions.tokens import sign, verify
from engine.core.effects import Effect
from engine.core.partitioning import partition_of
from engine.core.records import Event, Outcome, Record, Update
from engine.ports import Directory, Intake, Outbox

PURPOSE = "about"
# What a notice says of an effect that is listed as unknown: whatever came back from a mailbox had been delivered there.
FINAL = {"delivered": "delivered", "complained": "delivered", "rejected": "rejected", "bounced": "rejected"}
_DECIDED_BY = {"email": "send_email", "sms": "send_sms", "postcard": "send_postcard"}  # whose outcome it is where no token says so


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a provider said about one contact.

    Who: `about` (a token, see `about`), else `contact`, else all whose `email` or `phone` it is. What: the `status` of an effect
    (engine.core.outcomes.STATUSES), and/or an `event` with `data`, and/or `consent` by channel. `tighten`: consent may only become stricter.
    `id` names the notice: the same one again changes nothing.
    """

    channel: str = ""
    about: str = ""
    contact: str = ""
    email: str = ""
    phone: str = ""
    status: str = ""
    event: str = ""
    reason: str = ""
    data: dict[str, Any] = {}
    consent: dict[str, str] = {}
    tighten: bool = True
    id: str = ""
    time: int | None = None  # epoch ms, as the provider says


class About(msgspec.Struct, frozen=True, array_like=True):
    """The effect that a token names."""

    contact: str
    effect: str
    action: str
    enrollment: int
    element: str
    template: str = ""


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(About)


def about(secret: str, effect: Effect) -> str:
    """The token that travels with a message. It shows the contact's id to who decodes it, and can't be forged."""
    return sign(secret, PURPOSE, _encode(about_of(effect)))


def about_of(effect: Effect) -> About:
    """What names an effect."""
    return About(effect.contact, effect.id, effect.kind, effect.enrollment, effect.element, effect.params.get("template", ""))


def read_about(secret: str, token: str) -> About | None:
    """The effect that a token names; None for what `secret` did not sign."""
    payload = verify(secret, PURPOSE, token)
    try:
        return None if payload is None else _decoder.decode(payload)
    except msgspec.MsgspecError:
        return None


def records_of(heard: Heard, who: About) -> list[Record]:
    """The records of one contact: the outcome, the consent, the event, in that order.

    What a notice to the team met (its bounce, say) is its own outcome and nothing of the contact's: the contact's consent stays.
    """
    records: list[Record] = []
    if heard.status:
        action = who.action or _DECIDED_BY.get(heard.channel, "")
        data = {"template": who.template, **heard.data} if who.template else heard.data
        records.append(Outcome(who.contact, who.effect, action, heard.status, heard.reason, who.enrollment, who.element, data, _id(heard, "o")))
    if who.action and _DECIDED_BY.get(heard.channel, who.action) != who.action:
        return records
    if heard.consent:
        records.append(Update(who.contact, consent=heard.consent, id=_id(heard, "u"), tighten=heard.tighten))
    if heard.event:
        data = {"reason": heard.reason, **heard.data} if heard.reason else heard.data
        records.append(Event(who.contact, heard.event, data, _id(heard, "e"), heard.time))
    return records


def _id(heard: Heard, what: str) -> str:
    return f"{heard.id}:{what}" if heard.id else ""


class Hearing:
    """Turns what was heard into records and appends them. `unknown` is called for what nobody could be found for (to count it).

    A receipt may be the first that is known of an effect that is listed as unknown: with an `outbox`, it is then delivered, or rejected.
    `counted` is handed everything whose records are in the log.
    """

    def __init__(
        self,
        intake: Intake,
        directory: Directory,
        partitions: int,
        secret: str,
        unknown: Callable[[Heard], None] | None = None,
        outbox: Outbox | None = None,
        counted: Callable[[Sequence[Heard]], Awaitable[None]] | None = None,
    ) -> None:
        self._intake, self._directory, self._partitions, self._secret, self._unknown = intake, directory, partitions, secret, unknown
        self._outbox, self._counted = outbox, counted

    async def hear(self, notices: Sequence[Heard]) -> int:
        """Append everything; how many records. Raises Full, Unavailable, ResultUnknown: then the provider must send it again."""
        batches: dict[int, list[Record]] = {}
        final: dict[tuple[int, str], list[str]] = {}
        for heard in notices:
            found = await self._who(heard)
            if not found and self._unknown:
                self._unknown(heard)
            for who in found:
                home = partition_of(who.contact, self._partitions)
                batches.setdefault(home, []).extend(records_of(heard, who))
                if who.effect and heard.status in FINAL:
                    final.setdefault((home, FINAL[heard.status]), []).append(who.effect)
        for answer in (await self._intake.append(batches, reserve=True)).values() if batches else ():
            if isinstance(answer, Exception):
                raise answer
        if self._outbox is not None:
            for (home, status), effects in final.items():
                await self._outbox.resolve(effects, "unknown", status, home)
        if self._counted is not None:
            await self._counted(notices)
        return sum(map(len, batches.values()))

    async def _who(self, heard: Heard) -> Iterable[About]:
        if heard.about:
            found = read_about(self._secret, heard.about)
            if found is not None:
                return [found]
        if heard.contact:
            return [About(heard.contact, "", "", 0, "")]
        for kind, value in (("email", heard.email), ("phone", heard.phone)):
            if value:
                return [About(contact, "", "", 0, "") for contact in await self._directory.find(kind, value)]
        return []
