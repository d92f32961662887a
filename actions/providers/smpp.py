"""SMS over SMPP 3.4: a few sessions bound as transceivers, kept for as long as the provider is used, since receipts and answers come in by them.

A long text is cut and its segments are joined by a header in each (UDH with an 8-bit reference made of the effect's id). A refusal is an
answer: nothing was accepted. What was written and not answered is `unknown`, and so is a text of which some segments were accepted and
others not: it is never sent again by itself, and the reason says which.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from zlib import crc32

import structlog

from actions import smpp_pdu as pdus
from actions.feedback import about
from actions.messages import Sms
from actions.providers import provider
from actions.providers.provider import CHANNEL, CREDENTIALS, Dispatch, House, Provider, Report, Result, clean, rejected
from actions.smpp_batch import Batch
from actions.smpp_inbound import Bounds, Deliveries, Sent
from actions.smpp_link import Link, Refused, Segment
from actions.sms_keywords import words_of
from actions.sms_text import DATA_CODING, HEADER_INDICATOR, SEGMENTS_MOST, Encoded, encode
from engine.core.errors import InvalidConfig

log = structlog.get_logger(__name__)


class SmppSettings(provider.Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each process of pools binds `connections` sessions; `window` bounds the messages in flight on each."""

    host: str
    system_id: str
    password: str
    port: int = 2775
    system_type: str = ""
    service_type: str = ""
    tls: bool = False  # the server's certificate is checked against the system's authorities
    connections: int = 2
    window: int = 50
    segments_max: int = 10  # a longer text is rejected
    receipts: bool = True  # ask for a delivery receipt of each segment
    region: str = ""  # two letters: the country of numbers that come in without their country code
    keywords: dict[str, list[str]] = {}  # more words for stop, start and help
    enquire_link_ms: int = 30_000
    connect_ms: int = 10_000  # connection and bind
    reconnect_ms_min: int = 200
    reconnect_ms_max: int = 10_000
    receipts_max: int = 100_000  # segments remembered until their receipt comes
    inbound_max: int = 1_000  # deliveries that wait for storage
    parts_max: int = 1_000  # inbound long messages that are incomplete
    part_wait_ms: int = 300_000

    def __post_init__(self) -> None:
        words_of(self.keywords)


