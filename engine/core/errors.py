"""The error tree: outcomes are values, these are faults.

WayfareError
├── InvalidDocument     a workspace, map or script that cannot be used; caught by the CLI (exit 2) and the gateway (422)
├── InvalidConfig       a setting out of its bounds; caught by the CLI (exit 2)
├── Unavailable         storage cannot be reached and nothing is known to have happened; the gateway answers 503, a shard waits
│   └── ResultUnknown   the request was sent, the reply was lost; whoever wrote must look before it writes again
├── Fenced              another owner holds the partition; the shard drops the partition's memory
├── Full                a bound of the log is reached; the gateway answers 429 with `retry_after_ms`
└── DamagedLog          numbers of a log are missing or run back; the shard stops that partition and alarms
    └── UnreadableBatch an entry that cannot be decoded; the shard sets its bytes aside and goes on behind it
"""

from __future__ import annotations

import msgspec


class WayfareError(Exception):
    """The root of every fault that Wayfare raises itself."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong with a document: the place, what is wrong, and the remedy.

    `line` counts from 1, 0 where there is none (a JSON body); `place` is a path such as `maps/welcome: path[2].wait`.
    """

    file: str
    line: int = 0
    place: str = ""
    message: str
    remedy: str = ""
    warning: bool = False

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        place = f" {self.place}:" if self.place else ""
        level = " warning:" if self.warning else ""
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{where}:{level}{place} {self.message}{remedy}"


class InvalidDocument(WayfareError):
    """A document that cannot be used, with every problem found in it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class InvalidConfig(WayfareError):
    """A setting that is unknown, unreadable or out of its bounds."""


class Unavailable(WayfareError):
    """Storage cannot be reached; nothing was written."""


class ResultUnknown(Unavailable):
    """The write was sent and its reply lost: it may have happened or not."""


class Fenced(WayfareError):
    """The lease was lost: another owner may already have written."""


class Full(WayfareError):
    """A bound of the log is reached; try again after `retry_after_ms`."""

    def __init__(self, message: str, retry_after_ms: int = 1000) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class DamagedLog(WayfareError):
    """The numbers of a partition's log do not follow each other."""

    def __init__(self, partition: int, expected: int, found: int) -> None:
        super().__init__(f"the log of partition {partition} has record {found} where {expected} should stand")
        self.partition = partition
        self.expected = expected
        self.found = found


class UnreadableBatch(DamagedLog):
    """An entry of the log that cannot be decoded: its bytes, its first number and how many records it was to hold."""

    def __init__(self, partition: int, first: int, count: int, stamp_ms: int, raw: bytes, reason: str) -> None:
        WayfareError.__init__(self, f"records {first} to {first + count - 1} of partition {partition} cannot be decoded: {reason}")
        self.partition = partition
        self.first = first
        self.count = count
        self.stamp_ms = stamp_ms
        self.raw = raw
        self.reason = reason
