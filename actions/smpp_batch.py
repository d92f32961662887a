"""The messages of one call of an SMPP provider's `send`: each is reported once, by its last answer, a lost link, or the end of the time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from actions import smpp_pdu as pdus
from actions.providers.provider import DELIVERED, UNKNOWN, Dispatch, Report, Result, clean, rejected
from actions.smpp_link import Segment
from actions.sms_text import Encoded


class Carrier(Protocol):
    """What a batch asks of its provider."""

    def failed(self, stage: str, reason: str, *, counts: bool = True) -> Result:
        """See Provider."""

    def written(self, dispatch: Dispatch) -> tuple[Encoded, list[bytes]] | Result:
        """A message as submit_sm, one for each segment; or why it can't be one."""

    def accepted(self, dispatch: Dispatch, ids: Sequence[str], segments: int) -> None:
        """Remember whose receipts will come under these ids."""

    def refusal(self, status: int, wire: bytes) -> Result:
        """What a refusal of a submit means."""


class Letter:
    """One dispatch on its way. Its segments are answered one by one; the last answer, a lost link or the end of the time makes its result."""

    __slots__ = ("_answers", "_batch", "_encoded", "_written", "dispatch", "over", "segments")

    def __init__(self, batch: Batch, dispatch: Dispatch, encoded: Encoded, wires: list[bytes]) -> None:
        self._batch, self.dispatch, self._encoded = batch, dispatch, encoded
        self.segments = [Segment(self, index, wire) for index, wire in enumerate(wires)]
        self._answers: dict[int, tuple[int, bytes]] = {}
        self._written = 0
        self.over = False

    def wrote(self) -> None:
        self._written += 1

    def answered(self, segment: Segment, status: int, wire: bytes) -> None:
        self._answers[segment.index] = status, wire
        if self.over:  # it came late: the receipt may still say what became of it
            self._batch.carrier.accepted(self.dispatch, self._ids([segment.index]), len(self.segments))
        elif len(self._answers) == len(self.segments):
            self.end(self._verdict())

    def lost(self, reason: str) -> None:
        self.end(self._batch.carrier.failed("answer" if self._written else "connect", f"{reason}{self._so_far()}"))

    def time_out(self) -> None:
        for segment in self.segments:
            if segment.link is not None:
                segment.link.give_up(segment)
        if self._written:
            self.end(self._batch.carrier.failed("answer", f"not answered in time{self._so_far()}"))
        else:
            self.end(self._batch.carrier.failed("connect", "the window had no room in time", counts=False))

    def end(self, result: Result) -> None:
        """Report, once."""
        if self.over:
            return
        self.over = True
        if result.state in (DELIVERED, UNKNOWN):
            self._batch.carrier.accepted(self.dispatch, self._ids(self._answers), len(self.segments))
        self._batch.report(self, result)

    def _verdict(self) -> Result:
        refused = sorted((index, *answer) for index, answer in self._answers.items() if answer[0] != pdus.OK)
        if not refused:
            said: dict[str, Any] = {"message_ids": self._ids(self._answers), "segments": len(self.segments), "encoding": self._encoded.alphabet}
            return Result(state=DELIVERED, data=said)
        _, status, wire = refused[0]
        if len(refused) == len(self.segments):
            return self._batch.carrier.refusal(status, wire)
        return Result(state=UNKNOWN, reason=clean(f"{pdus.status_text(status, wire[16:])}{self._so_far()}"))

    def _so_far(self) -> str:
        """Which segments were accepted and refused, where there are several."""
        total = len(self.segments)
        if total == 1:
            return ""
        accepted = [str(index + 1) for index, (status, _) in sorted(self._answers.items()) if status == pdus.OK]
        refused = [str(index + 1) for index, (status, _) in sorted(self._answers.items()) if status != pdus.OK]
        return f" (of {total} segments accepted: {', '.join(accepted) or 'none'}; refused: {', '.join(refused) or 'none'}; sent: {self._written})"

    def _ids(self, indexes: Sequence[int] | Mapping[int, Any]) -> list[str]:
        found = [pdus.message_id_of(self._answers[index][1]) for index in sorted(indexes) if self._answers[index][0] == pdus.OK]
        return [message_id for message_id in found if message_id]


class Batch:
    """The dispatches of one call of `send`."""

    def __init__(self, carrier: Carrier, report: Report) -> None:
        self.carrier, self._report = carrier, report
        self._open: dict[int, Letter] = {}
        self.done = asyncio.Event()

    def add(self, dispatch: Dispatch) -> None:
        """Take a dispatch; one that can't be written is reported at once."""
        try:
            written = self.carrier.written(dispatch)
        except ValueError as error:
            written = rejected(f"it can't be written: {error}")
        if isinstance(written, Result):
            self._report(dispatch, written)
        else:
            letter = Letter(self, dispatch, *written)
            self._open[id(letter)] = letter

    def segments(self) -> list[Segment]:
        """Of all that can be written."""
        return [segment for letter in self._open.values() for segment in letter.segments]

    def report(self, letter: Letter, result: Result) -> None:
        self._report(letter.dispatch, result)
        del self._open[id(letter)]
        if not self._open:
            self.done.set()

    def end(self, result: Result) -> None:
        """Nothing was written: this is the result of all."""
        for letter in list(self._open.values()):
            letter.end(result)

    def time_out(self) -> None:
        for letter in list(self._open.values()):
            letter.time_out()
