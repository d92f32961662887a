"""The sending suite: our sender on one core beside what nobody here wrote, at the same sink, in turns, as ratios.

Email: personalised 8 KB multipart mail (unsigned, and signed with Ed25519 and RSA-2048) to Postfix's smtp-sink, beside Postfix's
smtp-source, which repeats one message: over kept connections (`-d`; the ratios are to these), and as it comes, with a connection a message. Webhooks over kept connections, and SMS over SMPP: beside a bare loop over aiohttp
and over smpp34's client, to a sink of the demo and to smpp34's server.
Each round runs every sender once, pinned to one core, with the sink on another; a ratio is taken within its round, and the median of the rounds
is what counts. Where Postfix is not installed the email part is left out, and says so.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from rich.table import Table

from benchmarks.deployment import Sinks
from benchmarks.senders import Sent

TARGETS = {"email": 0.6, "email ed25519": 0.5, "email rsa-2048": 0.25, "webhook": 0.5, "sms": 0.5}
KEPT, FRESH = "smtp-source, kept", "smtp-source, fresh"
BESIDE = {"email": KEPT, "webhook": "bare aiohttp", "sms": "bare smpp34"}
SESSIONS = {KEPT: 8, FRESH: 20}  # of smtp-source; more or fewer are slower here
MAIL_BYTES = 8_192

Say = Callable[[str], None]


class Size(msgspec.Struct, frozen=True):
    """How many messages a sender has in a round, and how many rounds there are."""

    messages: int = 10_000
    rounds: int = 5


FULL = Size()
SMALL = Size(messages=300, rounds=1)


def steps(size: Size) -> int:
    """How many lines `run` will say."""
    return size.rounds


def run(size: Size, folder: Path, say: Say) -> list[dict[str, Any]]:
    """One result: every sender's rate by round, and the ratios."""
    rounds = []
    with tempfile.TemporaryDirectory(dir=folder) as keys, Sinks() as sinks, _smtp_sink() as smtp_port, _smsc() as smpp_port:
        _pin(sinks.pid, _cores()[1])
        dkim = _keys(Path(keys))
        for number in range(1, size.rounds + 1):
            rates = dict(_round(size.messages, smtp_port, int(sinks.url.rpartition(":")[2]), smpp_port, dkim))
            rounds.append(rates)
            say(f"round {number} of {size.rounds}: " + ", ".join(f"{name} {rate['per_s']:,.0f}/s" for name, rate in rates.items()))
    ratios = {name: [_ratio(rates, name) for rates in rounds] for name in TARGETS if name in rounds[0]}
    return [
        {
            "suite": "sending",
            "size": msgspec.to_builtins(size),
            "left_out": [] if smtp_port else ["email: smtp-sink and smtp-source are not installed (`make counterparts`)"],
            "medians": {name: {key: median(rates[name][key] for rates in rounds) for key in rounds[0][name]} for name in rounds[0]},
            "ratios": {name: {"median": median(found), "least": min(found), "most": max(found), "target": TARGETS[name]} for name, found in ratios.items()},
            "ratios_to_fresh": {name: median(_ratio(rates, name, FRESH) for rates in rounds) for name in ratios if name.startswith("email")},
            "holds": all(rate["delivered"] == rate["messages"] for rates in rounds for rate in rates.values()),
            "rounds": rounds,
        }
    ]


def table(found: list[dict[str, Any]]) -> Table:
    """The medians and the ratios."""
    result = found[0]
    shown = Table("sender", "messages/s", "CPU µs each", "ratio (least to most)", "target", title="sending, on one core")
    for name, rate in result["medians"].items():
        ratio = result["ratios"].get(name)
        cells = [f"{ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['most']:.2f})", f"{ratio['target']:.2f}"] if ratio else ["", ""]
        shown.add_row(name, f"{rate['per_s']:,.0f}", f"{rate['cpu_us']:.0f}", *cells)
    for line in result["left_out"]:
        shown.caption = line
    return shown


