"""SMPP at a scripted SMSC."""

from __future__ import annotations

from typing import Any

from actions.messages import Message, Sms
from tests.conformance.benches.bench import EVIL, Bench
from tests.providers.smsc import Smsc


class SmppBench(Bench):
    name, channel, action, code = "smpp", "sms", "send_sms", "ESME_RINVDSTADR"
    faults = {
        "": "",
        "rejected": {"submit": 0x0B},
        "deferred": {"submit": 0x08},
        "silent": "silence",
        "slow": "slow",
        "dropped after": "drop",
        "credentials": {"bind": 0x0E},
        "evil": {"submit": 0x0B, "text": EVIL},
    }

    def __init__(self) -> None:
        self.server = Smsc()

    def block(self) -> dict[str, Any]:
        return {"provider": "smpp", "host": "127.0.0.1", "port": self.server.port, "system_id": "shop", "password": "env:SECRET", "from": "Shop"}

    def message(self, text: str) -> Message:
        return Sms(to="+12025550199", sender="+12025550100", text=text)

    def show(self, fault: str) -> None:
        self.server.behave = self.faults[fault]

    def move(self, port: int) -> None:
        self.server.port = port

    def received(self) -> int:
        return self.server.received()
