"""SMPP 3.4 as bytes: what the library's codec leaves to its caller. Pure: headers, binds, the meaning of statuses, receipts, numbers.

`submit_sm` and `deliver_sm` are encoded and decoded by `smpp34`; the session itself is ours (smpp_link.py), since the library's answers a
receipt before anybody has kept it, and writes one message at a time. Source: SMPP Protocol Specification v3.4.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import NamedTuple

import smpp34

from actions.sms_text import HEADER_INDICATOR, Part, decode, parted
from engine.core.addresses import phone_number

HEADER = struct.Struct(">IIII")  # length, command, status, sequence number
PDU_BYTES_MAX = 70_000  # a message_payload of 64 KB fits

GENERIC_NACK = 0x80000000
BIND_TRANSCEIVER = 0x00000009
SUBMIT_SM_RESP = 0x80000004
DELIVER_SM, DELIVER_SM_RESP = 0x00000005, 0x80000005
UNBIND, UNBIND_RESP = 0x00000006, 0x80000006
ENQUIRE_LINK, ENQUIRE_LINK_RESP = 0x00000015, 0x80000015
RESPONSE = 0x80000000

OK = 0
INVALID_COMMAND = 0x03
NOT_BOUND = 0x04
TEMPORARY_ERROR = 0x64  # ESME_RX_T_APPN: whoever sent it sends it again
PERMANENT_ERROR = 0x65  # ESME_RX_P_APPN: it doesn't
NAMES = {
    0x01: "ESME_RINVMSGLEN",
    0x02: "ESME_RINVCMDLEN",
    0x03: "ESME_RINVCMDID",
    0x04: "ESME_RINVBNDSTS",
    0x05: "ESME_RALYBND",
    0x06: "ESME_RINVPRTFLG",
    0x07: "ESME_RINVREGDLVFLG",
    0x08: "ESME_RSYSERR",
    0x0A: "ESME_RINVSRCADR",
    0x0B: "ESME_RINVDSTADR",
    0x0C: "ESME_RINVMSGID",
    0x0D: "ESME_RBINDFAIL",
    0x0E: "ESME_RINVPASWD",
    0x0F: "ESME_RINVSYSID",
    0x14: "ESME_RMSGQFUL",
    0x43: "ESME_RINVESMCLASS",
    0x45: "ESME_RSUBMITFAIL",
    0x48: "ESME_RINVSRCTON",
    0x49: "ESME_RINVSRCNPI",
    0x50: "ESME_RINVDSTTON",
    0x51: "ESME_RINVDSTNPI",
    0x53: "ESME_RINVSYSTYP",
    0x58: "ESME_RTHROTTLED",
    0x62: "ESME_RINVEXPIRY",
    0x64: "ESME_RX_T_APPN",
    0x65: "ESME_RX_P_APPN",
    0x66: "ESME_RX_R_APPN",
    0xFF: "ESME_RUNKNOWNERR",
}
CREDENTIALS_STATUSES = frozenset({0x0D, 0x0E, 0x0F, 0x53})
PACE_STATUSES = frozenset({0x14, 0x58})  # our pace, not this message
LATER_STATUSES = frozenset({0x05, 0x08, 0x64})

RECEIPT = 0x04  # in esm_class
_TYPES = 0x3C  # the bits of esm_class that tell messages and receipts apart
_STATES = {1: "ENROUTE", 2: "DELIVRD", 3: "EXPIRED", 4: "DELETED", 5: "UNDELIV", 6: "ACCEPTD", 7: "UNKNOWN", 8: "REJECTD"}
LOST = frozenset({"EXPIRED", "DELETED", "UNDELIV", "REJECTD"})
_FIELD = re.compile(r"\b(id|stat|err|done date):\s*([^\s]*)", re.IGNORECASE)
TLV_RECEIPTED_MESSAGE_ID, TLV_MESSAGE_STATE, TLV_PAYLOAD = 0x001E, 0x0427, 0x0424
TLV_SAR_REFERENCE, TLV_SAR_TOTAL, TLV_SAR_NUMBER = 0x020C, 0x020E, 0x020F
TLV_STATUS_TEXT = 0x001D
SHORT_CODE_DIGITS_MAX = 8
_NUMBER = re.compile(r"\+[1-9][0-9]{4,14}")
_SENDER = re.compile(r"(?!\+)[\x20-\x7e]{1,11}")


class Address(NamedTuple):
    """An address with its type of number and numbering plan."""

    text: str
    ton: int
    npi: int


class Receipt(NamedTuple):
    """What became of a submitted message: `stat` as receipts write it (DELIVRD, UNDELIV, …), `done` their date as it stands."""

    message_id: str
    stat: str
    error: str
    done: str
    number: str


class Inbound(NamedTuple):
    """A message, or a part of one."""

    sender: str
    to: str
    text: str
    part: Part | None


def pdu(command: int, sequence: int, status: int = OK, body: bytes = b"") -> bytes:
    return HEADER.pack(16 + len(body), command, status, sequence) + body


def bind_body(system_id: str, password: str, system_type: str) -> bytes:
    """Of a bind as transceiver; all numbers."""
    return b"".join(text.encode() + b"\0" for text in (system_id, password, system_type)) + b"\x34\0\0\0"


def status_text(status: int, body: bytes) -> str:
    """A status as people read it, with what the server says about it (additional_status_info_text)."""
    said = f"{NAMES.get(status, 'status')} (0x{status:08x})"
    at = body.find(b"\0") + 1
    while at + 4 <= len(body):
        tag, length = struct.unpack_from(">HH", body, at)
        if tag == TLV_STATUS_TEXT:
            return f"{said}: {body[at + 4 : at + 4 + length].rstrip(bytes(1)).decode('utf-8', 'replace')}"
        at += 4 + length
    return said


def sender_address(text: str) -> Address | None:
    """A number (`+…`), a short code (up to 8 digits) or a name (up to 11 characters); None for what can be none of them."""
    if _NUMBER.fullmatch(text):
        return Address(text[1:], 1, 1)
    if text.isascii() and text.isdigit() and len(text) <= 15:
        return Address(text, 3, 0) if len(text) <= SHORT_CODE_DIGITS_MAX else Address(text, 1, 1)
    return Address(text, 5, 0) if _SENDER.fullmatch(text) else None


def to_address(text: str) -> Address | None:
    """A number in E.164; None for anything else, which could forge fields of the message."""
    return Address(text[1:], 1, 1) if _NUMBER.fullmatch(text) else None


def submitter(service_type: str, receipts: bool) -> Callable[[Address, Address, bytes, int, int], bytes]:
    """What encodes a submit_sm; its sequence number is put in when it is written (`numbered`)."""
    registered = 1 if receipts else 0

    def submit(sender: Address, to: Address, octets: bytes, data_coding: int, esm_class: int) -> bytes:
        return smpp34.SubmitSm(
            sender.text,
            to.text,
            octets,
            service_type=service_type,
            source_addr_ton=sender.ton,
            source_addr_npi=sender.npi,
            dest_addr_ton=to.ton,
            dest_addr_npi=to.npi,
            esm_class=esm_class,
            registered_delivery=registered,
            data_coding=data_coding,
        ).encode()

    return submit


def numbered(wire: bytes, sequence: int) -> bytes:
    """The PDU with this sequence number."""
    return wire[:12] + sequence.to_bytes(4, "big") + wire[16:]


def message_id_of(wire: bytes) -> str:
    """Of a submit_sm_resp."""
    return wire[16:].partition(b"\0")[0].decode("latin-1")


def read_deliver(wire: bytes, region: str) -> Receipt | Inbound | None:
    """A deliver_sm; None for one that says nothing (a notification on the way). Raises SmppError where it can't be read."""
    found = smpp34.decode(wire)
    if not isinstance(found, smpp34.DeliverSm):
        raise smpp34.SmppError("not a deliver_sm")
    tlvs = {tlv.tag: bytes(tlv.value) for tlv in found.tlvs}
    octets = tlvs.get(TLV_PAYLOAD) or bytes(found.short_message)
    sender = _number(found.source_addr, found.source_addr_ton, region)
    if found.esm_class & _TYPES == RECEIPT or TLV_RECEIPTED_MESSAGE_ID in tlvs:
        return _receipt(octets, tlvs, sender)
    if found.esm_class & _TYPES:
        return None
    part, rest = parted(octets) if found.esm_class & HEADER_INDICATOR else (_sar(tlvs), octets)
    return Inbound(sender, _number(found.destination_addr, found.dest_addr_ton, region), decode(found.data_coding, rest), part)


