"""One sender on one core, as a process of its own: what the pool does with claimed effects, or a bare loop over the same client library.

An effect is rendered (templates over its values), built, signed and handed to its provider, in batches as the pool hands them over.
Claiming, marking and settling are not in it: the canonical suite has those. Prints one JSON object when it is through.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import msgspec
import smpp34
import uvloop

from actions.providers.provider import DELIVERED, Dispatch, House, Provider, Report, Result
from actions.providers.registry import make_provider
from actions.registry import load_registry, render
from actors.presence import GC_THRESHOLD
from engine.config import Config
from engine.core.effects import Effect, effect_id
from engine.core.workspace import Workspace, compile_workspace

DECIDED_MS = 1_767_603_600_000
SENDER = "+12025550100"
SESSIONS, WINDOW = 2, 50  # as the settings of the provider have them
FILLER_BYTES = 3_700  # of HTML; the plain text beside it is made of it, and the whole mail has about 8 KB


class Sent(msgspec.Struct, frozen=True):
    """What one sender did."""

    messages: int
    delivered: int
    wall_s: float
    cpu_s: float


def documents(providers: dict[str, Any]) -> dict[str, Any]:
    """A workspace with the email that is sent: greetings, a list of the order, and filler text that is the same for all."""
    filler = "We pack your order today and hand it to the carrier before six in the evening. "
    head = "Hello {{ first_name }}, thank you for order {{ event.order }} of {{ event.total }} EUR. "
    html_row = '<tr><td style="padding:4px 8px">{{ event.product }}</td><td>{{ event.total }}</td></tr>\n'
    html = (
        f"<html><body><p>{head}</p><table>{html_row * 4}</table>\n" + f"<p>{filler}</p>\n" * (FILLER_BYTES // len(filler)) + "<p>{{ city }}</p></body></html>\n"
    )
    template = f'---\nsubject: "Your order {{{{ event.order }}}}, {{{{ first_name }}}}"\n---\n{html}'
    path = [{"id": "thanks", "send_email": {"template": "thanks"}}]
    return {
        "maps": [{"map": "shop", "triggers": [{"event": "order.placed"}], "path": path}],
        "templates": {"thanks": template},
        "providers": providers,
    }


def emails(count: int) -> Iterator[Effect]:
    """Effects as a step would decide them."""
    for number in range(count):
        values = {
            "fields": {"first_name": f"Ann{number % 977}", "city": f"Town {number % 313}"},
            "event": {"order": f"o-{number}", "total": f"{number % 400}.90", "product": f"Kit {number % 57}"},
        }
        params = {"to": f"ann{number}@example.com", "template": "thanks", "values": values}
        yield _effect(number, "send_email", "email", "", params, consent="email")


def webhooks(count: int, url: str, dest: str) -> Iterator[Effect]:
    """Webhooks with a body of about 300 bytes."""
    for number in range(count):
        body = msgspec.json.encode({"contact": f"c{number}", "order": number, "note": "x" * 240}).decode()
        yield _effect(number, "send_webhook", "webhook", dest, {"method": "POST", "url": url, "headers": {"Content-Type": "application/json"}, "body": body})


def texts(count: int) -> Iterator[Effect]:
    """SMS of one segment."""
    for number in range(count):
        params = {"to": f"+1202555{number % 10_000:04}", "text": f"Your order {number} is on its way and arrives tomorrow. Reply STOP to end."}
        yield _effect(number, "send_sms", "sms", "", params, consent="sms")


def _effect(number: int, kind: str, channel: str, dest: str, params: dict[str, Any], consent: str = "") -> Effect:
    contact = f"c{number}"
    made = effect_id(contact, 1, 1, 1, 0)
    return Effect(made, contact, kind, channel, "b", dest, "shop", 1, "thanks", 1, 1, 0, 1, DECIDED_MS, params, 0, consent)


async def drive(provider: Provider, effects: list[Effect], workspace: Workspace, config: Config) -> Sent:
    """Render and send everything, with as many batches under way as the pool would have."""
    states: dict[str, int] = {}

    def report(dispatch: Dispatch, result: Result) -> None:
        states[result.state] = states.get(result.state, 0) + 1

    places = min(provider.at_once, config.in_flight_per_host_max if provider.by_host else config.in_flight_max)
    size = max(1, min(config.mark_effects_max, places // 4))  # some are being answered while others are being written
    parallel = max(1, places // size)
    batches = iter([effects[start : start + size] for start in range(0, len(effects), size)])
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(_work(provider, batches, workspace, report) for _ in range(parallel)))
    return Sent(len(effects), states.get(DELIVERED, 0), time.perf_counter() - wall, time.process_time() - cpu)


async def _work(provider: Provider, batches: Iterator[list[Effect]], workspace: Workspace, report: Report) -> None:
    for batch in batches:
        await provider.send([Dispatch(effect, render(effect, workspace)) for effect in batch], report)


async def _email(flags: argparse.Namespace) -> Sent:
    block: dict[str, Any] = {"provider": "smtp", "host": "127.0.0.1", "port": flags.port, "tls": "never", "from": "Shop <shop@example.com>"}
    if flags.dkim:
        block["dkim"] = {"domain": "example.com", "selector": "bench", "key": flags.dkim}
    return await _run("email", block, list(emails(flags.messages)))


async def _webhook(flags: argparse.Namespace) -> Sent:
    block = {"secret": "whsec_" + "c2VjcmV0" * 4, "allow_private": True}
    dest = f"127.0.0.1:{flags.port}"
    return await _run("webhook", block, list(webhooks(flags.messages, f"http://{dest}/hook", dest)))


async def _sms(flags: argparse.Namespace) -> Sent:
    block = {"provider": "smpp", "host": "127.0.0.1", "port": flags.port, "system_id": "bench", "password": "bench", "from": SENDER}
    return await _run("sms", block, list(texts(flags.messages)))


async def _run(channel: str, block: dict[str, Any], effects: list[Effect]) -> Sent:
    config = Config()
    workspace = compile_workspace(documents({channel: block, "email": block}), load_registry(), config, number=1)
    provider = make_provider(channel, block, House(config=config, clock=lambda: int(time.time() * 1_000), secret="bench"), {})  # noqa: S106 - signs links that nobody follows
    await drive(provider, effects[:64], workspace, config)  # connections, templates and caches are warm
    gc.freeze()  # and the thresholds: as in the process of a pool
    gc.set_threshold(*GC_THRESHOLD)
    sent = await drive(provider, effects, workspace, config)
    await provider.close()
    return sent


async def _bare_webhook(flags: argparse.Namespace) -> Sent:
    """The same requests by aiohttp alone: no rendering, no signature, no verdict."""
    url = f"http://127.0.0.1:{flags.port}/hook"
    bodies = [effect.params["body"].encode() for effect in webhooks(flags.messages, url, "")]
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def post(body: bytes) -> bool:
            async with session.post(url, data=body, headers=headers) as answer:
                await answer.read()
                return answer.status < 300

        return await bare(post, bodies, Config().in_flight_per_host_max)


async def _bare_sms(flags: argparse.Namespace) -> Sent:
    """The same texts by smpp34's own client: no numbers looked at, no alphabet chosen, no verdict. Two sessions, as ours has."""
    clients = [smpp34.Client("127.0.0.1", flags.port, "bench", "bench", bind_type="TRX", window_size=WINDOW) for _ in range(SESSIONS)]
    sessions = itertools.cycle([await client.connect() for client in clients])

    async def submit(params: dict[str, str]) -> bool:
        to, text = params["to"].lstrip("+"), params["text"].encode()
        return (await next(sessions).submit_sm(to, text, source_addr=SENDER.lstrip("+"), registered_delivery=1)).is_success

    sent = await bare(submit, [effect.params for effect in texts(flags.messages)], SESSIONS * WINDOW)
    for client in clients:
        await client.stop()
    return sent


async def bare(send: Callable[[Any], Awaitable[bool]], items: list[Any], parallel: int) -> Sent:
    """Each item by itself, `parallel` at a time."""

    async def work(waiting: Iterator[Any]) -> int:
        return sum([await send(item) for item in waiting])

    await work(iter(items[:parallel]))
    waiting = iter(items)
    wall, cpu = time.perf_counter(), time.process_time()
    delivered = sum(await asyncio.gather(*(work(waiting) for _ in range(parallel))))
    return Sent(len(items), delivered, time.perf_counter() - wall, time.process_time() - cpu)


KINDS = {"email": _email, "webhook": _webhook, "bare-webhook": _bare_webhook, "sms": _sms, "bare-sms": _bare_sms}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--messages", type=int, required=True)
    parser.add_argument("--dkim", default="", help="path of a PEM key")
    parser.add_argument("--core", type=int, default=-1)
    flags = parser.parse_args()
    if flags.core >= 0:
        os.sched_setaffinity(0, {flags.core})
    print(msgspec.json.encode(uvloop.run(KINDS[flags.kind](flags))).decode())


if __name__ == "__main__":
    main()
