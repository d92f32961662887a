"""SMPP at a scripted SMSC: what is written, what its answers mean, what it delivers, and what becomes of sessions."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import smpp34

from actions import smpp_pdu as pdus
from actions.feedback import Heard, read_about
from actions.messages import Sms
from actions.providers.provider import CREDENTIALS, DEFERRED, DELIVERED, REJECTED, UNKNOWN, Dispatch, House, Result
from actions.providers.registry import make_provider
from actions.smpp_link import Link
from actions.sms_text import parted
from engine.config import Config
from engine.core.effects import Effect
from engine.core.errors import InvalidConfig, Unavailable
from tests.providers.smsc import Smsc

LONG = "x" * 400  # three segments


class Ears:
    """Hears what the provider hears; `fault` is raised instead."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.fault: Exception | None = None

    async def hear(self, notices: Sequence[Heard]) -> int:
        await asyncio.sleep(0)
        if self.fault is not None:
            raise self.fault
        self.heard += notices
        return len(notices)


def effect(number: int = 1) -> Effect:
    return Effect(f"{number:032x}", "ann", "send_sms", "sms", "b", "", "m", 1, "text", 3, 1, 1, 1, 1_767_603_600_000, {}, 0, "sms")


def dispatch(text: str = "hello", number: int = 1, *, to: str = "+12025550199", sender: str = "+12025550100") -> Dispatch:
    return Dispatch(effect(number), Sms(to=to, sender=sender, text=text))


@asynccontextmanager
async def smpp(server: Smsc, ears: Ears | None = None, *, timeout_ms: int = 5_000, retry_ms: int = 30_000, **settings: Any) -> AsyncIterator[Any]:
    config = Config(send_timeout_ms=timeout_ms, credentials_retry_ms=retry_ms)
    house = House(config=config, clock=lambda: int(time.time() * 1_000), secret="s3cret", hear=ears.hear if ears else None)
    block = {"provider": "smpp", "host": "127.0.0.1", "port": server.port, "system_id": "shop", "password": "env:PASSWORD", "connections": 1, **settings}
    provider = make_provider("sms", block, house, {"PASSWORD": "sw0rdfish"})
    try:
        yield provider
    finally:
        await provider.close()


async def send(provider: Any, *dispatches: Dispatch) -> list[Result]:
    results: dict[str, Result] = {}
    await provider.send(dispatches, lambda one, result: results.update({one.effect.id: result}))
    return [results[one.effect.id] for one in dispatches]


async def until(condition: Callable[[], Any]) -> None:
    for _ in range(5_000):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it never came to pass")


async def test_a_message_is_written_as_the_specification_says() -> None:
    async with Smsc() as server, smpp(server, service_type="CMT") as provider:
        [result] = await send(provider, dispatch("Grüße €"))
        await send(provider, dispatch(sender="Shop"), dispatch("x", 2, sender="12345"))
    assert (result.state, result.data) == (DELIVERED, {"message_ids": ["m1"], "segments": 1, "encoding": "gsm7"})
    one, named, short = server.submits
    assert (one.source_addr, one.source_addr_ton, one.source_addr_npi) == ("12025550100", 1, 1)
    assert (one.destination_addr, one.dest_addr_ton, one.dest_addr_npi) == ("12025550199", 1, 1)
    assert (one.registered_delivery, one.data_coding, one.esm_class, one.service_type) == (1, 0, 0, "CMT")
    assert bytes(one.short_message) == b"Gr\x7e\x1ee \x1b\x65"
    assert (named.source_addr, named.source_addr_ton) == ("Shop", 5)
    assert (short.source_addr, short.source_addr_ton) == ("12345", 3)
    assert server.binds == [("shop", "sw0rdfish", "")]


