"""What a gateway actor does: serves HTTP on the deployment's port until it is told to stop, then drains."""

from __future__ import annotations

import threading

import structlog

from actions.registry import load_registry
from actors.awaited import connect, epoch_ms, run, signing_secret, stopped
from actors.duty import Duty
from actors.presence import present
from engine.metrics import Metrics
from gateway.app import serving
from gateway.services import Services

log = structlog.get_logger(__name__)


def work(duty: Duty, stop: threading.Event) -> None:
    """Serve until told to stop; then nothing new is accepted and what is under way is answered."""
    metrics = Metrics()
    with present(duty, stop, lambda: {"metrics": metrics.exposition()}):
        run(_serve(duty, stop, metrics))


async def _serve(duty: Duty, stop: threading.Event, metrics: Metrics) -> None:
    store = await connect(duty, stop)
    if store is None:
        return
    try:
        services = Services(
            config=duty.config,
            intake=store.intake,
            outbox=store.outbox,
            workspaces=store.workspaces,
            directory=store.directory,
            tallies=store.tallies,
            lists=store.lists,
            registry=load_registry(),
            clock=epoch_ms,
            signing_secret=await signing_secret(store.directory, duty.config),
            metrics=metrics,
            name=duty.name,
        )
        async with serving(services, duty.config.host, duty.config.port) as port:
            log.info("serving", host=duty.config.host, port=port)
            await stopped(stop)
    finally:
        await store.close()
