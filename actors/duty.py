"""What an actor is told at its start: who it is, what it runs, where storage is, and the settings."""

from __future__ import annotations

import msgspec

from engine.config import Config

SHARD = "shard"
GATEWAY = "gateway"
POOL = "pool"
SUPERVISOR = "supervisor"
ROLES = (GATEWAY, SHARD, POOL)  # what the supervisor looks after, in the order in which it is stopped
STOP = "stop"


class Duty(msgspec.Struct, frozen=True, kw_only=True):
    """One actor's place. `run` is the id of this start of the deployment; `url` is where storage is reached; `logs` is the folder for
    logs where the actor runs on the machine of `up`, else empty (then Ray keeps them)."""

    role: str
    name: str
    run: str
    url: str
    config: Config
    logs: str = ""