async def test_a_long_text_is_cut_and_joined_again() -> None:
    async with Smsc() as server, smpp(server) as provider:
        [result] = await send(provider, dispatch("ж" * 100 + "😀"))
        texts = server.texts()
    assert result.data == {"message_ids": ["m1", "m2"], "segments": 2, "encoding": "ucs2"}
    assert texts == ["ж" * 100 + "😀"]
    assert [one.esm_class for one in server.submits] == [0x40, 0x40]
    parts = [parted(bytes(one.short_message))[0] for one in server.submits]
    assert [(part.total, part.number) for part in parts if part] == [(2, 1), (2, 2)]


@pytest.mark.parametrize(
    ("status", "state", "counts"),
    [
        (0x0B, REJECTED, True),
        (0x0A, REJECTED, True),
        (0x45, REJECTED, True),
        (0x400, REJECTED, True),
        (0x14, DEFERRED, False),
        (0x58, DEFERRED, False),
        (0x08, DEFERRED, True),
        (0x64, DEFERRED, True),
        (0x0E, CREDENTIALS, True),
    ],
)
async def test_what_a_refusal_means(status: int, state: str, counts: bool) -> None:
    async with Smsc() as server, smpp(server) as provider:
        server.behave = {"submit": status}
        results = await send(provider, dispatch(), dispatch(LONG, 2))
    assert [(result.state, result.counts) for result in results] == [(state, counts)] * 2
    assert f"0x{status:08x}" in results[0].reason


async def test_some_segments_accepted_and_some_not_is_unknown_and_says_which() -> None:
    async with Smsc() as server, smpp(server) as provider:
        server.behave = {"submits": [0, 0x58, 0]}
        [result] = await send(provider, dispatch(LONG))
    assert result.state == UNKNOWN
    assert "ESME_RTHROTTLED" in result.reason
    assert "accepted: 1, 3; refused: 2" in result.reason


async def test_a_link_lost_in_the_middle_is_unknown_for_what_was_written_and_deferred_for_the_rest() -> None:
    async with Smsc() as server, smpp(server, window=2) as provider:
        await send(provider, dispatch())
        server.behave = "drop"
        results = await send(provider, *(dispatch("x", number) for number in range(2, 8)))
    assert [result.state for result in results] == [UNKNOWN] * 2 + [DEFERRED] * 4


async def test_silence_frees_the_window_and_a_message_without_room_is_deferred_uncounted() -> None:
    async with Smsc() as server, smpp(server, window=1, timeout_ms=150) as provider:
        server.behave = "silence"
        results = await send(provider, dispatch(), dispatch("b", 2))
        server.behave = ""
        [after] = await send(provider, dispatch("c", 3))
    assert [(result.state, result.counts) for result in results] == [(UNKNOWN, True), (DEFERRED, False)]
    assert after.state == DELIVERED
    assert len(server.submits) == 2, "what was given up is not written later"


async def test_no_more_than_the_window_is_under_way() -> None:
    async with Smsc() as server, smpp(server, window=3, timeout_ms=200) as provider:
        assert provider.at_once == 3
        server.behave = "silence"
        sending = asyncio.create_task(send(provider, *(dispatch("x", number) for number in range(9))))
        await until(lambda: len(server.submits) == 3)
        await asyncio.sleep(0.05)
        assert len(server.submits) == 3
        await sending


async def test_a_pool_binds_and_stays_bound_and_binds_again() -> None:
    async with Smsc() as server, smpp(server, connections=2, reconnect_ms_min=10) as provider:
        provider.start()
        await until(lambda: len(server.sessions) == 2)
        server.drop()
        await until(lambda: len(server.binds) == 4)
        assert [result.state for result in await send(provider, dispatch())] == [DELIVERED]
    assert not server.sessions, "it unbinds when it is closed"


async def test_refused_binds_are_not_hammered() -> None:
    async with Smsc() as server, smpp(server, reconnect_ms_min=10) as provider:
        server.behave = {"bind": 0x0E}
        provider.start()
        await until(lambda: server.binds)
        await asyncio.sleep(0.1)
        assert len(server.binds) == 1
        results = await send(provider, dispatch())
        assert (results[0].state, len(server.binds)) == (CREDENTIALS, 2)
        server.behave = ""
        assert [result.state for result in await send(provider, dispatch())] == [DELIVERED]


