"""localstripe, a stateful stand-in for Stripe that nobody here wrote: `with start() as stripe:` gives its URL and a few calls of its API.

What it lacks of Stripe, and what is therefore tested at tests/providers/stripe_server.py: it ignores `Idempotency-Key`; a decline of an invoice is
a 200 with the invoice still open and not a 402; it lists no payment intents by customer; it has no subscription schedules; and it announces
neither `invoice.payment_failed` for a payment that we asked for nor `invoice.marked_uncollectible`.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.counterparts.needs import path_of
from tests.counterparts.process import Counterpart, free_port, started

KEY = "sk_test_wayfare"
GOOD_CARD, DECLINING_CARD = "4242424242424242", "4000000000000341"  # the second can be attached and not charged


class LocalStripe:
    """A running server."""

    def __init__(self, port: int, process: Counterpart) -> None:
        self.url, self._process = f"http://127.0.0.1:{port}", process

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer of a call of its API; AssertionError with what it said where that is an error."""
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers, method=method), timeout=10) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None

    def customer(self, email: str, card: str) -> str:
        """A customer with a card."""
        customer: str = self.call("POST", "/v1/customers", {"email": email})["id"]
        self.give_card(customer, card)
        return customer

    def give_card(self, customer: str, card: str) -> None:
        """Make a card the customer's default one."""
        source = {"object": "card", "number": card, "exp_month": 12, "exp_year": 2090, "cvc": "123"}
        made = self.call("POST", f"/v1/customers/{customer}/sources", {"source": source})
        self.call("POST", f"/v1/customers/{customer}", {"default_source": made["id"]})

    def subscription(self, customer: str, metadata: dict[str, str], amount: int = 1_500) -> str:
        """A monthly subscription, whose first invoice is to be paid at once."""
        plan = self.call("POST", "/v1/plans", {"amount": amount, "currency": "usd", "interval": "month", "product": {"name": "Course"}})
        made = self.call("POST", "/v1/subscriptions", {"customer": customer, "items": [{"plan": plan["id"]}], "metadata": metadata})
        found: str = made["id"]
        return found

    def unpaid_invoice(self, customer: str, amount: int) -> str:
        """The first invoice of a subscription, whose payment was declined (give the customer such a card)."""
        invoice: str = self.call("GET", f"/v1/subscriptions/{self.subscription(customer, {}, amount)}")["latest_invoice"]
        assert self.call("GET", f"/v1/invoices/{invoice}")["status"] == "open"
        return invoice

    def charges(self, customer: str) -> list[str]:
        """What became of each charge of a customer, oldest first."""
        return [charge["status"] for charge in self.call("GET", f"/v1/charges?customer={customer}&limit=100")["data"]]

    def announce(self, url: str, secret: str) -> None:
        """Send webhooks there."""
        self.call("POST", "/_config/webhooks/test", {"url": url, "secret": secret})

    def log(self) -> list[str]:
        """Its access log, with a line for each webhook that was sent."""
        return self._process.output().splitlines()

    def asked(self, request: str) -> int:
        """How often a request such as `DELETE /v1/subscriptions/sub_1` was made."""
        return sum(f'"{request} ' in line for line in self.log())


@contextmanager
def start() -> Iterator[LocalStripe]:
    """An empty one."""
    port = free_port()
    with started(path_of("localstripe"), "--port", str(port), "--from-scratch", port=port, url=f"http://127.0.0.1:{port}/") as process:
        yield LocalStripe(port, process)
