"""What an SMSC delivers: receipts and messages, from deliver_sm to notices of contacts.

A deliver_sm is answered when its records are in the log; where that fails the answer is a temporary error, and the SMSC sends it again. What
arrives while storage is asked shares the next round trip. A receipt names only the SMSC's id of a message: `remember` keeps, for the
newest `receipts_max` messages of this process, whose it is. A receipt for any other (after a restart, or at another process) goes to the contacts that have the number.

Parts of a long message are answered at once and joined; what is incomplete after `part_wait_ms` is heard as far as it came.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

import smpp34
import structlog

from actions import smpp_pdu as pdus
from actions.feedback import Heard
from actions.smpp_link import Link
from actions.smpp_pdu import Inbound, Receipt
from actions.sms_keywords import keyword_of, received

log = structlog.get_logger(__name__)

FAULT_WAIT_S = 0.2  # storage was away: before it is asked again for what nobody will send again
CLOSE_S = 5.0  # and for so long at the end

Key = tuple[str, str, int, int]  # sender, receiver, reference, parts in all
Hear = Callable[[Sequence[Heard]], Awaitable[int]]


class Bounds(NamedTuple):
    """See SmppSettings."""

    receipts_max: int
    inbound_max: int
    parts_max: int
    part_wait_ms: int


class Found(NamedTuple):
    """The notice in a delivery; `undo` makes forget that it came, since it will come again."""

    heard: Heard
    undo: Callable[[], None]


class Parts(NamedTuple):
    """What came of a long message, by the parts' numbers."""

    texts: dict[int, str]
    timer: asyncio.TimerHandle


class Sent:
    """A message that was accepted, under the ids of its segments: `about` is its token, `left` counts segments without a receipt of delivery."""

    __slots__ = ("about", "left", "lost")

    def __init__(self, about: str, segments: int) -> None:
        self.about, self.left, self.lost = about, segments, False

    def told(self, lost: bool) -> bool:
        """A segment's receipt came; whether it says what became of the message."""
        if self.lost:
            return False
        if lost:
            self.lost = True
            return True
        self.left -= 1
        return self.left == 0

    def untold(self, lost: bool) -> None:
        """That receipt will come again."""
        if lost:
            self.lost = False
        else:
            self.left += 1