class Smpp(Provider):
    name = "smpp"
    channel = "sms"
    Settings = SmppSettings
    not_accepted = frozenset({"connect", "refused"})

    def __init__(self, settings: SmppSettings, house: House) -> None:
        _check(settings)
        self._settings, self._house = settings, house
        self._tls = ssl.create_default_context() if settings.tls else None
        bounds = Bounds(settings.receipts_max, settings.inbound_max, settings.parts_max, settings.part_wait_ms)
        self._deliveries = Deliveries(house.hear, words_of(settings.keywords), settings.region, bounds)
        self._submit = pdus.submitter(settings.service_type, settings.receipts)
        self._queue: deque[Segment] = deque()
        self._links: list[Link] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._fault: Result | None = None  # of the last attempt to bind, where it failed
        self._news = asyncio.Event()  # an attempt to bind has ended; replaced each time
        self._wanted = asyncio.Event()  # somebody has something to send: try now

    @property
    def in_flight_max(self) -> int:
        return self._settings.connections * self._settings.window

    def start(self) -> None:
        """Bind, and stay bound."""
        if not self._keepers:
            self._keepers = [asyncio.create_task(self._keep()) for _ in range(self._settings.connections)]

    async def send(self, dispatches: Sequence[Dispatch], report: Report) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._house.config.send_timeout_ms / 1_000
        batch = Batch(self, report)
        for dispatch in dispatches:
            batch.add(dispatch)
        segments = batch.segments()
        if not segments:
            return
        fault = await self._bound(deadline)
        if fault is not None:
            batch.end(fault)
            return
        self._queue.extend(segments)
        self._pump()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await batch.done.wait()
        batch.time_out()
        self._pump()  # what was given up made room

    async def close(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await self._deliveries.close()
        for link in self._links.copy():
            await link.end()

    # -- sessions --------------------------------------------------------------------------------------------------------

    async def _bound(self, deadline: float) -> Result | None:
        """None as soon as a session is bound; else why none could be."""
        self.start()
        if self._links:
            return None
        news = self._news
        self._wanted.set()
        try:
            async with asyncio.timeout_at(deadline):
                await news.wait()
        except TimeoutError:
            return self.failed("connect", "no session was bound in time")
        return None if self._links else self._fault or self.failed("connect", "the session was lost at once")

    async def _keep(self) -> None:
        """Keep one session: bind, wait until it is lost, bind again; after failures at growing distances, or when something is to be sent."""
        settings, loop, wait_ms = self._settings, asyncio.get_running_loop(), self._settings.reconnect_ms_min
        while True:
            since = loop.time()
            link, self._fault = await self._connect()
            if link is not None and not link.closed.is_set():
                self._links.append(link)
                link.pump()
            self._tell()
            if link is not None:
                await link.closed.wait()
                if loop.time() - since > settings.reconnect_ms_max / 1_000:
                    wait_ms = settings.reconnect_ms_min
            refused = self._fault is not None and self._fault.state == CREDENTIALS
            pause_ms = self._house.config.credentials_retry_ms if refused else wait_ms
            log.warning("smpp: no session", host=settings.host, reason=self._fault.reason if self._fault else "it was lost", retry_ms=pause_ms)
            self._wanted.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_ms / 1_000 * random.uniform(0.8, 1.0)):
                    await self._wanted.wait()
            wait_ms = min(settings.reconnect_ms_max, wait_ms * 2)

    async def _connect(self) -> tuple[Link | None, Result | None]:
        """A bound session, or why there is none: nothing was accepted by it."""
        settings, loop = self._settings, asyncio.get_running_loop()
        make = partial(Link, self._queue, settings.window, settings.enquire_link_ms, self._deliveries.take, self._lost)
        link: Link | None = None
        try:
            async with asyncio.timeout(settings.connect_ms / 1_000):
                _, link = await loop.create_connection(make, settings.host, settings.port, ssl=self._tls)
                await link.bind(pdus.bind_body(settings.system_id, settings.password, settings.system_type))
        except Refused as refused:
            result = self.failed("connect", str(refused))
            if refused.status in pdus.CREDENTIALS_STATUSES:
                result = Result(state=CREDENTIALS, reason=clean(str(refused)), blames=CHANNEL)
        except (OSError, TimeoutError) as error:
            result = self.failed("connect", f"{type(error).__name__}: {error}")
        else:
            link, bound = None, link
            return bound, None
        finally:
            if link is not None:
                link.abort()
        return None, result

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _lost(self, link: Link, reason: str) -> None:
        """A session is gone. Where it was the last, what is still queued was sent nowhere."""
        if link not in self._links:
            return
        self._links.remove(link)
        if not self._links:
            queued = list(self._queue)
            self._queue.clear()
            for segment in queued:
                segment.letter.lost(reason)

    def _pump(self) -> None:
        for link in self._links:
            link.pump()

    # -- messages --------------------------------------------------------------------------------------------------------

    def written(self, dispatch: Dispatch) -> tuple[Encoded, list[bytes]] | Result:
        """A message as submit_sm, one for each segment; or why it can't be one."""
        sms = dispatch.message
        assert isinstance(sms, Sms)
        sender, to, most = pdus.sender_address(sms.sender), pdus.to_address(sms.to), self._settings.segments_max
        if to is None:
            return rejected(f"{sms.to[:40]!r} is no number in E.164")
        if sender is None:
            return rejected(f"{sms.sender[:40]!r} is no number, short code, or name of at most 11 characters")
        encoded = encode(sms.text, most)
        if encoded is None:
            return rejected(f"the text has {len(sms.text)} characters, which do not fit into {most} segments (segments_max)")
        esm_class = HEADER_INDICATOR if len(encoded.segments) > 1 else 0
        coding = DATA_CODING[encoded.alphabet]
        return encoded, [self._submit(sender, to, octets, coding, esm_class) for octets in encoded.framed(crc32(dispatch.effect.id.encode()) & 0xFF)]

    def accepted(self, dispatch: Dispatch, ids: Sequence[str], segments: int) -> None:
        """Remember whose receipts will come under these ids."""
        if self._settings.receipts and self._house.hear is not None:
            sent = Sent(about(self._house.secret, dispatch.effect), segments)
            for message_id in ids:
                self._deliveries.remember(message_id, sent)

    def refusal(self, status: int, wire: bytes) -> Result:
        """What a refusal of a submit means: nothing of it was accepted."""
        reason = pdus.status_text(status, wire[16:])
        if status in pdus.CREDENTIALS_STATUSES:
            return Result(state=CREDENTIALS, reason=clean(reason), blames=CHANNEL)
        if status in pdus.PACE_STATUSES:
            return self.failed("refused", reason, counts=False)
        if status in pdus.LATER_STATUSES or status == pdus.NOT_BOUND:
            return self.failed("refused", reason)
        return rejected(reason, status=status)


def _check(settings: SmppSettings) -> None:
    """Raises InvalidConfig for what can't work."""
    for name, least, most in (
        ("port", 1, 65_535),
        ("connections", 1, 64),
        ("window", 1, 10_000),
        ("segments_max", 1, SEGMENTS_MOST),
        ("enquire_link_ms", 100, 3_600_000),
        ("connect_ms", 10, 600_000),
        ("reconnect_ms_min", 10, settings.reconnect_ms_max),
        ("receipts_max", 0, 10_000_000),
        ("inbound_max", 1, 1_000_000),
        ("parts_max", 1, 1_000_000),
        ("part_wait_ms", 10, 86_400_000),
    ):
        if not least <= getattr(settings, name) <= most:
            raise InvalidConfig(f"{name} must be {least} to {most}")
    # The specification gives a password 8 characters; servers take more.
    for name, most in (("system_id", 15), ("password", 64), ("system_type", 12), ("service_type", 5)):
        text = getattr(settings, name)
        if not text.isascii() or not text.isprintable() or len(text) > most:
            raise InvalidConfig(f"{name} must be at most {most} plain characters")
