"""What a shard actor does: a `Shard` over Redis, with a second thread that renews its leases and learns what it shall own."""

from __future__ import annotations

import itertools
import threading

import structlog

from actions.registry import load_registry
from actors.duty import Duty
from actors.measures import ShardMeasures
from actors.presence import persist, present
from actors.shard import Shard
from engine.config import Config
from engine.core.errors import Unavailable, WayfareError
from engine.core.workspace import Workspace, compile_workspace
from engine.ports import SnapshotSource
from engine.storage.redis_control import RedisControl
from engine.storage.redis_store import RedisStore

log = structlog.get_logger(__name__)

ASKED_PER_RENEWAL = 3


def work(duty: Duty, stop: threading.Event) -> None:
    """Own what is assigned until told to stop; then what was read is committed and all leases are given up."""
    measures = ShardMeasures(duty.name)
    with present(duty, stop, measures.published) as client:
        store = persist(lambda: RedisStore.connect(duty.url, duty.config), stop)
        if store is None:
            return
        shard = Shard(duty.name, store, duty.config, Snapshots(store.snapshots, duty.config).compiled, measures.measure)
        measures.watch(shard)
        ended = threading.Event()
        keeper = threading.Thread(target=keep_leases, args=(shard, RedisControl(client), duty, ended), name="leases", daemon=True)
        keeper.start()
        try:
            shard.run(stop)
        finally:
            ended.set()
            keeper.join()
            store.close()


def keep_leases(shard: Shard, control: RedisControl, duty: Duty, ended: threading.Event) -> None:
    """Renew every `lease_renew_ms`, and ask three times as often what shall be owned, because a takeover waits for it."""
    for turn in itertools.count():
        try:
            shard.assign(frozenset(control.assigned(duty.name)))
            if turn % ASKED_PER_RENEWAL == 0:
                shard.renew()
        except Unavailable as error:
            log.warning("leases not renewed", error=str(error))
        if ended.wait(duty.config.lease_renew_ms / 1000 / ASKED_PER_RENEWAL):
            return


class Snapshots:
    """Snapshots of the workspace, compiled."""

    def __init__(self, source: SnapshotSource, config: Config) -> None:
        self._source = source
        self._config = config
        self._registry = load_registry()

    def compiled(self, number: int) -> Workspace:
        """Snapshot `number`, or the empty workspace for 0. WayfareError where there is none of that number."""
        if not number:
            return compile_workspace({}, self._registry, self._config)
        snapshot = self._source.snapshot(number)
        if snapshot is None:
            raise WayfareError(f"snapshot {number} of the workspace is missing")
        return compile_workspace(snapshot.documents, self._registry, self._config, number=number, versions=snapshot.versions)
