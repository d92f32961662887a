"""CPU time by role, from Linux's /proc: gateway, shard, pool, redis, and the rest of what a deployment runs."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from actors.processes import descendants

ROLES = ("gateway", "shard", "pool", "valkey")
OTHER = "other"  # Ray's own processes, the supervisor, `up` itself
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def seconds_by_role(root: int) -> dict[str, float]:
    """CPU seconds used so far by a process and its descendants; those that ended meanwhile are not in it."""
    used = dict.fromkeys((*ROLES, OTHER), 0.0)
    for pid in (root, *(process.pid for process in descendants(root))):
        with contextlib.suppress(OSError):
            used[role_of(pid)] += _seconds(pid)
    return used


def seconds_of(pid: int) -> float:
    """CPU seconds of one process; 0 if it is gone."""
    with contextlib.suppress(OSError):
        return _seconds(pid)
    return 0.0


def per_event_us(before: dict[str, float], after: dict[str, float], events: int) -> dict[str, float]:
    """CPU microseconds per event by role, between two looks."""
    return {role: round((after[role] - used) / events * 1e6, 2) for role, used in before.items()}


def _seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def role_of(pid: int) -> str:
    """By what the process calls itself: Ray titles its actors `ray::ShardActor…`, and the embedded server is valkey-server."""
    title = Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0].decode(errors="replace").rpartition("/")[2].lower()
    return next((role for role in ROLES if role in title), OTHER)
