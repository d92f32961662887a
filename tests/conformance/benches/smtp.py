"""SMTP at a scripted server."""

from __future__ import annotations

from typing import Any

from actions.messages import Email, Message
from tests.conformance.benches.bench import EVIL, Bench
from tests.providers.smtp_server import RawSmtp


class SmtpBench(Bench):
    name, channel, action, code = "smtp", "email", "send_email", "550"
    faults = {
        "": {},
        "rejected": {"RCPT": "550 5.1.1 unknown user"},
        "deferred": {"RCPT": "450 4.2.0 greylisted"},
        "silent": {"dot": "silence"},
        "slow": {"MAIL": "slow"},
        "dropped after": {"dot": "drop"},
        "credentials": {"AUTH": "535 5.7.8 bad password"},
        "evil": {"RCPT": "550 " + EVIL.replace("\r\n", " ")},
    }

    def __init__(self) -> None:
        self.server = RawSmtp()

    def block(self) -> dict[str, Any]:
        sender = {"from": "Shop <shop@example.com>", "username": "shop", "password": "env:SECRET"}
        return {"provider": "smtp", "host": "127.0.0.1", "tls": "never", "port": self.server.port, **sender}

    def message(self, text: str) -> Message:
        return Email(to="Ann <ann@example.com>", sender="shop@example.com", subject=text[:1_500], html=f"<p>{text}</p>", text=text)

    def show(self, fault: str) -> None:
        self.server.behave = self.faults[fault]

    def move(self, port: int) -> None:
        self.server.port = port

    def received(self) -> int:
        return len(self.server.mails)
