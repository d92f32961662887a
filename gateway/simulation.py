"""Simulations for clients, each in a process of its own: a script may ask for years of a map that never rests, and a gateway has other work.

The process reads one `Order` from standard input, and gets `simulation_ms_max` of time and `simulation_memory_bytes_max` of memory. It exits with 0 and the
lines, or with 2 and the problems as JSON.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from typing import Any

import msgspec

from actions.registry import detail_of, load_registry
from engine.config import Config
from engine.core.documents import read_document
from engine.core.errors import InvalidDocument, Problem, WayfareError
from engine.publish import LISTS, TABLES, Documents
from engine.simulator import simulate
from gateway.bodies import YAML

INVALID = 2
ENDED_BY_BOUND = "it took more time or memory than a server gives; run it with `wayfare simulate`"


class Order(msgspec.Struct, frozen=True):
    """One simulation: the script as it was sent, whether it is `json` or `yaml`, and the documents for one that brings none."""

    body: bytes
    kind: str
    documents: Documents
    config: Config


class Broken(WayfareError):
    """The process of a simulation ended in a way that nobody thought of; the gateway answers 500."""


def simulate_aside(order: Order) -> bytes:
    """The lines of a simulation, as JSON one on each line. InvalidDocument where the script can't be used or exceeds its bounds. Blocks."""
    command = [sys.executable, "-m", "gateway.simulation"]
    try:
        done = subprocess.run(command, input=msgspec.msgpack.encode(order), capture_output=True, timeout=order.config.simulation_ms_max / 1000, check=False)
    except subprocess.TimeoutExpired:
        raise _invalid(ENDED_BY_BOUND) from None
    if done.returncode == 0:
        return done.stdout
    if done.returncode == INVALID:
        raise InvalidDocument(msgspec.json.decode(done.stdout, type=list[Problem]))
    raise Broken(f"exit status {done.returncode}: {done.stderr[-2_000:].decode(errors='replace')}")


def main() -> None:
    """Run one order from standard input."""
    order = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Order)
    most = order.config.simulation_memory_bytes_max
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    try:
        lines = simulate(script_of(order), load_registry(), detail_of, no_folder, order.config).jsonl()
    except InvalidDocument as error:
        _refuse(error.problems)
    except (MemoryError, RecursionError):
        _refuse(_invalid(ENDED_BY_BOUND).problems)
    sys.stdout.buffer.write(lines)


def script_of(order: Order) -> dict[str, Any]:
    """The script, with the published documents where it brings none of its own. InvalidDocument where it is none."""
    try:
        script = read_document(order.body.decode(), "script.yaml") if order.kind == YAML else msgspec.json.decode(order.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _invalid(f"cannot be read: {error}") from None
    if not isinstance(script, dict):
        raise _invalid("must be a mapping")
    if any(section in script for section in ("workspace", *LISTS, *TABLES)):
        return script
    script.update(order.documents)
    return script


def no_folder(_path: str) -> Documents:
    """A server reads no folders for its clients."""
    raise InvalidDocument(
        [Problem(file="script", place="workspace", message="names a folder, which a server does not read", remedy="write the documents inline")]
    )


def _invalid(message: str) -> InvalidDocument:
    return InvalidDocument([Problem(file="script", message=message)])


def _refuse(problems: list[Problem]) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(problems))
    sys.exit(INVALID)


if __name__ == "__main__":
    main()
