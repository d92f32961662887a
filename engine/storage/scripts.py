"""The Lua scripts: read once from `lua/`, put together from their parts, and named by their SHA-1.

Scripts that drain (commits, settles, leases) may go beyond `maxmemory`; what clients append may not. A part that several
scripts share is a file of its own that defines local functions and does nothing.
"""

from __future__ import annotations

from hashlib import sha1
from importlib.resources import files
from typing import NamedTuple

PLAIN = "#!lua\n"
DRAINING = "#!lua flags=allow-oom\n"


class Script(NamedTuple):
    """A script as it is sent to the server."""

    text: str
    sha: str


def _build(header: str, *parts: str) -> Script:
    folder = files(__package__) / "lua"
    text = header + "\n".join((folder / f"{part}.lua").read_text() for part in parts)
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


SCRIPTS = {
    "append": _build(PLAIN, "partition", "log", "guard", "forbid", "append"),
    "append_reserve": _build(DRAINING, "partition", "log", "guard", "forbid", "append"),
    "unsubscribe": _build(DRAINING, "partition", "log", "guard", "forbid", "unsubscribe"),
    "lag": _build(DRAINING, "partition", "lag"),
    "trim": _build(DRAINING, "partition", "trim"),
    "acquire": _build(DRAINING, "partition", "acquire"),
    "renew": _build(DRAINING, "partition", "renew"),
    "load": _build(DRAINING, "partition", "load"),
    "attempt": _build(DRAINING, "partition", "attempt"),
    "release": _build(DRAINING, "partition", "release"),
    "revoke": _build(DRAINING, "partition", "revoke"),
    "commit": _build(DRAINING, "partition", "guard", "effects", "commit"),
    "posted": _build(DRAINING, "partition", "posted"),
    "claim": _build(DRAINING, "partition", "effects", "claim"),
    "mark": _build(DRAINING, "partition", "guard", "effects", "mark"),
    "settle": _build(DRAINING, "partition", "log", "effects", "settle"),
    "giveback": _build(DRAINING, "partition", "effects", "giveback"),
    "resolve": _build(DRAINING, "partition", "effects", "resolve"),
    "depths": _build(DRAINING, "partition", "effects", "depths"),
    "freeze": _build(PLAIN, "partition", "freeze"),
    "take_off": _build(DRAINING, "partition", "take_off"),
    "beyond": _build(DRAINING, "beyond"),
    "grant": _build(DRAINING, "grant"),
    "grant_day": _build(DRAINING, "grant_day"),
    "tally": _build(DRAINING, "tally"),
    "publish": _build(PLAIN, "publish"),
    "heartbeat": _build(DRAINING, "heartbeat"),
}
