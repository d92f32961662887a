"""Markers: fresh events of new contacts, each of which decides one transactional email, sent in an open loop while something else goes on.

Every marker is due at a time of its own, whatever the gateway does. What is overdue goes out together, as from a client that buffers, and is sent again
under the same ids until it is accepted; so a marker has three times: when it was due, when it was accepted, and when the sink got its email.
"""

from __future__ import annotations

import http.client
import threading
import time
from typing import Any, Self

import msgspec

from benchmarks import workload
from benchmarks.deployment import NOT_NOW, Api, Deployment, Refused, Sinks

MAP_ID = "fresh"
RETRY_S = 0.01
STOP_S_MAX = 90
ARRIVAL_LOOK_S = 0.1


class Marker(msgspec.Struct):
    """One fresh event. Times are seconds of the machine's monotonic clock, 0 where it has not come to that."""

    number: int
    due_s: float
    accepted_s: float = 0
    dispatched_s: float = 0

    @property
    def dispatch_ms(self) -> float:
        """From the 202 to the sink; a mail that overtook its 202 counts as 0."""
        return max(0.0, self.dispatched_s - self.accepted_s) * 1000


def map_of(name: str, *, transactional: bool = True) -> dict[str, Any]:
    """The map of the markers of one name. Its template bears that name, and is `template_of`."""
    return {
        "map": name,
        "title": "What must not wait",
        "triggers": [{"event": f"{name}.placed"}],
        "path": [
            {"id": "address", "update_contact": {"set": {"email": {"value_of": "event.email"}}}},
            {"id": "tell", "send_email": {"template": name, "transactional": transactional}},
            {"id": "exit", "exit": True},
        ],
    }


def template_of(name: str) -> str:
    """A mail by whose subject the sink knows its kind."""
    return f"---\nsubject: {name}\n---\n<p>Thank you.</p>\n"


def documents(smtp_port: int, *maps: dict[str, Any]) -> dict[str, Any]:
    """The canonical workspace with the markers' map and these maps in the place of its own."""
    found = workload.documents(smtp_port)
    return {**found, "maps": [map_of(MAP_ID), *maps], "templates": {**found["templates"], MAP_ID: template_of(MAP_ID)}}


class Markers:
    """Sends `per_s` markers a second inside the `with` block. `first` numbers them, so that no two blocks share contacts."""

    def __init__(self, deployment: Deployment, per_s: float, first: int, name: str = MAP_ID) -> None:
        self._name = name
        self._api = Api(deployment.url, deployment.key)
        self._pause_s, self._next = 1 / per_s, first
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="markers", daemon=True)
        self.sent: list[Marker] = []

    def __enter__(self) -> Self:
        self._due_s = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; what is due by now is accepted first, or STOP_S_MAX have passed."""
        self._stop.set()
        self._thread.join(STOP_S_MAX)
        self._api.close()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        waiting: list[Marker] = []
        while waiting or not self._stop.is_set():
            now = time.monotonic()
            while not self._stop.is_set() and self._due_s <= now:
                waiting.append(Marker(self._next, self._due_s))
                self._next, self._due_s = self._next + 1, self._due_s + self._pause_s
            try:
                accepted = not waiting or self._send(waiting)
            except Exception as error:  # noqa: BLE001 - it is raised where the block ends
                self._error = error
                return
            if accepted:
                self.sent += waiting
                waiting = []
            self._stop.wait(max(0.0, self._due_s - time.monotonic()) if accepted else RETRY_S)

    def _send(self, markers: list[Marker]) -> bool:
        """Whether they are accepted now; False where nobody answers, or the answer is "not now"."""
        name = self._name
        events = [
            {"id": f"{name}-{one.number}", "contact": f"{name}-{one.number}", "name": f"{name}.placed", "data": {"email": address(one.number, name)}}
            for one in markers
        ]
        try:
            self._api.json("POST", "/v1/events", events)
        except Refused as refused:
            if refused.status in NOT_NOW:
                return False
            raise
        except (OSError, http.client.HTTPException):
            return False
        now = time.monotonic()
        for one in markers:
            one.accepted_s = now
        return True


def address(number: int, name: str = MAP_ID) -> str:
    """Where a marker's email goes."""
    return f"{name}-{number}@example.com"


def note_arrivals(markers: list[Marker], sinks: Sinks, name: str = MAP_ID) -> None:
    """Write down when the sink got each one's email."""
    arrived = dict(reversed(sinks.arrivals(f"email:{name}")))  # the first of each
    for one in markers:
        one.dispatched_s = arrived.get(address(one.number, name), 0)


def note_until_arrived(markers: list[Marker], sinks: Sinks, name: str = MAP_ID, seconds_max: float = STOP_S_MAX) -> None:
    """The same once all have come; TimeoutError where they don't within `seconds_max`."""
    deadline = time.monotonic() + seconds_max
    while True:
        note_arrivals(markers, sinks, name)
        missing = sum(not one.dispatched_s for one in markers)
        if not missing:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{missing} of {len(markers)} markers have not come after {seconds_max:g} s")
        time.sleep(ARRIVAL_LOOK_S)
