"""Webhooks at a receiver that believes nothing but `standardwebhooks`, the library of the Standard Webhooks project, through the whole ring."""

from __future__ import annotations

from typing import Any

import pytest
import standardwebhooks

from tests.counterparts.proofs import proves
from tests.end_to_end.ring import SECRET, Host, Ring, running, until

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


async def order(ring: Ring, path: list[Any]) -> None:
    """Publish a map of this path and let Ann place an order."""
    ring.start_shard()
    await ring.publish({"maps": [{"map": "orders", "triggers": [{"event": "order.placed"}], "path": path}]})
    await ring.start_pools("webhook")
    await ring.accepted("/v1/contacts", {"contact": "ann", "fields": {"first_name": 'Ann "A" Ångström\r\nX-Evil: 1', "city": "a b?c"}})
    await ring.accepted("/v1/events", {"contact": "ann", "name": "order.placed", "data": {"total": 42.5, "lines": [{"sku": "a"}]}})


def verified(request: dict[str, Any]) -> Any:
    """The body as JSON; an error where the signature does not hold."""
    return standardwebhooks.Webhook(SECRET).verify(request["body"], request["headers"])


@proves(
    "send_webhook",
    "a receiver that verifies with `standardwebhooks`",
    "each method arrives signed, with its merge fields in path, header and body",
)
async def test_each_method_arrives_signed_and_merged() -> None:
    async with running() as ring, Host() as host:
        await host.listen()
        body = {"who": "{{ first_name }}", "total": {"value_of": "event.total"}, "lines": {"value_of": "event.lines"}}
        hook = {"url": f"{host.url}/in/{{{{ city | urlencode }}}}", "headers": {"X-Total": "{{ event.total }}"}}
        path = [{"send_webhook": {**hook, "method": method, **({"body": body} if method not in {"GET", "DELETE"} else {})}} for method in METHODS]
        await order(ring, path)
        await ring.carried("webhook")
        assert await ring.effects("webhook") == {"decided": 5, "delivered": 5}
        requests = {request["method"]: request for request in host.requests}
        assert set(requests) == set(METHODS)
        for method, request in requests.items():
            assert request["headers"]["X-Total"] == "42.5"
            assert "X-Evil" not in request["headers"]
            assert request["path"] == "/in/a%20b%3Fc"
            if method in {"GET", "DELETE"}:
                assert request["body"] == b""
            else:
                assert verified(request) == {"who": 'Ann "A" Ångström\r\nX-Evil: 1', "total": 42.5, "lines": [{"sku": "a"}]}
        assert len({request["headers"]["webhook-id"] for request in host.requests}) == 5


@proves("send_webhook", "a receiver that verifies with `standardwebhooks`", "a repetition after a 503 bears the same id, and is signed again")
async def test_a_repetition_bears_the_same_id_and_is_signed_again() -> None:
    async with running() as ring, Host() as host:
        await host.listen()
        host.behave = (503, {}, "later")
        await order(ring, [{"send_webhook": {"url": f"{host.url}/in", "body": {"n": 1}}}])
        await until(lambda: len(host.requests) >= 2)
        host.behave = ""
        await ring.carried("webhook")
        assert len({request["headers"]["webhook-id"] for request in host.requests}) == 1
        assert [verified(request) for request in host.requests] == [{"n": 1}] * len(host.requests)
        assert await ring.effects("webhook") == {"decided": 1, "delivered": 1}


async def test_the_receiver_would_notice_a_change() -> None:
    async with running() as ring, Host() as host:
        await host.listen()
        await order(ring, [{"send_webhook": {"url": f"{host.url}/in", "body": {"n": 1}}}])
        await ring.carried("webhook")
        [request] = host.requests
        verified(request)
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            verified({**request, "body": b'{"n":2}'})
