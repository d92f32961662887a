"""The canonical map, written by hand for whoever has no map: what one event does to one contact, and the receipt that some of them get.

The standard library alone, since peers run it in environments of their own. It is what `workload.MAP` says: an order of at least 10 enrolls, whoever is
enrolled already begins anew; from 100 the contact is tagged; the total is kept; who is to be told gets a receipt; then a wait of 30 days begins.
"""

from __future__ import annotations

import smtplib
from typing import Any

WAIT_S = 30 * 24 * 3600
MESSAGE = """From: Shop <shop@example.com>\r
To: {to}\r
Subject: Your order\r
Message-ID: <{id}@example.com>\r
MIME-Version: 1.0\r
Content-Type: text/html; charset=utf-8\r
\r
<p>Thank you. You paid {total} {currency} for {cds} CDs.</p>\r
"""


def step(contact: dict[str, Any], event: dict[str, Any], now_s: float) -> bool:
    """Change the contact as the map says; True if it was enrolled, and then `due_s` is the end of its wait."""
    data = event["data"]
    if event["name"] != "order.placed" or data["total"] < 10:
        return False
    if data["total"] >= 100 and "big" not in contact["tags"]:
        contact["tags"].append("big")
    contact["last_total"] = data["total"]
    contact["due_s"] = now_s + WAIT_S
    return True


def is_told(event: dict[str, Any]) -> bool:
    """Whether whoever this event enrolls gets a receipt."""
    return event["data"]["notify"] is True


def fresh(address: str) -> dict[str, Any]:
    """A contact before its first event."""
    return {"email": address, "tags": [], "last_total": None, "due_s": 0.0}


class Mailer:
    """A kept connection to the sink, one message after the other."""

    def __init__(self, port: int) -> None:
        self._smtp = smtplib.SMTP("127.0.0.1", port)

    def send(self, address: str, event: dict[str, Any]) -> None:
        """Send a receipt. Raises SMTPException and OSError."""
        self._smtp.sendmail("shop@example.com", [address], MESSAGE.format(to=address, id=event["id"], **event["data"]))

    def close(self) -> None:
        self._smtp.quit()