class Deliveries:
    """Takes each deliver_sm of a provider's links. `hear` None: everything is answered and forgotten."""

    def __init__(self, hear: Hear | None, words: Mapping[str, str], region: str, bounds: Bounds) -> None:
        self._hear, self._words, self._region, self._bounds = hear, words, region, bounds
        self._sent: OrderedDict[str, Sent] = OrderedDict()  # by the SMSC's id
        self._arrived: list[tuple[Link, int, Found]] = []
        self._unheard: list[Heard] = []  # of messages that are incomplete or whose parts were all answered
        self._parts: OrderedDict[Key, Parts] = OrderedDict()
        self._working: asyncio.Task[None] | None = None

    def remember(self, message_id: str, sent: Sent) -> None:
        """A segment was accepted under this id."""
        self._sent[message_id] = sent
        if len(self._sent) > self._bounds.receipts_max:
            self._sent.popitem(last=False)

    def take(self, link: Link, sequence: int, wire: bytes) -> None:
        """One deliver_sm; its answer follows."""
        if len(self._arrived) >= self._bounds.inbound_max:
            link.answer(sequence, pdus.TEMPORARY_ERROR)
            return
        try:
            found = pdus.read_deliver(wire, self._region)
        except smpp34.SmppError as error:
            log.warning("a deliver_sm cannot be read", error=str(error))
            link.answer(sequence, pdus.PERMANENT_ERROR)
            return
        notice = self._of_receipt(found) if isinstance(found, Receipt) else self._of_message(found) if found else None
        if notice is not None:
            self._arrived.append((link, sequence, notice))
            self._work()
        else:
            link.answer(sequence, pdus.OK)

    async def close(self) -> None:
        """Hear what is incomplete, and end what is being heard."""
        for key in list(self._parts):
            self._give_up(key)
        if self._working is not None:
            await asyncio.wait([self._working], timeout=CLOSE_S)
            self._working.cancel()

    # -- inside ----------------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._hear_all())

    async def _hear_all(self) -> None:
        """Hear everything that has arrived, and what arrives meanwhile."""
        while self._arrived or self._unheard:
            arrived, self._arrived = self._arrived, []
            unheard, self._unheard = self._unheard, []
            status = pdus.OK
            try:
                if self._hear is not None:
                    await self._hear([*unheard, *(found.heard for _, _, found in arrived)])
            except Exception as error:  # noqa: BLE001 - whatever it is, they are not in the log
                log.warning("what was delivered could not be kept; the server will send it again", error=str(error), count=len(arrived))
                status = pdus.TEMPORARY_ERROR
                for _, _, found in arrived:
                    found.undo()
            for link, sequence, _ in arrived:
                link.answer(sequence, status)
            for link in {link for link, _, _ in arrived}:
                link.pump()
            if status and unheard:
                self._unheard = [*unheard, *self._unheard][-self._bounds.parts_max :]
                await asyncio.sleep(FAULT_WAIT_S)

    def _of_receipt(self, receipt: Receipt) -> Found | None:
        """Delivered when all segments are, lost with the first that is; None for what is still on its way."""
        lost = receipt.stat in pdus.LOST
        if not lost and receipt.stat != "DELIVRD":
            return None
        sent = self._sent.get(receipt.message_id)
        if sent is not None and not sent.told(lost):
            return None

        def undo() -> None:
            if sent is not None:
                sent.untold(lost)

        reason = f"{receipt.stat} err:{receipt.error}"[:100] if lost else ""
        data = {"message_id": receipt.message_id[:100], "stat": receipt.stat}
        notice = f"smpp:{receipt.message_id[:100]}:{receipt.stat}:{receipt.done[:20]}"
        status, about = "rejected" if lost else "delivered", sent.about if sent else ""
        return Found(Heard(channel="sms", about=about, phone=receipt.number, status=status, reason=reason, data=data, id=notice), undo)

    def _of_message(self, message: Inbound) -> Found | None:
        """A message that is whole; None for a part where others are missing."""
        part = message.part
        if part is None or part.total < 2 or not 1 <= part.number <= part.total:
            return Found(self._message(message.sender, message.to, message.text), _nothing)
        key = (message.sender, message.to, part.reference, part.total)
        texts = {**self._taken(key), part.number: message.text}
        if len(texts) < part.total:
            self._wait_for(key, texts)
            return None

        def undo() -> None:
            del texts[part.number]
            self._wait_for(key, texts)

        return Found(self._message(message.sender, message.to, _joined(texts)), undo)

    def _wait_for(self, key: Key, texts: dict[int, str]) -> None:
        """Keep the parts that came until the others do, or `part_wait_ms` is over."""
        texts = {**self._taken(key), **texts}
        if len(self._parts) >= self._bounds.parts_max:
            self._give_up(next(iter(self._parts)))
        self._parts[key] = Parts(texts, asyncio.get_running_loop().call_later(self._bounds.part_wait_ms / 1_000, self._give_up, key))

    def _taken(self, key: Key) -> dict[int, str]:
        """The parts of a message that came so far; they are no longer waited with."""
        found = self._parts.pop(key, None)
        if found is None:
            return {}
        found.timer.cancel()
        return found.texts

    def _give_up(self, key: Key) -> None:
        """Hear a message as far as it came."""
        self._unheard.append(self._message(key[0], key[1], _joined(self._taken(key))))
        self._work()

    def _message(self, sender: str, to: str, text: str) -> Heard:
        return received(text, sender, to, keyword_of(text, self._words))


def _nothing() -> None:
    """A message that is sent again comes as if for the first time."""


def _joined(parts: dict[int, str]) -> str:
    return "".join(parts[number] for number in sorted(parts))
