"""The supervisor as a Ray actor, and Ray as its `Processes`: named, detached actors in the namespace of one run."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import msgspec
import ray
import structlog
from ray.exceptions import RayError
from ray.util import list_named_actors

from actors.duty import GATEWAY, POOL, ROLES, SHARD, Duty
from actors.gateway_actor import GatewayActor
from actors.life import process_here
from actors.pool_actor import PoolActor
from actors.presence import present
from actors.processes import end
from actors.shard_actor import ShardActor
from actors.shell import OPTIONS, begin
from actors.supervisor import Supervisor
from engine.storage.redis_control import RedisControl
from engine.storage.redis_leases import RedisLeases

log = structlog.get_logger(__name__)

CLASSES: dict[str, Any] = {SHARD: ShardActor, GATEWAY: GatewayActor, POOL: PoolActor}


class RayProcesses:
    """Actors by name, with the reference that each one's `run` will resolve when it has ended or died."""

    def __init__(self, duty: Duty) -> None:
        self._duty = duty
        self._actors: dict[str, tuple[Any, Any]] = {}
        for name in list_named_actors():
            if name.rpartition("-")[0] in ROLES:
                self._hold(name, ray.get_actor(name))

    def start(self, role: str, name: str) -> None:
        """Begin to start an actor; one that cannot start has ended as soon as Ray knows it."""
        duty = msgspec.structs.replace(self._duty, role=role, name=name)
        self._hold(name, CLASSES[role].options(name=name, lifetime="detached").remote(duty))

    def running(self) -> set[str]:
        """Those whose `run` has not returned."""
        references = {run: name for name, (_, run) in self._actors.items()}
        if references:
            ended, _ = ray.wait(list(references), num_returns=len(references), timeout=0)
            for run in ended:
                self._report(references[run], run)
                del self._actors[references[run]]
        return set(self._actors)

    def kill(self, name: str, word: bytes) -> None:
        """End an actor; a frozen one cannot hear Ray, so its process is killed where it runs on this machine."""
        self._actors.pop(name, None)
        with contextlib.suppress(ValueError, RayError):  # it is gone already
            ray.kill(ray.get_actor(name), no_restart=True)
        process = process_here(word)
        if process is not None:
            end([process], 0.0)

    def wait(self, timeout_ms: int) -> None:
        """Return when one ends: Ray says so about 10 ms after a kill."""
        references = [run for _, run in self._actors.values()]
        if references:
            ray.wait(references, num_returns=1, timeout=timeout_ms / 1000)
        else:
            time.sleep(timeout_ms / 1000)

    def _hold(self, name: str, actor: Any) -> None:
        self._actors[name] = (actor, actor.run.remote())

    def _report(self, name: str, run: Any) -> None:
        try:
            ray.get(run)
        except RayError as error:
            log.warning("actor ended", ended=name, error=str(error).strip().splitlines()[-1])


def work(duty: Duty, stop: threading.Event) -> None:
    """Supervise until told to stop."""
    with present(duty, stop) as client:
        leases = RedisLeases(client, duty.config)
        Supervisor(duty.run, duty.config, RedisControl(client), leases, RayProcesses(duty), lambda: time.monotonic_ns() // 1_000_000).run(stop)


@ray.remote(**OPTIONS)
class SupervisorActor:
    """Begins when it is made; ends when storage tells it to. Synchronous, because in an asynchronous actor Ray warns of calls that block."""

    def __init__(self, duty: Duty) -> None:
        self._ended = begin(work, duty)

    def run(self) -> None:
        """Return when the work has ended; raises what the work raised."""
        self._ended.result()