async def test_nothing_is_written_on_a_session_that_was_refused() -> None:
    async with Smsc() as server, smpp(server, connections=2, window=1, reconnect_ms_min=10, reconnect_ms_max=10) as provider:
        server.behave = {"binds": [0, *[0x05] * 500]}
        results = await send(provider, *(dispatch("x", number) for number in range(1_000)))
        assert len(server.binds) > 3, "the second session was tried again and again meanwhile"
    assert {result.state for result in results} == {DELIVERED}
    assert len(server.submits) == 1_000


async def test_a_server_that_ends_the_session_is_bound_to_again() -> None:
    async with Smsc() as server, smpp(server, reconnect_ms_min=10) as provider:
        await send(provider, dispatch())
        server.sessions[0].write(pdus.pdu(pdus.UNBIND, 9) + pdus.pdu(pdus.ENQUIRE_LINK, 10))
        sent = await asyncio.gather(*(send(provider, dispatch("x", number)) for number in range(2, 6)))
        await until(lambda: len(server.binds) == 2)
        assert [result.state for result in await send(provider, dispatch("y", 9))] == [DELIVERED]
    assert {result.state for [result] in sent} <= {DELIVERED, UNKNOWN, DEFERRED}


async def test_a_server_that_falls_silent_is_left() -> None:
    async with Smsc() as server, smpp(server, enquire_link_ms=100, reconnect_ms_min=10) as provider:
        provider.start()
        await until(lambda: server.asked >= 2)
        assert len(server.binds) == 1
        server.deaf = True
        await until(lambda: len(server.binds) == 2)


async def test_what_is_no_smpp_ends_the_session_and_nothing_else() -> None:
    async with Smsc() as server, smpp(server, reconnect_ms_min=10) as provider:
        await send(provider, dispatch())
        server.sessions[0].write(b"\xff" * 64)
        await until(lambda: len(server.binds) == 2)
        server.sessions[-1].write(pdus.pdu(0x99, 7))  # a command that nobody knows: a nack, and on we go
        assert [result.state for result in await send(provider, dispatch())] == [DELIVERED]


@pytest.mark.parametrize("to", ["", "12025550199", "+1", "+1202555019\x00", "+12025550199\x00\x01\x01", "ann"])
async def test_a_number_that_could_forge_fields_is_rejected(to: str) -> None:
    async with Smsc() as server, smpp(server) as provider:
        results = await send(provider, dispatch(to=to), dispatch("fine", 2))
    assert [result.state for result in results] == [REJECTED, DELIVERED]


@pytest.mark.parametrize("sender", ["", "Sh\x00op", "Löwe", "a name that is too long", "+0", "1" * 16])
async def test_a_sender_that_could_forge_fields_is_rejected(sender: str) -> None:
    async with Smsc() as server, smpp(server) as provider:
        results = await send(provider, dispatch(sender=sender), dispatch("fine", 2))
    assert [result.state for result in results] == [REJECTED, DELIVERED]


@pytest.mark.parametrize(
    "settings",
    [
        {"connections": 0},
        {"window": 0},
        {"segments_max": 256},
        {"port": 0},
        {"reconnect_ms_min": 20_000},
        {"system_id": "a\x00b"},
        {"keywords": {"halt": ["x"]}},
    ],
)
async def test_settings_that_cannot_work(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig) as caught:
        async with smpp(Smsc(), **{"port": 2775, **settings}):
            pass
    assert "sw0rdfish" not in str(caught.value)


# -- receipts --------------------------------------------------------------------------------------------------------------


async def test_a_receipt_finds_its_effect() -> None:
    ears = Ears()
    async with Smsc() as server, smpp(server, ears) as provider:
        server.receipts = "DELIVRD"
        await send(provider, dispatch("a", 7))
        await until(lambda: ears.heard)
    [heard] = ears.heard
    found = read_about("s3cret", heard.about)
    assert found is not None
    assert (found.contact, found.effect, found.action, found.enrollment, found.element) == ("ann", effect(7).id, "send_sms", 3, "text")
    assert (heard.channel, heard.status, heard.id) == ("sms", "delivered", "smpp:m1:DELIVRD:2601050901")


