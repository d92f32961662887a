"""`POST /v1/events`: the hot path. One decode of the whole body, one look at each event, one append shared with other requests."""

from __future__ import annotations

from aiohttp import web

from engine.config import Config
from engine.core.records import Event
from gateway.ingestion import Item, check_contact, check_text, ingest
from gateway.requests import EventIn, epoch_ms
from gateway.routing import Call, Route


def event_record(event: EventIn, config: Config) -> Event:
    """An event as it stands in the log; ValueError says what is wrong with it."""
    contact, name, time = event.contact, event.name, event.time
    if len(contact) > config.contact_id_chars_max or not contact.isprintable():
        check_contact(contact, config)
    if not name.isprintable():
        check_text("name", name)
    return Event(contact, name, event.data or {}, event.id or "", None if time is None else epoch_ms(time))


def brackets(events: list[EventIn]) -> int:
    """Opening brackets that are in these events anyway: one each, and one where there is data."""
    return len(events) + len([1 for event in events if event.data])


EVENTS = Item(EventIn, event_record, brackets)


async def post_events(call: Call) -> web.Response:
    """Accept events."""
    return await ingest(call, EVENTS, "events")


ROUTES = [
    Route(
        method="POST",
        path="/v1/events",
        handler=post_events,
        scope="ingest",
        summary="Send events: one, a JSON array, or NDJSON; plain, gzip or zstd.",
        body=EventIn | list[EventIn],
        kinds=("application/json", "application/x-ndjson"),
        status=202,
    )
]
