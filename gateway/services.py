"""What the routes of one gateway work with: the ports, the settings, and the parts made of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from prometheus_client import Counter

from actions.feedback import Heard, Hearing
from actions.health import tally_heard
from engine.config import Config
from engine.core.action_kind import Registry
from engine.metrics import Metrics
from engine.ports import Directory, Intake, Lists, Outbox, Tallies, Workspaces
from gateway.admission import Admission
from gateway.auth import Keys
from gateway.bodies import Bodies
from gateway.idempotency import Idempotency
from gateway.published import Published
from gateway.sightings import Sightings


class Services:
    """Made once per gateway. `clock` gives epoch milliseconds, `name` is the process's name in heartbeats, `signing_secret` signs unsubscribe links."""

    def __init__(
        self,
        *,
        config: Config,
        intake: Intake,
        outbox: Outbox,
        workspaces: Workspaces,
        directory: Directory,
        tallies: Tallies,
        lists: Lists,
        registry: Registry,
        clock: Callable[[], int],
        signing_secret: str,
        metrics: Metrics | None = None,
        name: str = "gateway",
    ) -> None:
        self.config, self.clock, self.registry, self.signing_secret, self.name = config, clock, registry, signing_secret, name
        self.intake, self.outbox, self.workspaces, self.directory, self.lists = intake, outbox, workspaces, directory, lists
        self.tallies = tallies
        self.metrics = metrics or Metrics()
        self.admission = Admission(intake, config)
        self.bodies = Bodies(config)
        self.keys = Keys(directory, config)
        self.once = Idempotency(directory, config)
        self.published = Published(workspaces, registry, config)
        self.hearing = Hearing(intake, directory, config.partitions, signing_secret, self._nobody, outbox=outbox, counted=partial(tally_heard, tallies))
        self.sightings = Sightings(self.admission, config, self.metrics)
        self.simulating = asyncio.Lock()
        self._accepted: dict[str, Counter] = {}

    def _nobody(self, heard: Heard) -> None:
        """A provider spoke of somebody whom no contact matches."""
        self.metrics.events_rejected.labels("nobody").inc()

    def count_accepted(self, source: str, items: int) -> None:
        """Count items that are in the log; looking a label up costs more than counting, so it is kept."""
        counter = self._accepted.get(source)
        if counter is None:
            counter = self._accepted[source] = self.metrics.events_accepted.labels(source)
        counter.inc(items)