@pytest.mark.parametrize(("stat", "status"), [("UNDELIV", "rejected"), ("EXPIRED", "rejected"), ("REJECTD", "rejected"), ("DELETED", "rejected")])
async def test_a_receipt_of_a_loss_says_why(stat: str, status: str) -> None:
    ears = Ears()
    async with Smsc() as server, smpp(server, ears) as provider:
        server.receipts = stat
        await send(provider, dispatch())
        await until(lambda: ears.heard)
    assert (ears.heard[0].status, ears.heard[0].reason) == (status, f"{stat} err:000")


async def test_a_long_message_is_delivered_with_its_last_segment_and_lost_with_the_first_that_is() -> None:
    ears = Ears()
    async with Smsc() as server, smpp(server, ears) as provider:
        await send(provider, dispatch(LONG), dispatch(LONG, 2))
        for message_id in ("m1", "m3"):
            assert await _receipt(server, message_id, "DELIVRD") == 0
        assert ears.heard == []
        await _receipt(server, "m2", "DELIVRD")
        for message_id in ("m4", "m5", "m6"):
            await _receipt(server, message_id, "UNDELIV")
    assert [(heard.status, heard.data["message_id"]) for heard in ears.heard] == [("delivered", "m2"), ("rejected", "m4")]


async def _receipt(server: Smsc, message_id: str, stat: str, **changed: Any) -> int:
    body = f"id:{message_id} sub:001 dlvrd:001 submit date:2601050900 done date:2601050901 stat:{stat} err:000 text:stat:DELIVRD id:m9".encode()
    return await server.deliver("12025550199", "12025550100", body, **{"esm_class": 4, **changed})


async def test_a_receipt_after_a_restart_goes_to_the_number() -> None:
    ears = Ears()
    async with Smsc() as server, smpp(server, ears) as provider:
        provider.start()
        await until(lambda: server.sessions)
        await _receipt(server, "from before", "UNDELIV")
    [heard] = ears.heard
    assert (heard.about, heard.phone, heard.status) == ("", "+12025550199", "rejected")


async def test_receipts_by_parameters_and_those_that_say_nothing_final() -> None:
    ears = Ears()
    async with Smsc() as server, smpp(server, ears) as provider:
        await send(provider, dispatch())
        tlvs = [smpp34.Tlv(smpp34.TLV_RECEIPTED_MESSAGE_ID, b"m1\x00"), smpp34.Tlv(smpp34.TLV_MESSAGE_STATE, b"\x05")]
        for stat in ("ENROUTE", "ACCEPTD", "UNKNOWN", "", "\x00"):
            assert await _receipt(server, "m1", stat) == 0
        assert await _receipt(server, "m1", "DELIVRD", esm_class=0x20) == 0, "a notification on the way"
        assert ears.heard == []
        assert await server.deliver("12025550199", "12025550100", b"", esm_class=0, tlvs=tlvs) == 0
    assert [(heard.status, bool(heard.about)) for heard in ears.heard] == [("rejected", True)]


async def test_what_came_late_is_remembered_for_its_receipt() -> None:
    ears = Ears()
    async with Smsc() as server, smpp(server, ears, timeout_ms=80) as provider:
        server.behave = "slow"
        [result] = await send(provider, dispatch("a", 5))
        assert result.state == UNKNOWN
        await asyncio.sleep(0.2)
        await _receipt(server, "m1", "DELIVRD")
    found = read_about("s3cret", ears.heard[0].about)
    assert found is not None
    assert found.effect == effect(5).id


async def test_only_the_newest_messages_are_remembered() -> None:
    ears = Ears()
    async with Smsc() as server, smpp(server, ears, receipts_max=2) as provider:
        await send(provider, *(dispatch("x", number) for number in range(3)))
        for message_id in ("m1", "m2", "m3"):
            await _receipt(server, message_id, "DELIVRD")
    assert [bool(heard.about) for heard in ears.heard] == [False, True, True]


