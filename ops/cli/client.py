"""Speaking to a running deployment over HTTP, for the verbs that do: plain calls on one kept connection, faults with their remedy."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from engine.core.errors import InvalidDocument, Problem, WayfareError

TIMEOUT_S = 60


class Unreachable(WayfareError):
    """Nobody answers at the URL, or the connection was lost; what was asked may have been done."""


class Refused(WayfareError):
    """An answer that is no success: `status`, and the problem document."""

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after_s: float) -> None:
        parts = [problem.get("title", f"HTTP {status}"), problem.get("detail", "")]
        super().__init__(": ".join(str(part) for part in parts if part))
        self.status, self.problem, self.retry_after_s = status, problem, retry_after_s


class Client:
    """A gateway at `url`. Requests are not repeated: whoever asks decides what a lost answer means."""

    def __init__(self, url: str, key: str) -> None:
        place = urlsplit(url)
        if place.scheme not in ("http", "https") or not place.hostname:
            raise WayfareError(f"{url} is no URL of a deployment: it should look like http://127.0.0.1:8080")
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._path = place.path.rstrip("/")
        if place.scheme == "https":
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(place.netloc, timeout=TIMEOUT_S, context=ssl.create_default_context())
        else:
            self._connection = http.client.HTTPConnection(place.netloc, timeout=TIMEOUT_S)

    def send(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
        """(status, decoded JSON) of a 2xx answer; Refused for another, Unreachable where there is none."""
        try:
            self._connection.request(method, self._path + path, body=body, headers={**self._headers, **(headers or {})})
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()  # the next request opens it anew
            raise Unreachable(f"no deployment answers at {self.url} ({error}): start one with `wayfare up`, or name it with --url") from error
        if answer.status // 100 != 2:
            raise Refused(answer.status, _problem(content), _seconds(answer.headers.get("Retry-After", "")))
        return answer.status, msgspec.json.decode(content) if content else None

    def get(self, path: str) -> Any:
        """The decoded answer."""
        return self.send("GET", path)[1]

    def put(self, method: str, path: str, body: Any) -> Any:
        """Send JSON by PUT, POST or DELETE; the decoded answer. InvalidDocument for a document with problems."""
        try:
            return self.send(method, path, msgspec.json.encode(body), {"Content-Type": "application/json"})[1]
        except Refused as refused:
            raise _of_document(refused) from None

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()


def _problem(content: bytes) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _seconds(text: str) -> float:
    return float(text) if text.isdecimal() else 1.0


def _of_document(refused: Refused) -> WayfareError:
    try:
        problems = msgspec.convert(refused.problem.get("problems") or [], list[Problem])
    except msgspec.ValidationError:
        problems = []
    return InvalidDocument(problems) if problems else refused
