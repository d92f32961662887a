"""A small Stripe on loopback that counts real charges: invoices, subscriptions, customers, payment intents, idempotency keys that it can forget.

`faults` are taken one by one, each by the next request that would change something: `lost` (done, and the answer never sent), `drop` (nothing done),
`500` (nothing done, and the answer is kept under the key), `done 500` (done, and the answer is kept), `409`, `429`, `401`, or a decline's code.
What localstripe lacks (keys, 402 for invoices, faults) is played here as Stripe documents it.
"""

from __future__ import annotations

import asyncio
from typing import Any, Self

from aiohttp import web


class StripeServer:
    def __init__(self) -> None:
        self.invoices: dict[str, dict[str, Any]] = {}
        self.subscriptions: dict[str, str] = {}
        self.intents: list[dict[str, Any]] = []
        self.customers: dict[str, dict[str, Any]] = {
            "cus_1": {"id": "cus_1", "email": "ann@example.com", "invoice_settings": {"default_payment_method": "pm_1"}}
        }
        self.faults: list[str] = []
        self.searchable = True  # whether payment intents can be listed
        self.keys: dict[str, tuple[int, dict[str, Any]]] = {}
        self.charges: list[str] = []  # what money was really taken for
        self.requests: list[tuple[str, str, dict[str, str], dict[str, str]]] = []  # method, path, headers, form or query
        self.now_s = 1_767_603_700  # after the effects were decided
        self._closing = asyncio.Event()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._closing.set()
        await self._runner.cleanup()

    def asked(self, method: str = "") -> list[str]:
        """Method and path of the requests."""
        return [f"{one[0]} {one[1]}" for one in self.requests if method in ("", one[0])]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()} if request.method == "POST" else dict(request.query)
        self.requests.append((request.method, request.path, dict(request.headers), form))
        key = request.headers.get("Idempotency-Key", "")
        if key in self.keys:
            status, body = self.keys[key]
            return web.json_response(body, status=status, headers={"Idempotent-Replayed": "true"})
        fault = self.faults.pop(0) if request.method != "GET" and self.faults else ""
        if fault in ("409", "429", "401"):
            return web.json_response({"error": {"type": "api_error", "message": f"fault {fault}"}}, status=int(fault), headers={"Retry-After": "3"})
        status, body = (200, {}) if fault in ("drop", "500") else self._do(request.method, request.path, form, fault)
        if fault.endswith("500"):
            status, body = 500, {"error": {"type": "api_error", "message": "something went wrong"}}
        if key and fault != "drop":
            self.keys[key] = status, body
        if fault in ("lost", "drop"):
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(body, status=status)

    def _do(self, method: str, path: str, form: dict[str, str], fault: str) -> tuple[int, dict[str, Any]]:
        parts = path.strip("/").split("/")[1:]
        decline = fault if fault not in ("", "lost", "done 500") else ""
        match parts:
            case ["invoices", number, "pay"] if number in self.invoices:
                return self._pay(self.invoices[number], decline)
            case ["invoices", number] if number in self.invoices:
                return 200, self.invoices[number]
            case ["subscriptions", number] if number in self.subscriptions:
                if method == "DELETE" and self.subscriptions[number] == "canceled":
                    return _error(404, "resource_missing", "No such subscription")
                if method == "DELETE":
                    self.subscriptions[number] = "canceled"
                return 200, {"id": number, "status": self.subscriptions[number]}
            case ["subscription_schedules", number, *cancel] if number in self.subscriptions:
                if cancel and self.subscriptions[number] in ("canceled", "released"):
                    return _error(400, "", f"You cannot cancel a schedule that is {self.subscriptions[number]}")
                if cancel:
                    self.subscriptions[number] = "canceled"
                return 200, {"id": number, "status": self.subscriptions[number]}
            case ["customers", number] if number in self.customers:
                return 200, self.customers[number]
            case ["payment_intents"] if method == "GET" and self.searchable:
                return 200, {"data": [one for one in reversed(self.intents) if one["customer"] == form["customer"]]}
            case ["payment_intents"] if method == "POST":
                return self._intent(form, decline)
        return _error(404, "resource_missing", f"No such {parts[0]}")

    def _pay(self, invoice: dict[str, Any], decline: str) -> tuple[int, dict[str, Any]]:
        if invoice["status"] == "paid":
            return _error(400, "", "Invoice is already paid")
        if invoice["status"] == "void":
            return _error(400, "invoice_not_editable", "This invoice is void")
        if decline:
            error = {"type": "card_error", "code": "card_declined", "decline_code": decline, "message": "Your card was declined."}
            charge = {"id": f"ch_{len(self.requests)}", "status": "failed", "created": self.now_s}
            invoice["payment_intent"] = {"id": "pi_1", "status": "requires_payment_method", "latest_charge": charge, "last_payment_error": error}
            return 402, {"error": error}
        self.charges.append(invoice["id"])
        invoice.update(status="paid", amount_paid=invoice["amount_due"])
        return 200, invoice

    def _intent(self, form: dict[str, str], decline: str) -> tuple[int, dict[str, Any]]:
        metadata = {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[")}
        intent = {"id": f"pi_{len(self.intents)}", "customer": form["customer"], "currency": form["currency"], "created": self.now_s, "metadata": metadata}
        self.intents.append(intent)
        if decline:
            error = {"type": "card_error", "code": "card_declined", "decline_code": decline, "message": "Your card was declined."}
            intent.update(status="requires_payment_method", last_payment_error=error)
            return 402, {"error": error}
        self.charges.append(metadata["wayfare_transaction"])
        intent.update(status="succeeded", amount_received=int(form["amount"]))
        return 200, intent

    def invoice(self, number: str, status: str = "open", **more: Any) -> str:
        """Put an invoice there; its id."""
        self.invoices[number] = {"id": number, "status": status, "currency": "usd", "amount_due": 2_000, "payment_intent": None, **more}
        return number


def _error(status: int, code: str, message: str) -> tuple[int, dict[str, Any]]:
    return status, {"error": {"type": "invalid_request_error", "code": code, "message": message}}