async def test_without_receipts_none_is_asked_for() -> None:
    async with Smsc() as server, smpp(server, Ears(), receipts=False) as provider:
        await send(provider, dispatch())
    assert server.submits[0].registered_delivery == 0


# -- messages --------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def listening(ears: Ears, **settings: Any) -> AsyncIterator[Smsc]:
    async with Smsc() as server, smpp(server, ears, **settings) as provider:
        provider.start()
        await until(lambda: server.sessions)
        yield server


async def test_a_message_is_heard_with_its_keyword() -> None:
    ears = Ears()
    async with listening(ears, keywords={"stop": ["ARRET"]}) as server:
        assert await server.deliver("12025550199", "12345", b"Stop.") == 0
        assert await server.deliver("12025550199", "12025550100", "ARRÊT? Grüße".encode("utf-16-be"), data_coding=8, dest_addr_ton=1) == 0
        assert await server.deliver("12025550199", "12345", b"", tlvs=[smpp34.Tlv(smpp34.TLV_MESSAGE_PAYLOAD, b"arret")]) == 0
    assert [heard.data for heard in ears.heard] == [
        {"text": "Stop.", "from": "+12025550199", "to": "12345", "keyword": "stop"},
        {"text": "ARRÊT? Grüße", "from": "+12025550199", "to": "+12025550100", "keyword": ""},
        {"text": "arret", "from": "+12025550199", "to": "12345", "keyword": "stop"},
    ]
    assert ears.heard[0].consent == {"sms": "unsubscribed"}
    assert {heard.phone for heard in ears.heard} == {"+12025550199"}


async def test_a_receipt_and_a_part_that_could_not_be_kept_count_when_they_come_again() -> None:
    ears = Ears()
    async with Smsc() as server, smpp(server, ears) as provider:
        await send(provider, dispatch("a"), dispatch(LONG, 2))
        await server.deliver("12025550199", "12345", **_part("header", 1, 2, 1, b"one "))
        await _receipt(server, "m2", "DELIVRD")
        await _receipt(server, "m3", "DELIVRD")
        for fault, status in ((Unavailable("storage is away"), pdus.TEMPORARY_ERROR), (None, 0)):
            ears.fault = fault
            assert await _receipt(server, "m1", "UNDELIV") == status
            assert await _receipt(server, "m4", "DELIVRD") == status
            assert await server.deliver("12025550199", "12345", **_part("header", 1, 2, 2, b"two")) == status
    assert [(heard.status, heard.data.get("text"), bool(heard.about)) for heard in ears.heard] == [
        ("rejected", None, True),
        ("delivered", None, True),
        ("", "one two", False),
    ]


async def test_what_nobody_will_send_again_is_kept_until_storage_is_back() -> None:
    ears = Ears()
    async with listening(ears, part_wait_ms=10) as server:
        ears.fault = Unavailable("storage is away")
        await server.deliver("12025550199", "12345", **_part("header", 1, 2, 1, b"the beginning"))
        await asyncio.sleep(0.05)
        ears.fault = None
        await until(lambda: ears.heard)
    assert [heard.data["text"] for heard in ears.heard] == ["the beginning"]


async def test_it_is_answered_when_it_is_kept_and_else_sent_again() -> None:
    ears = Ears()
    async with listening(ears) as server:
        ears.fault = Unavailable("storage is away")
        assert await server.deliver("12025550199", "12345", b"STOP") == pdus.TEMPORARY_ERROR
        ears.fault = None
        assert await server.deliver("12025550199", "12345", b"STOP") == 0
    assert len(ears.heard) == 1


@pytest.mark.parametrize("by", ["header", "long header", "parameters"])
async def test_parts_are_joined_in_their_order(by: str) -> None:
    ears = Ears()
    async with listening(ears) as server:
        for number, text in ((2, b"two "), (1, b"one "), (1, b"one "), (3, b"three")):
            await server.deliver("12025550199", "12345", **_part(by, 7, 3, number, text))
        await until(lambda: ears.heard)
    assert [heard.data["text"] for heard in ears.heard] == ["one two three"]


