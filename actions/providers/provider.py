"""The provider port: what carries messages of one channel. One file per provider, found by name and channel (registry.py).

A provider is made from its block of providers.yaml and is handed dispatches in batches; it reports the result of each as it comes.
A result is a value. The rule that keeps people from getting a message twice: `deferred` means that the provider certainly did not
accept the message, and each class declares at which stages of a conversation a failure is certain (`not_accepted`); anything else is `unknown`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar

import msgspec

from actions.feedback import Heard
from actions.messages import Message
from engine.config import Config
from engine.core.effects import Effect
from engine.core.errors import WayfareError

REASON_CHARS_MAX = 300

DELIVERED = "delivered"
REJECTED = "rejected"  # never to be tried again
DEFERRED = "deferred"  # certainly not accepted; may be tried again
UNKNOWN = "unknown"  # may have been accepted
CREDENTIALS = "credentials"  # not accepted, nor will anything else be until somebody acts

MESSAGE = "message"
DEST = "dest"
CHANNEL = "channel"


class Dispatch(msgspec.Struct, frozen=True, gc=False):
    """One message to be sent now. `effect.id` is the idempotency key, the same at every attempt."""

    effect: Effect
    message: Message
    attempt: int = 1


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one dispatch.

    For a deferral, `counts` says whether it was a failed attempt of this message, and `blames` whose breaker hears of it: the
    message's own (nobody's), the destination's or the channel's. `slow`: its destination asks for a slower pace (see throttle.py). `data` is what the provider said, in plain values; where it has
    `events` (a list of [name, data]), they become facts about the contact, also those of a delivery.
    """

    state: str
    reason: str = ""
    retry_after_ms: int = 0
    counts: bool = True
    blames: str = MESSAGE
    slow: bool = False
    data: dict[str, Any] = {}


Report = Callable[[Dispatch, Result], None]


class House(msgspec.Struct, frozen=True, kw_only=True):
    """What the deployment gives every provider.

    `clock` is epoch milliseconds; `secret` signs links and tokens. `hear` takes what a provider's own connection brings in (delivery
    receipts, inbound messages) and returns when it is in the log; None where nothing listens.
    """

    config: Config
    clock: Callable[[], int]
    secret: str = ""
    hear: Callable[[Sequence[Heard]], Awaitable[int]] | None = None

    @property
    def public_url(self) -> str:
        """Where recipients reach the gateway, without a slash at the end."""
        return (self.config.public_url or f"http://{self.config.host}:{self.config.port}").rstrip("/")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A block of providers.yaml. Subclasses add fields; secrets among them never appear in a representation."""

    provider: str = ""
    from_: str = msgspec.field(name="from", default="")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class Inbound(msgspec.Struct, frozen=True, kw_only=True):
    """A request to `/v1/callbacks/{provider}` as it came. `url` is the public one, with its query; header names are in lower case."""

    url: str
    headers: dict[str, str]
    body: bytes
    query: dict[str, str] = {}


class Reception(msgspec.Struct, frozen=True, kw_only=True):
    """What a callback said, and what to answer it."""

    heard: list[Heard] = []
    body: str = ""
    content_type: str = "text/plain"


class Unsigned(WayfareError):
    """A callback whose signature does not hold; answered with 403. Its text says what is wrong, never what would be right."""


class Unreadable(WayfareError):
    """A callback that is signed and can't be read; answered with 400."""


class Provider(ABC):
    """What carries one channel. Made inside a running event loop; `send` may run many times at once."""

    name: ClassVar[str]
    channel: ClassVar[str]
    Settings: ClassVar[type[Settings]]
    honours_key: ClassVar[bool] = False  # whether a second dispatch with the same effect id is recognised
    key_life_ms: ClassVar[int] = 0  # for how long it is, where that may be shorter than the life of an effect; 0: for ever
    gathers: ClassVar[bool] = False  # whether one request carries thousands: then `gathered_effects_max` may be under way
    by_site: ClassVar[bool] = False  # whether its block is a mapping of sites, each with settings; then it is made with a dict of them
    patient: ClassVar[bool] = False  # whether what it does may begin half a second late
    by_host: ClassVar[bool] = False  # whether each destination is a host of its own, with its own bound of messages in flight
    not_accepted: ClassVar[frozenset[str]]  # the stages at which a failure is certain; see `failed`

    @abstractmethod
    def __init__(self, settings: Any, house: House) -> None:
        """Raises InvalidConfig where the settings can't work. Opens no connection."""

    @property
    def in_flight_max(self) -> int:
        """How many messages it can carry at once, whatever the pool would hand it."""
        return 1 << 30

    @property
    def at_once(self) -> int:
        """How many messages can really be under way at a time: no more than these are marked, so that a crash leaves no more unknown."""
        return self.in_flight_max

    def start(self) -> None:
        """A pool begins to use it: one that also listens, on a connection of its own, opens that now. Returns at once."""
        return

    @abstractmethod
    async def send(self, dispatches: Sequence[Dispatch], report: Report) -> None:
        """Send each and report each once, within `send_timeout_ms`. Raises nothing for what a message or a server may do."""

    async def close(self) -> None:
        """Let go of connections."""
        return

    @classmethod
    async def receive(cls, settings: Any, inbound: Inbound, house: House) -> Reception:
        """What a callback says. Runs in the gateway, without an instance. Raises Unsigned, Unreadable."""
        raise NotImplementedError

    @classmethod
    def failed(cls, stage: str, reason: str, *, blames: str = CHANNEL, retry_after_ms: int = 0, counts: bool = True, slow: bool = False) -> Result:
        """The result of a failure at `stage`: deferred if the message was certainly not accepted, else unknown."""
        state = DEFERRED if stage in cls.not_accepted else UNKNOWN
        return Result(state=state, reason=clean(reason), blames=blames, retry_after_ms=retry_after_ms, counts=counts, slow=slow)


def clean(text: str) -> str:
    """What a server said, fit for a log line and a dead letter: printable, on one line, bounded."""
    return "".join(character if character.isprintable() else " " for character in text[:REASON_CHARS_MAX]).strip()


def rejected(reason: str, **data: Any) -> Result:
    return Result(state=REJECTED, reason=clean(reason), data=data)


async def each(dispatches: Sequence[Dispatch], call: Callable[[Dispatch], Awaitable[Result]], report: Report) -> None:
    """Send each by itself, all at once, for providers that don't batch. A fault of our own makes that one `unknown`, not the others."""

    async def one(dispatch: Dispatch) -> None:
        try:
            result = await call(dispatch)
        except Exception as error:  # noqa: BLE001 - whatever it is, the message may have been sent
            result = Result(state=UNKNOWN, reason=clean(f"{type(error).__name__}: {error}"))
        report(dispatch, result)

    if len(dispatches) == 1:
        await one(dispatches[0])
    else:
        await asyncio.gather(*(one(dispatch) for dispatch in dispatches))
