"""The process that carries Ray: it starts a local Ray or joins a cluster, keeps the supervisor running, and takes Ray with it when it ends.

`python -m actors.ray_cluster` with a `Cluster` as JSON on standard input; `wayfare up` starts it and starts it again. It ends by itself when
Ray's head or this node's raylet is gone, because a local Ray cannot be mended in place. Token authentication is on, unless the environment
says RAY_AUTH_MODE=disabled.
"""

from __future__ import annotations

import itertools
import os
import secrets
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import msgspec
import structlog

from actors.backoff import Backoff
from actors.duty import SUPERVISOR, Duty
from actors.processes import descendants, name_of
from engine.logs import set_up_logs

log = structlog.get_logger(__name__)

ESSENTIAL = ("gcs_server", "raylet")
WATCH_S = 0.25
PRESTARTED = 5  # worker processes that Ray starts ahead: supervisor, gateway, shard, standby, pool


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """What the process is told: the supervisor's duty, Ray's folder (short: socket paths end at 107 bytes), the token's file."""

    duty: Duty
    folder: str
    token_file: str


def prepare(cluster: Cluster) -> None:
    """Settings that Ray takes from the environment, so they must stand before it is imported."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 would let every other process of the machine go before ours
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if not cluster.duty.config.ray:
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(ensure_token(Path(cluster.token_file)))


def ensure_token(file: Path) -> Path:
    """The file with Ray's token, readable by its owner only; made where there is none."""
    if not file.exists():
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as made:
            made.write(secrets.token_hex(32))
    return file


def connect(cluster: Cluster) -> None:
    """Start a local Ray, or join the cluster at `config.ray`."""
    import ray  # noqa: PLC0415 - reads the environment that `prepare` sets

    config = cluster.duty.config
    common: dict[str, Any] = {"namespace": f"wayfare-{cluster.duty.run}", "log_to_driver": False, "configure_logging": False}
    if config.ray:
        ray.init(address=config.ray, **common)
        return
    ray.init(
        address="local",
        include_dashboard=False,
        num_cpus=PRESTARTED,
        object_store_memory=config.ray_object_store_bytes,
        _temp_dir=cluster.folder,
        _node_ip_address="127.0.0.1",
        **common,
    )


def essential() -> set[int]:
    """Process ids of the local Ray's head and raylet, where they are children of this process."""
    return {process.pid for process in descendants(os.getpid()) if name_of(process.pid) in ESSENTIAL}


def end_with_ray(needed: set[int]) -> None:
    """End at once when Ray's head or raylet is gone: an orderly exit would wait for them."""
    if not needed <= essential():
        log.error("Ray is gone")
        os._exit(1)


def supervise(cluster: Cluster) -> NoReturn:
    """Keep a supervisor running until this process is ended."""
    import ray  # noqa: PLC0415

    from actors.supervisor_actor import SupervisorActor  # noqa: PLC0415 - imports ray

    actor: Any = SupervisorActor
    config = cluster.duty.config
    backoff = Backoff(config.restart_ms_min, config.restart_ms_max)
    needed = essential()
    for number in itertools.count(1):
        duty = msgspec.structs.replace(cluster.duty, name=f"{SUPERVISOR}-{number}")
        supervisor = actor.options(name=duty.name, lifetime="detached").remote(duty)
        run = supervisor.run.remote()
        while not ray.wait([run], timeout=WATCH_S)[0]:
            end_with_ray(needed)
        try:
            ray.get(run)
            log.info("supervisor ended")  # it was told to, so this process will be told as well
            ray.kill(supervisor)
            while True:
                time.sleep(WATCH_S)
                end_with_ray(needed)
        except ray.exceptions.RayError as error:
            log.warning("supervisor lost", error=str(error).strip().splitlines()[-1])
        ray.kill(supervisor)  # where only its work failed, the process is still there
        now = time.monotonic_ns() // 1_000_000
        time.sleep((backoff.died(now) - now) / 1000)
    raise AssertionError


def main() -> None:
    """The process's whole life; SIGTERM ends it in order."""
    cluster = msgspec.json.decode(sys.stdin.buffer.read(), type=Cluster)
    set_up_logs(cluster.duty.config.log_level, "ray")
    prepare(cluster)
    connect(cluster)

    def end(_number: int, _frame: FrameType | None) -> None:
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    supervise(cluster)


if __name__ == "__main__":
    main()
