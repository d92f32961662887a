"""A whole deployment as its users have it: `wayfare up` in a process of its own, spoken to over HTTP, with the sinks beside it.

Used by the benchmarks, the demo and the end-to-end tests. Whatever happens, leaving the `with` block ends what it started.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote_plus, urlsplit

import msgspec

from actors.folders import Folders
from actors.processes import spawn
from engine.config import Config
from engine.storage.redis_call import checked, command, only, partition_key
from engine.storage.redis_client import RedisClient
from engine.storage.redis_log import memory_of

READY = re.compile(r"ready on (http://\S+)")
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
START_S_MAX = 60
STOP_S_MAX = 30
RESEND_S, RESEND_S_MAX = 0.2, 60
NOT_NOW = (http.HTTPStatus.TOO_MANY_REQUESTS, http.HTTPStatus.SERVICE_UNAVAILABLE)


class Refused(Exception):
    """An answer other than 2xx: `status`, and the body as text."""

    def __init__(self, what: str, status: int, body: str) -> None:
        super().__init__(f"{what}: {status} {body[:2000]}")
        self.status = status


class Api:
    """A kept HTTP connection. Requests are not repeated: whoever asks decides what a lost answer means."""

    def __init__(self, url: str, key: str = "") -> None:
        self._place = urlsplit(url).netloc
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._connection = http.client.HTTPConnection(self._place, timeout=60)

    def request(self, method: str, path: str, body: bytes | None = None, content_type: str = "application/json") -> bytes:
        """The body of a 2xx answer; Refused for any other, OSError or HTTPException where there is none."""
        headers = self._headers | ({"Content-Type": content_type} if body is not None else {})
        try:
            self._connection.request(method, path, body=body, headers=headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()  # the next request opens it anew
            raise
        if answer.status // 100 != 2:
            raise Refused(f"{method} {path}", answer.status, content.decode(errors="replace"))
        return content

    def insist(self, method: str, path: str, body: Any, seconds_max: float = RESEND_S_MAX) -> Any:
        """The same with JSON, sent again while nobody answers or the answer is "not now", as a client does whose events have ids."""
        deadline = time.monotonic() + seconds_max
        while True:
            try:
                return self.json(method, path, body)
            except Refused as refused:
                if refused.status not in NOT_NOW or time.monotonic() > deadline:
                    raise
            except (OSError, http.client.HTTPException):
                if time.monotonic() > deadline:
                    raise
            time.sleep(RESEND_S)

    def json(self, method: str, path: str, body: Any = None) -> Any:
        """The same with JSON both ways."""
        return msgspec.json.decode(self.request(method, path, None if body is None else msgspec.json.encode(body)) or b"null")

    def close(self) -> None:
        self._connection.close()


class Metrics:
    """One scrape: samples by name, each with its labels."""

    def __init__(self, text: str) -> None:
        self._samples: dict[str, list[tuple[dict[str, str], float]]] = {}
        for name, labels, value in SAMPLE.findall(text):
            self._samples.setdefault(name, []).append((dict(LABEL.findall(labels)), float(value)))

    def total(self, name: str, **labels: str) -> float:
        """The sum of all samples of `name` that carry these labels; 0 where there is none."""
        return sum(value for found, value in self._samples.get(name, []) if labels.items() <= found.items())

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """Sums by the values of one label."""
        sums: dict[str, float] = {}
        for found, value in self._samples.get(name, []):
            if labels.items() <= found.items():
                sums[found.get(label, "")] = sums.get(found.get(label, ""), 0) + value
        return sums


class Sinks:
    """The counting sinks (ops/demo/sinks.py) in a process of their own."""

    def __init__(self, ledger: Path | None = None) -> None:
        command = [sys.executable, "-m", "ops.demo.sinks", "--smtp", "0", "--http", "0", "--follow-stdin"]
        self._process = subprocess.Popen([*command, *(["--ledger", str(ledger)] if ledger else [])], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        ports = msgspec.json.decode(self._process.stdout.readline() or b"{}")
        self.pid = self._process.pid
        self.smtp_port: int = ports["smtp"]
        self.url = f"http://127.0.0.1:{ports['http']}"
        self._api = Api(self.url)

    def counts(self) -> dict[str, Any]:
        """`{"total", "duplicates", "kinds": {kind: messages}, "first_duplicates"}`."""
        found: dict[str, Any] = self._api.json("GET", "/counts")
        return found

    def recipients(self, kind: str) -> list[str]:
        """Who got the messages of one kind, in the order of their arrival."""
        found: list[str] = self._api.json("GET", f"/recipients?kind={kind}")
        return found

    def arrivals(self, kind: str) -> list[tuple[str, float]]:
        """The same with the time of each, in seconds of the machine's monotonic clock."""
        return [(recipient, at_s) for recipient, at_s in self._api.json("GET", f"/arrivals?kind={quote_plus(kind)}")]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._api.close()
        self._process.terminate()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