def _ratio(rates: dict[str, dict[str, float]], name: str, beside: str = "") -> float:
    return round(rates[name]["per_s"] / rates[beside or BESIDE[name.partition(" ")[0]]]["per_s"], 3)


def _round(messages: int, smtp_port: int, http_port: int, smpp_port: int, dkim: dict[str, Path]) -> Iterator[tuple[str, dict[str, float]]]:
    if smtp_port:
        yield KEPT, _smtp_source(smtp_port, messages, KEPT, "-d")
        yield FRESH, _smtp_source(smtp_port, messages, FRESH)
        yield "email", _ours("email", smtp_port, messages)
        for name, file in dkim.items():
            yield f"email {name}", _ours("email", smtp_port, messages, f"--dkim={file}")
    yield "bare aiohttp", _ours("bare-webhook", http_port, messages)
    yield "webhook", _ours("webhook", http_port, messages)
    yield "bare smpp34", _ours("bare-sms", smpp_port, messages)
    yield "sms", _ours("sms", smpp_port, messages)


def _ours(kind: str, port: int, messages: int, *flags: str) -> dict[str, float]:
    """One process of senders.py."""
    command = [sys.executable, "-m", "benchmarks.senders", kind, f"--port={port}", f"--messages={messages}", f"--core={_cores()[0]}", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the sender of {kind} failed:\n{done.stderr}")
    return _rate(msgspec.json.decode(done.stdout, type=Sent))


def _smtp_source(port: int, messages: int, name: str, *flags: str) -> dict[str, float]:
    """Postfix's own generator, pinned as ours is."""
    command = ["smtp-source", *flags, "-s", str(SESSIONS[name]), "-l", str(MAIL_BYTES), "-m", str(messages), "-f", "shop@example.com", "-t", "ann@example.com"]
    begun, used = time.perf_counter(), _children_s()
    subprocess.run([*command, f"127.0.0.1:{port}"], check=True, preexec_fn=lambda: _pin(0, _cores()[0]))
    return _rate(Sent(messages, messages, time.perf_counter() - begun, _children_s() - used))


def _rate(sent: Sent) -> dict[str, float]:
    cpu_us = round(sent.cpu_s / sent.messages * 1e6, 1)
    return {"per_s": round(sent.messages / sent.wall_s, 1), "cpu_us": cpu_us, "messages": sent.messages, "delivered": sent.delivered}


@contextmanager
def _smtp_sink() -> Iterator[int]:
    """Postfix's sink on a free port of loopback; 0 where it is not installed."""
    if not shutil.which("smtp-sink") or not shutil.which("smtp-source"):
        yield 0
        return
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    user = ["-u", "nobody"] if os.getuid() == 0 else []
    process = subprocess.Popen(["smtp-sink", *user, f"127.0.0.1:{port}", "256"], preexec_fn=lambda: _pin(0, _cores()[1]))  # noqa: PLW1509 - no threads here
    try:
        _wait_until_listening(port)
        yield port
    finally:
        process.kill()
        process.wait()


@contextmanager
def _smsc() -> Iterator[int]:
    """The SMSC of smsc.py."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.smsc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    _pin(process.pid, _cores()[1])
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def _wait_until_listening(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("smtp-sink does not listen")


def _keys(folder: Path) -> dict[str, Path]:
    """A key of each sort, as a PEM file."""
    made: dict[str, Ed25519PrivateKey | RSAPrivateKey] = {"ed25519": Ed25519PrivateKey.generate(), "rsa-2048": generate_private_key(65_537, 2_048)}
    files = {name: folder / f"{name}.pem" for name in made}
    for name, key in made.items():
        files[name].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


def _cores() -> tuple[int, int]:
    """(the sender's core, the sinks' core); the same one where there is only one."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[-1]


def _pin(pid: int, core: int) -> None:
    os.sched_setaffinity(pid, {core})


def _children_s() -> float:
    used = os.times()
    return used.children_user + used.children_system
