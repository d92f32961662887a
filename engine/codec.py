"""Encoders and decoders, built once. Everything that is stored is msgpack by msgspec."""

from __future__ import annotations

import msgspec

from engine.core.contact import Contact
from engine.core.effects import Effect
from engine.core.records import Record

encoder = msgspec.msgpack.Encoder()
encode = encoder.encode
"""Any of the project's structs, or plain data, as msgpack."""

decode_contact = msgspec.msgpack.Decoder(Contact).decode
decode_effect = msgspec.msgpack.Decoder(Effect).decode
decode_records = msgspec.msgpack.Decoder(list[Record]).decode
decode_record = msgspec.msgpack.Decoder(Record).decode
decode_any = msgspec.msgpack.Decoder().decode