class Deployment:
    """`wayfare up` on a data folder, on a port of its own choice. `url`, `key`, `pid` and `api` are there inside the `with` block."""

    def __init__(self, data: Path, *, flags: tuple[str, ...] = (), environ: Mapping[str, str] | None = None) -> None:
        self.data = data
        self.log = data.parent / f"{data.name}.log"
        self._flags = flags
        self._environ = {**os.environ, "PYTHONUNBUFFERED": "1", **(environ or {})}
        self.url = ""
        self.key = ""
        self.pid = 0

    def begin(self) -> None:
        """Start it without waiting, so that several start side by side. Whoever calls this enters it next, or stops it."""
        command = [str(Path(sys.executable).with_name("wayfare")), "up", "--data", str(self.data), "--port", "0", *self._flags]
        with self.log.open("ab") as log:
            self._log_from = log.tell()
            self._process = spawn(command, signal.SIGTERM, environ=self._environ, output=log)  # stops when this process dies
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        if not self.pid:
            self.begin()
        try:
            self.url = self._wait_until_ready(self._log_from)
        except BaseException:
            self.stop()
            raise
        self.key = (self.data / "admin.key").read_text().strip()
        self.api = Api(self.url, self.key)
        return self

    def _wait_until_ready(self, after: int) -> str:
        """The URL that `up` prints when it is ready; RuntimeError with the end of its log where it is not."""
        deadline = time.monotonic() + START_S_MAX
        while time.monotonic() < deadline:
            text = self.log.read_bytes()[after:].decode(errors="replace")
            if found := READY.search(text):
                return found[1]
            if self._process.poll() is not None:
                raise RuntimeError(f"`wayfare up` ended with {self._process.returncode}:\n{text[-4000:]}")
            time.sleep(0.05)
        raise RuntimeError(f"`wayfare up` was not ready after {START_S_MAX} s:\n{self.log.read_text(errors='replace')[-4000:]}")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.api.close()
        self.stop()
        self.pid = 0  # it may be entered again

    def stop(self) -> int:
        """Drain and stop; at once if that takes longer than STOP_S_MAX. The exit status."""
        for _ in range(2):  # the first SIGTERM drains, the second one stops at once
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._process.wait(STOP_S_MAX)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()

    def publish(self, documents: Mapping[str, Any]) -> None:
        """Publish a whole workspace."""
        self.api.json("PUT", "/v1/workspace", documents)

    def metrics(self) -> Metrics:
        """One scrape of the gateway, which shows the whole deployment."""
        return Metrics(self.api.request("GET", "/metrics").decode())

    def stats(self, map_id: str) -> dict[str, Any]:
        """What `GET /v1/maps/{map}/stats` answers."""
        found: dict[str, Any] = self.api.json("GET", f"/v1/maps/{map_id}/stats")
        return found

    def contact(self, contact: str) -> dict[str, Any] | None:
        """A contact's record; None where it is not known."""
        try:
            found: dict[str, Any] = self.api.json("GET", f"/v1/contacts/{contact}")
        except Refused as refused:
            if refused.status == http.HTTPStatus.NOT_FOUND:
                return None
            raise
        return found


class Ledgers:
    """What is under way in a deployment of this machine, read from storage itself: a scrape of everything costs what is to be measured."""

    def __init__(self, data: Path, config: Config) -> None:
        self._config = config
        self._client = RedisClient(f"unix://{Folders(str(data)).socket}", config)
        self._partitions = range(config.partitions)

    def lag(self) -> int:
        """Records accepted and not yet committed."""
        calls = [command("HMGET", partition_key(number, "meta"), "next", "offset") for number in self._partitions]
        return sum(int(after or 1) - int(offset or 1) for after, offset in checked(self._client.run(calls)))

    def committed(self) -> int:
        """Records committed since the deployment was created."""
        offsets = checked(self._client.run([command("HGET", partition_key(number, "meta"), "offset") for number in self._partitions]))
        return sum(int(offset or 1) - 1 for offset in offsets)

    def used_bytes(self) -> int:
        """What the server says that its data take, its own structures included."""
        used, _ = only(self._client.run([command("INFO", "memory", parse=partial(memory_of, config=self._config))]))
        return int(used)

    def waiting(self, until_ms: int) -> int:
        """Contacts whose time comes by then and whose timers have not fired."""
        return sum(map(int, checked(self._client.run([command("ZCOUNT", partition_key(number, "due"), "-inf", until_ms) for number in self._partitions]))))

    def owners(self) -> dict[int, tuple[str, int, int]]:
        """(who holds it, how many have held it so far, offset of the last commit) by partition; Unavailable while the server is away."""
        calls = [command("HMGET", partition_key(number, "meta"), "owner", "epoch", "offset") for number in self._partitions]
        found = zip(self._partitions, checked(self._client.run(calls)), strict=True)
        return {number: ((owner or b"").decode(), int(epoch or 0), int(offset or 1)) for number, (owner, epoch, offset) in found}

    def pending(self, channel: str) -> int:
        """Effects committed and not yet settled, in whoever's hands they are."""
        calls = [command("HGET", partition_key(number, "fxn"), f"{channel}:pending") for number in self._partitions]
        return sum(int(count or 0) for count in checked(self._client.run(calls)))

    def close(self) -> None:
        self._client.close()


def lag_of(metrics: Metrics) -> int:
    """Records accepted and not yet committed."""
    return int(metrics.total("wayfare_log_lag_records"))


def unsettled_of(metrics: Metrics) -> int:
    """Effects committed and not yet settled, in whoever's hands they are."""
    decided = metrics.total("wayfare_effects_total", outcome="decided")
    return int(2 * decided - metrics.total("wayfare_effects_total"))


def scrapes(deployment: Deployment, every_s: float, seconds_max: float) -> Iterator[Metrics]:
    """A scrape now and then, none while the gateway is away; TimeoutError after `seconds_max`."""
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline:
        try:
            found = deployment.metrics()
        except (Refused, OSError, http.client.HTTPException):
            found = None
        if found is not None:
            yield found
        time.sleep(every_s)
    raise TimeoutError(f"not there after {seconds_max:g} s")


def wait_until_settled(deployment: Deployment, seconds_max: float = 120) -> Metrics:
    """Wait until the logs are read and the outbox is empty, twice in a row (what was in flight between the two is then seen)."""
    quiet = 0
    for metrics in scrapes(deployment, 0.1, seconds_max):
        quiet = quiet + 1 if lag_of(metrics) == unsettled_of(metrics) == 0 else 0
        if quiet == 2:
            break
    return metrics
