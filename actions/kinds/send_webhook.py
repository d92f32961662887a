"""`send_webhook`: one HTTP request, with merge fields in its URL, headers and body; signed and retried by its pool.

A header whose value is `env:NAME` is a secret: the effect carries the name, and the value is put in when the request is
rendered for the provider, never earlier and never for what a merge field brought.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import msgspec

from actions.action import Action, Rendering
from actions.messages import Request
from actions.rendering import one_line
from engine.core.action_kind import Act, Site, Turn, Value
from engine.core.effects import Effect
from engine.core.templates import TemplateFault

NO_URL = "no valid URL"

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_SECRET = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "webhook-id", "webhook-timestamp", "webhook-signature"})
_PORTS = {"http": 80, "https": 443}


class SendWebhook(Action, frozen=True, kw_only=True):
    """`body` is a text, or a mapping or list that is sent as JSON."""

    kind: ClassVar[str] = "send_webhook"
    channel: ClassVar[str] = "webhook"

    url: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    headers: dict[str, str] = {}
    body: Any = None

    def prepare(self, site: Site) -> Act:
        if "{{" not in self.url and "{%" not in self.url and not destination(self.url):
            site.problem(f'"{self.url[:100]}" is not a URL', key="url", remedy="write `https://host/path`")
        url_of = site.text(self.url, key="url")
        secrets = {name: match[1] for name, value in self.headers.items() if (match := _SECRET.fullmatch(value))}
        headers = {name: site.text(value, key="headers") for name, value in self._headers(site).items() if name not in secrets}
        body_of = _body(site, self.body)

        def act(turn: Turn) -> None:
            url = url_of(turn).strip()
            dest = destination(url)
            params = {"method": self.method, "url": url, "headers": {name: one_line(value(turn)) for name, value in headers.items()}, "body": body_of(turn)}
            if secrets:
                params["secrets"] = secrets
            turn.emit("webhook", params, to=dest and url, missing=NO_URL, dest=dest)

        return act

    def _headers(self, site: Site) -> dict[str, str]:
        for name in self.headers:
            if not _HEADER.fullmatch(name) or name.lower() in _OURS:
                site.problem(f'"{name[:60]}" cannot be set as a header', key="headers")
        typed = any(name.lower() == "content-type" for name in self.headers)
        json_type = {"Content-Type": "application/json"} if isinstance(self.body, dict | list) and not typed else {}
        return {**json_type, **self.headers}

    @classmethod
    def render(cls, effect: Effect, workspace: Rendering) -> Request:
        headers = dict(effect.params.get("headers", {}))
        for name, variable in effect.params.get("secrets", {}).items():
            if variable not in os.environ:
                raise TemplateFault(f"the header {name} needs the environment variable {variable}, which is not set")
            headers[name] = one_line(os.environ[variable])
        return Request(method=effect.params["method"], url=effect.params["url"], headers=headers, body=effect.params.get("body", ""))

    @classmethod
    def detail(cls, effect: Effect, workspace: Rendering) -> dict[str, Any]:
        secrets = {name: f"env:{variable}" for name, variable in effect.params.get("secrets", {}).items()}
        detail = {**effect.params, "headers": {**effect.params.get("headers", {}), **secrets}}
        return {name: value for name, value in detail.items() if name != "secrets" and value not in ("", {})}


def destination(url: str) -> str:
    """The host of an http or https URL in lower case, with its port where that is not the usual one; "" where it is no such URL."""
    if any(char.isspace() or not char.isprintable() for char in url):
        return ""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if parts.scheme not in _PORTS or not host:
        return ""
    host = f"[{host}]" if ":" in host else host.lower()
    return host if port in (None, _PORTS[parts.scheme]) else f"{host}:{port}"


def _body(site: Site, raw: Any) -> Value:
    if raw is None:
        return lambda _: ""
    if isinstance(raw, str):
        return site.text(raw, key="body")
    if not isinstance(raw, dict | list):
        site.problem("`body` must be a text, or a mapping that is sent as JSON", key="body")
        return lambda _: ""
    value = _json(site, raw)
    return lambda turn: msgspec.json.encode(value(turn)).decode()


def _json(site: Site, raw: Any) -> Value:
    """A value of a JSON body: texts have merge fields, `{value_of: …}` and `{now: …}` keep their types."""
    if isinstance(raw, str):
        return site.text(raw, key="body")
    if isinstance(raw, list):
        items = [_json(site, item) for item in raw]
        return lambda turn: [item(turn) for item in items]
    if isinstance(raw, Mapping) and not (len(raw) == 1 and ("value_of" in raw or "now" in raw)):
        pairs = {key: _json(site, item) for key, item in raw.items()}
        return lambda turn: {key: item(turn) for key, item in pairs.items()}
    return site.value(raw, key="body")
