"""The table of all routes; `routes/` has one file per subject."""

from __future__ import annotations

from gateway.routes import (
    audit,
    callbacks,
    contacts,
    docs,
    effects,
    events,
    fulfillment,
    health,
    maps,
    sightings,
    simulate,
    status,
    tasks,
    unsubscribe,
    workspace,
)

ROUTES = [
    *events.ROUTES,
    *contacts.ROUTES,
    *workspace.ROUTES,
    *maps.ROUTES,
    *simulate.ROUTES,
    *tasks.ROUTES,
    *fulfillment.ROUTES,
    *effects.ROUTES,
    *unsubscribe.ROUTES,
    *callbacks.ROUTES,
    *sightings.ROUTES,
    *status.ROUTES,
    *audit.ROUTES,
    *health.ROUTES,
    *docs.ROUTES,
]