def _receipt(octets: bytes, tlvs: dict[int, bytes], number: str) -> Receipt:
    said = {name.lower(): value for name, value in reversed(_FIELD.findall(octets[:400].decode("latin-1")))}
    message_id = tlvs.get(TLV_RECEIPTED_MESSAGE_ID, b"").rstrip(b"\0").decode("latin-1") or said.get("id", "")
    state = tlvs.get(TLV_MESSAGE_STATE, b"")
    return Receipt(
        message_id, _STATES.get(state[0] if state else 0) or said.get("stat", "").upper()[:7], said.get("err", ""), said.get("done date", ""), number
    )


def _sar(tlvs: dict[int, bytes]) -> Part | None:
    found = [int.from_bytes(tlvs.get(tag, b""), "big") for tag in (TLV_SAR_REFERENCE, TLV_SAR_TOTAL, TLV_SAR_NUMBER)]
    return Part(*found) if found[1] and found[2] else None


def _number(text: str, ton: int, region: str) -> str:
    """A sender as it stands in the index: E.164 where it is a number, else as it is (a short code, a name)."""
    if ton == 5 or not text.lstrip("+").isdigit() or (len(text) <= SHORT_CODE_DIGITS_MAX and ton != 1):
        return text
    national = phone_number(text, region) if region and ton != 1 and not text.startswith("+") else ""
    return national or phone_number(f"+{text.lstrip('+')}") or text
