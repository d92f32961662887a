"""One call to Redis as a value: built by pure functions, sent by a thin synchronous or asynchronous runner.

A reply that is an error becomes a value too, so many calls share a round trip and each has its own fate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import hiredis
from redis import exceptions

from engine.core.errors import Fenced, Full, ResultUnknown, Unavailable, WayfareError
from engine.storage.scripts import SCRIPTS

T = TypeVar("T")
Argument = str | bytes | int | float


def same(reply: Any) -> Any:
    """The reply as it is."""
    return reply


class Call(NamedTuple):
    """A script (`keys`, `args`) or, where `script` is empty, the plain command in `args`; `parse` makes the answer of the reply."""

    script: str
    keys: tuple[str, ...]
    args: tuple[Argument, ...]
    parse: Callable[[Any], Any] = same
    writes: bool = True


def command(*args: Argument, parse: Callable[[Any], Any] = same, writes: bool = False) -> Call:
    """A plain command."""
    return Call("", (), args, parse, writes)


def partition_key(partition: int, name: str) -> str:
    """`{p7}:name`. The braces are the hash tag that keeps a partition in one slot of a cluster."""
    return f"{{p{partition}}}:{name}"


def script(name: str, partition: int, *args: Argument, parse: Callable[[Any], Any] = same, writes: bool = True) -> Call:
    """A script of one partition. It is given the meta hash as its key and derives the others from it."""
    return Call(name, (partition_key(partition, "meta"),), args, parse, writes)


def packed(*args: Argument) -> bytes:
    """One command in RESP, packed in C."""
    return hiredis.pack_command(args)  # type: ignore[arg-type]  # its stub says a tuple of one


def beyond(name: str, key: str, *args: Argument) -> Call:
    """A plain write that succeeds on a server whose memory is full."""
    return Call("beyond", (key,), (name, *args))


def pack(calls: Sequence[Call]) -> bytes:
    """The calls as one piece of RESP, for a single write."""
    pieces = []
    for script, keys, args, _, _ in calls:
        pieces.append(packed("EVALSHA", SCRIPTS[script].sha, len(keys), *keys, *args) if script else packed(*args))
    return b"".join(pieces)


_AWAY = (
    exceptions.BusyLoadingError,
    exceptions.ReadOnlyError,
    exceptions.MasterDownError,
    exceptions.ClusterDownError,
    exceptions.TryAgainError,
)


def fault(error: Exception) -> Exception:
    """The engine's error for an error that the server answered with; such a call has written nothing."""
    text = str(error)
    code = text.partition(" ")[0]
    if code == "FENCED":
        return Fenced(text.partition(" ")[2])
    if code == "FULL":
        return Full(text.partition(" ")[2])
    if isinstance(error, exceptions.OutOfMemoryError) or code == "OOM":
        return Full("the server's memory is full")
    if isinstance(error, _AWAY) or code in ("MISCONF", "BUSY", "NOREPLICAS", "LOADING"):
        return Unavailable(text)
    return WayfareError(f"the server refused: {text}")


def lost(call: Call, error: BaseException) -> Exception:
    """The error of a call that was sent and whose reply did not come. A server that is still loading has refused it, not lost it."""
    if call.writes and not isinstance(error, exceptions.BusyLoadingError):
        return ResultUnknown(f"the reply was lost: {error}")
    return Unavailable(f"the reply was lost: {error}")


def answer(call: Call, reply: Any) -> Any:
    """What the call stands for: its parsed reply, or the error as a value."""
    if isinstance(reply, exceptions.ResponseError):
        return fault(reply)
    if isinstance(reply, Exception):
        return reply
    try:
        return call.parse(reply)
    except WayfareError as error:
        return error


def only(answers: list[Any]) -> Any:
    """The answer of a single call, raised where it is an error."""
    value = answers[0]
    if isinstance(value, Exception):
        raise value
    return value


def checked(answers: list[Any]) -> list[Any]:
    """All answers; the first error among them is raised."""
    for value in answers:
        if isinstance(value, Exception):
            raise value
    return answers
