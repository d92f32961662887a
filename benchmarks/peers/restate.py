"""Restate's virtual objects, keyed by contact: its server from npm, our map in its Python SDK, events over its own HTTP ingress.

An event is one request to `/Contact/ID/event/send` with its id as the idempotency key, answered when it is durable. Ingress takes one event a request; there
are as many kept connections as the concurrency says.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import workload
from benchmarks.load import Connection
from benchmarks.peers.peer import ENVIRONMENTS, Counts, Figures, Peer, Work, cpu_s, started

READY_S_MAX = 60
DONE_S_MAX = 300
WORKERS = 2  # processes of hypercorn, one a core
PARTITIONS = 4  # its default of 24 is slower on two cores
HYPERCORN = """
bind = "127.0.0.1:{port}"
h2_max_concurrent_streams = 2147483647
keep_alive_max_requests = 2147483647
keep_alive_timeout = 2147483647
worker_class = "uvloop"
workers = {workers}
"""


class Restate(Peer):
    name = "restate"
    environment = "restate"
    durability = "fsync: the ingress answers when the invocation is in the replicated log of this one node, whose write-ahead log is synced (its default)"
    leaves_out = "batches: its ingress takes one event a request; and addresses are made of contact ids instead of imported"
    target = 100
    unit = "connections"
    sweep = (32, 128, 512)
    events = 8_000

    def run(self, work: Work, concurrency: int, folder: Path) -> Figures:
        tally = folder / "tally"
        tally.touch()
        with _running(folder, tally, work.smtp_port) as (ports, processes):
            warm, made = work.warm(), work.made()
            _send(ports["ingress"], warm, concurrency, tally)
            before = _state_of(ports["admin"], warm.expected.enrolled)
            used, begun = cpu_s(processes), time.monotonic()
            accepted, repeated = _send(ports["ingress"], made, concurrency, tally)
            wall_s, spent = time.monotonic() - begun, cpu_s(processes) - used
            after = _state_of(ports["admin"], before["entered"] + made.expected.enrolled)
        counts = Counts(accepted, repeated, after["entered"] - before["entered"], after["told"] - before["told"])
        return Figures(work.events, wall_s, spent, counts)


PEERS = [Restate()]


@contextmanager
def _running(folder: Path, tally: Path, smtp_port: int) -> Iterator[tuple[dict[str, int], list[Any]]]:
    """The server and the service, registered with it: (their ports, their processes)."""
    ports = dict(zip(("ingress", "admin", "node", "service"), free_ports(4), strict=True))
    place = ENVIRONMENTS / "restate"
    (folder / "hypercorn.toml").write_text(HYPERCORN.format(port=ports["service"], workers=WORKERS))
    server: list[str | Path] = [place / "node_modules" / ".bin" / "restate-server", "--base-dir", folder / "data", "--node-name", "peer"]
    service: list[str | Path] = [
        place / "bin" / "python",
        "-m",
        "hypercorn",
        "--config",
        folder / "hypercorn.toml",
        "benchmarks.peers.inside.restate_service:app",
    ]
    environ = {
        "RESTATE_BIND_IP": "127.0.0.1",
        "RESTATE_LISTEN_MODE": "tcp",
        "RESTATE_BIND_PORT": str(ports["node"]),
        "RESTATE_INGRESS__BIND_PORT": str(ports["ingress"]),
        "RESTATE_ADMIN__BIND_PORT": str(ports["admin"]),
        "RESTATE_DEFAULT_NUM_PARTITIONS": str(PARTITIONS),
        "RESTATE_ADMIN__DISABLE_WEB_UI": "true",
        "RESTATE_DISABLE_TELEMETRY": "true",
        "RESTATE_LOG_FILTER": "warn",
        "TALLY": str(tally),
        "SMTP_PORT": str(smtp_port),
    }
    log = folder / "restate.log"
    with started(server, service, log=log, environ=environ) as processes:
        _wait(lambda: _ask(ports["admin"], "GET", "/health") is not None and _ask(ports["ingress"], "GET", "/restate/health") is not None, log)
        _wait(lambda: listens(ports["service"]), log)
        _wait(lambda: _ask(ports["admin"], "POST", "/deployments", {"uri": f"http://127.0.0.1:{ports['service']}"}) is not None, log)
        yield ports, processes


def free_ports(count: int) -> list[int]:
    """Ports of loopback on which nobody listens just now."""
    taken = [socket.socket() for _ in range(count)]
    try:
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in taken]
    finally:
        for each in taken:
            each.close()


def listens(port: int) -> bool:
    """Whether somebody listens at a port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait(is_there: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + READY_S_MAX
    while not is_there():
        if time.monotonic() > deadline:
            raise RuntimeError(f"restate was not ready after {READY_S_MAX} s:\n{log.read_text(errors='replace')[-4000:]}")
        time.sleep(0.1)


def _ask(port: int, method: str, path: str, body: Any = None) -> Any:
    """The answer as JSON, `True` for an empty one; None where nobody answered with yes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(
            method, path, None if body is None else msgspec.json.encode(body), {"Content-Type": "application/json", "Accept": "application/json"}
        )
        answer = connection.getresponse()
        content = answer.read()
        return (msgspec.json.decode(content) if content.startswith((b"{", b"[")) else True) if answer.status // 100 == 2 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _send(port: int, made: workload.Workload, connections: int, tally: Path) -> tuple[int, int]:
    """Send everything and wait until it is applied: (accepted, accepted before under the same id)."""
    before = tally.stat().st_size
    found = asyncio.run(_post(port, _requests(made, port), connections))
    deadline = time.monotonic() + DONE_S_MAX
    while tally.stat().st_size - before < made.expected.distinct:
        if time.monotonic() > deadline:
            raise RuntimeError(f"restate applied {tally.stat().st_size - before} of {made.expected.distinct} events in {DONE_S_MAX} s")
        time.sleep(0.01)
    return found


def _requests(made: workload.Workload, port: int) -> Iterator[bytes]:
    """One request an event."""
    for body in made.bodies:
        for event in msgspec.json.decode(body):
            content = msgspec.json.encode(event)
            head = f"POST /Contact/{event['contact']}/event/send HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nIdempotency-Key: {event['id']}\r\n"
            yield f"{head}Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content


async def _post(port: int, requests: Iterable[bytes], connections: int) -> tuple[int, int]:
    queue, loop = iter(list(requests)), asyncio.get_running_loop()
    made = [await loop.create_connection(Connection, "127.0.0.1", port) for _ in range(connections)]
    accepted = repeated = 0

    async def work(connection: Connection) -> None:
        nonlocal accepted, repeated
        for request in queue:
            status, _, body = await connection.send(request)
            if status not in (200, 202):
                raise RuntimeError(f"{status}: {body[:500]!r}")
            accepted += 1
            repeated += msgspec.json.decode(body)["status"] == "PreviouslyAccepted"

    try:
        await asyncio.gather(*(work(connection) for _, connection in made))
    finally:
        for transport, _ in made:
            transport.close()
    return accepted, repeated


def _state_of(admin_port: int, entered: int) -> dict[str, int]:
    """The state once so many were enrolled, or what it is after a while: a handler's last byte comes a moment before its state is committed."""
    for _ in range(50):
        found = _state(admin_port)
        if found["entered"] >= entered:
            break
        time.sleep(0.1)
    return found


def _state(admin_port: int) -> dict[str, int]:
    """What Restate's own state says of all contacts: how often they were enrolled, and told."""
    found = _ask(admin_port, "POST", "/query", {"query": "SELECT value_utf8 FROM state WHERE service_name = 'Contact' AND key = 'contact'"})
    contacts = [msgspec.json.decode(row["value_utf8"]) for row in found["rows"]]
    return {name: sum(contact[name] for contact in contacts) for name in ("entered", "told")}
