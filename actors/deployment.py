"""One deployment on this machine: what `wayfare up` does. Valkey and Ray are its children; everything else lives in Ray.

It holds the data folder's lock, so there is one at a time. Invariants: what it starts dies with it (see processes.spawn), and what an earlier
run left behind is ended before anything is started; it stops gateways, shards, pools, Ray, Valkey, in this order.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from actors.duty import ROLES, STOP, SUPERVISOR, Duty
from actors.folders import Folders
from actors.processes import Process, end, end_leftovers, family, remember
from actors.ray_child import RayChild
from actors.valkey import Valkey
from engine.codec import decode_any
from engine.config import Config, masked
from engine.core.errors import InvalidConfig, Unavailable, WayfareError
from engine.storage.redis_client import RedisClient
from engine.storage.redis_control import RedisControl
from engine.storage.redis_leases import RedisLeases

log = structlog.get_logger(__name__)

TICK_S = 0.05
REMEMBER_S = 2.0
LEFTOVERS_PATIENCE_S = 5.0
CHILD_PATIENCE_S = 10.0
REDIS_S_MAX = 30.0
DEATHS_MAX = 3  # of Valkey or of Ray, before the deployment was ever ready


class Interrupted(Exception):
    """Raised by `tend` while the deployment is being started or stopped, when it is asked to stop (at once)."""


class Deployment:
    """Start with `start`, then `tend` again and again, then `stop`. `wishes` counts the signals that asked to stop."""

    def __init__(self, config: Config, say: Callable[[str], None], wishes: Callable[[], int]) -> None:
        self.config = config
        self.folders = Folders(config.data)
        self.run = secrets.token_hex(8)
        self._say = say
        self._wishes = wishes
        self._patience = 0  # how many wishes to stop are being served already
        self._lock: int | None = None
        self._remembered: list[Process] = []
        self._remember_at = 0.0
        self._reign_at = 0.0
        self._answered = False  # whether storage ever did
        self.ready = False

    # -- starting ------------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Claim the data folder, end leftovers, see that the port is free. InvalidConfig tells what is in the way."""
        if self.config.ray and not self.config.redis:
            raise InvalidConfig("--ray needs --redis, because other machines cannot reach the embedded server")
        self.folders.make()
        self._lock = os.open(self.folders.lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InvalidConfig(f"another `wayfare up` runs on {self.folders.data}: stop it, or name another folder with --data") from None
        left = end_leftovers(self.folders.run, LEFTOVERS_PATIENCE_S)
        if left:
            self._say(f"ended {len(left)} processes that an earlier run left behind")
        self.folders.forget_ray()
        self.config = with_free_port(self.config)

    def start(self) -> None:
        """Start Valkey and Ray side by side, and reign. Returns when storage answers; actors are still on their way."""
        self.valkey = None if self.config.redis else Valkey(self.folders.valkey, self.folders.socket, self.folders.logs / "valkey.log", self.config)
        self.url = self.valkey.url if self.valkey else self.config.redis
        if self.valkey:
            self.valkey.start()
        logs = "" if self.config.ray else str(self.folders.logs)
        self.ray = RayChild(Duty(role=SUPERVISOR, name=SUPERVISOR, run=self.run, url=self.url, config=self.config, logs=logs), self.folders)
        self._watchdog = subprocess.Popen([sys.executable, "-m", "actors.watchdog", str(self.folders.run)], stdin=subprocess.PIPE, start_new_session=True)
        self.ray.start()
        self._remember()
        self._client = RedisClient(self.url, self.config)
        self.control = RedisControl(self._client)
        self.leases = RedisLeases(self._client, self.config)
        if not self.until(self._storage_answers, REDIS_S_MAX if self.config.redis else float("inf")):
            raise WayfareError(f"Redis does not answer at {masked('redis', self.url)}: start it, or name another with --redis")
        self._answered = True
        if not self.until(self._reigns, 4 * self.config.beat_life_ms / 1000):
            raise WayfareError("another `wayfare up` runs on this Redis: stop it first")

    def until(self, reached: Callable[[], bool], timeout_s: float = float("inf")) -> bool:
        """Tend until something is reached; False where the time was over first. Interrupted when somebody wants to stop."""
        limit = time.monotonic() + timeout_s
        while not reached():
            if time.monotonic() > limit:
                return False
            self.tend()
        return True

    def tend(self) -> None:
        """One round: keep the children running, say that `up` lives, remember who was started."""
        if self._wishes() > self._patience:
            raise Interrupted
        time.sleep(TICK_S)
        if self.valkey:
            self.valkey.keep()
        self.ray.keep()
        if not self.ready and self.ray.deaths >= DEATHS_MAX:
            raise WayfareError(f"Ray does not start; the end of its log in {self.folders.logs}:\n{self.ray.last_words()}")
        if not self.ready and self.valkey and self.valkey.deaths >= DEATHS_MAX:
            raise WayfareError(f"Valkey does not start; the end of its log in {self.folders.logs}:\n{self.valkey.last_words()}")
        now = time.monotonic()
        if now >= self._remember_at:
            self._remember()
        if now >= self._reign_at and self._answered:
            self._reign_at = now + self.config.beat_ms / 1000
            try:
                self._reigns()
            except Unavailable as error:
                log.warning("storage unavailable", error=str(error))

    def partitions_owned(self) -> bool:
        """Every partition has a shard that holds its lease."""
        try:
            return all(owner for owner, _, _ in self.leases.owners().values())
        except Unavailable:
            return False

    # -- stopping ------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop in order; the next wish to stop cuts it short."""
        self._patience = self._wishes()
        if not hasattr(self, "ray"):
            return
        try:
            for role in (*ROLES, SUPERVISOR):
                self._stop_role(role)
        except Interrupted:
            self._say("stopping at once")
        finally:
            hurry = self._wishes() > self._patience
            self.ray.stop(0.0 if hurry else CHILD_PATIENCE_S)
            if self.valkey:
                self.valkey.stop(CHILD_PATIENCE_S)
            end(self._remembered, 0.0)
            self.folders.leave()
            self.folders.run.unlink(missing_ok=True)
            self._watchdog.communicate()

    def _stop_role(self, role: str) -> None:
        try:
            self.control.tell(self.run, role, STOP)
        except (Unavailable, AttributeError):
            return  # nobody can be told; Ray's end ends them, and what is committed stands
        if not self.until(lambda: not self._speaking(role), self.config.drain_ms_max / 1000):
            self._say(f"the {role} did not stop in {self.config.drain_ms_max // 1000} s")

    def _speaking(self, role: str) -> bool:
        try:
            words = [decode_any(word) for word in self.control.beats().values()]
        except Unavailable:
            return True
        return any(said.get("role") == role and said.get("run") == self.run for said in words)

    # -- the parts of it -----------------------------------------------------------------------------------------------

    def _storage_answers(self) -> bool:
        try:
            self.control.reigning()
        except Unavailable:
            return False
        return True

    def _reigns(self) -> bool:
        """Whether this run's `up` is the one that reigns; waits out a dead one, whose word vanishes by itself."""
        return self.control.reign(self.run, 2 * self.config.beat_life_ms) == self.run

    def _remember(self) -> None:
        """Keep the list of everything that was started, for the next run to end if this one is killed."""
        self._remember_at = time.monotonic() + REMEMBER_S
        self.ray.note_tree()
        found = [process for process in family(os.getpid(), self._remembered) if process.pid != self._watchdog.pid]
        if found != self._remembered:
            self._remembered = found
            remember(self.folders.run, found)


def with_free_port(config: Config) -> Config:
    """The configuration with a port that is free: port 0 becomes one. InvalidConfig where it is taken."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.host, config.port))
        except OSError as error:
            raise InvalidConfig(f"port {config.port} of {config.host} cannot be used: {error.strerror}; name another with --port") from error
        return replaced(config, {"port": probe.getsockname()[1]})


def replaced(config: Config, changes: Mapping[str, Any]) -> Config:
    """The configuration with some settings changed, and its relations checked again."""
    return Config(**{name: changes.get(name, getattr(config, name)) for name in config.__struct_fields__})