def _part(by: str, reference: int, total: int, number: int, text: bytes) -> dict[str, Any]:
    if by == "parameters":
        tags = (smpp34.TLV_SAR_MSG_REF_NUM, smpp34.TLV_SAR_TOTAL_SEGMENTS, smpp34.TLV_SAR_SEGMENT_SEQNUM)
        values = (reference.to_bytes(2, "big"), bytes((total,)), bytes((number,)))
        return {"octets": text, "tlvs": [smpp34.Tlv(tag, value) for tag, value in zip(tags, values, strict=True)]}
    header = b"\x05\x00\x03" + bytes((reference,)) if by == "header" else b"\x06\x08\x04\x01" + bytes((reference,))
    return {"octets": header + bytes((total, number)) + text, "esm_class": 0x40}


async def test_what_stays_incomplete_is_heard_as_far_as_it_came() -> None:
    ears = Ears()
    async with listening(ears, part_wait_ms=20, parts_max=1) as server:
        await server.deliver("12025550199", "12345", **_part("header", 1, 2, 2, b"the end"))
        await server.deliver("12025550199", "12345", **_part("header", 2, 2, 1, b"the beginning"))  # one too many at a time
        await until(lambda: len(ears.heard) == 2)
    assert [heard.data["text"] for heard in ears.heard] == ["the end", "the beginning"]


async def test_what_is_incomplete_at_the_end_is_heard_before_the_session_is_closed() -> None:
    ears = Ears()
    async with listening(ears) as server:
        await server.deliver("12025550199", "12345", **_part("header", 1, 2, 1, b"the beginning"))
    assert [heard.data["text"] for heard in ears.heard] == ["the beginning"]


async def test_hostile_deliveries_are_answered() -> None:
    ears = Ears()
    async with listening(ears, inbound_max=2) as server:
        torn = smpp34.DeliverSm("1", "2", b"x" * 20, sequence_number=900).encode()
        torn = (len(torn) - 8).to_bytes(4, "big") + torn[4:-8]
        assert await server.deliver_raw(torn) == pdus.PERMANENT_ERROR
        assert await server.deliver("12025550199", "12345", b"\x05\x00\x03\x01\x02\x09x", esm_class=0x40) == 0, "part 9 of 2"
        assert await server.deliver("' OR 1=1", "12345", b"\xff\x00\x1b", source_addr_ton=5) == 0
    assert [heard.phone for heard in ears.heard] == ["+12025550199", "' OR 1=1"]


async def test_more_deliveries_than_can_wait_are_sent_again() -> None:
    ears = Ears()
    free = asyncio.Event()

    async def hear(notices: Sequence[Heard]) -> int:
        await free.wait()
        return await Ears.hear(ears, notices)

    ears.hear = hear  # type: ignore[method-assign]
    async with listening(ears, inbound_max=2) as server:
        asked = [asyncio.create_task(server.deliver("12025550199", "12345", b"%d" % number)) for number in range(6)]
        await asyncio.sleep(0.05)
        free.set()
        statuses = await asyncio.gather(*asked)
    assert statuses.count(0) == len(ears.heard) >= 2
    assert statuses.count(pdus.TEMPORARY_ERROR) == 6 - len(ears.heard) >= 2


async def test_national_numbers_are_read_by_their_region() -> None:
    ears = Ears()
    async with listening(ears, region="GB") as server:
        await server.deliver("07400123456", "12345", b"hi", source_addr_ton=2)
        await server.deliver("447400123456", "12345", b"hi", source_addr_ton=1)
    assert {heard.phone for heard in ears.heard} == {"+447400123456"}


def test_a_link_counts_on_from_the_largest_number() -> None:
    async def numbers() -> list[int]:
        link = Link(deque(), 1, 1_000, lambda *_: None, lambda *_: None)
        link._sequence = 0x7FFFFFFE
        return [link._next(), link._next()]

    assert asyncio.run(numbers()) == [0x7FFFFFFF, 1]
