"""Maps: publish and read them, put contacts in and out, pause them, and count where they are."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from engine import conservation
from engine.core.partitioning import partition_of
from engine.core.records import Command, Record
from engine.ports import Snapshot
from engine.publish import LISTS, Publication, newest_version, version_key, with_map
from gateway.admission import worst_of
from gateway.bodies import decoded
from gateway.documents import KINDS, published, read_mapping
from gateway.ingestion import Batch, check_contact, not_in
from gateway.problems import Refusal, refused
from gateway.requests import MapContacts
from gateway.routing import Call, Route, json_answer


async def put_map(call: Call) -> web.Response:
    """Publish one map, beside everything else that is in force."""
    name = call.named("map")
    document = await read_mapping(call, name)
    if document.setdefault("map", name) != name:
        raise Refusal("invalid", f"The document is of the map {str(document['map'])[:100]!r}, the path names {name[:100]!r}.")
    done = await published(call.services, lambda documents: with_map(documents, document))
    if done.published:
        await call.audit("publish map", map=name, number=done.number)
    return json_answer(done)


async def get_map(call: Call) -> web.Response:
    """One map's document; `?version=N` gives an older one."""
    name, snapshot = call.named("map"), await _snapshot(call)
    versions = _versions(snapshot, name)
    wanted = str(call.number("version", newest_version(versions), 10**9 - 1))
    if wanted not in versions:
        raise Refusal("not-found", f"There is no version {wanted} of this map.")
    return json_answer({"map": name, "version": int(wanted), "current": _is_current(snapshot, name, int(wanted)), "document": versions[wanted]})


async def get_maps(call: Call) -> web.Response:
    """The maps in force, with how many contacts are in each."""
    snapshot = await call.services.published.newest()
    counters = await call.services.directory.counters()
    found = []
    for document in snapshot.documents.get("maps", ()) if snapshot else ():
        name = document["map"]
        counts = conservation.enrollments(counters, name)
        version = newest_version(_versions(snapshot, name)) if snapshot else 0
        found.append({"map": name, "title": document.get("title", ""), "version": version, "enrollments": counts})
    return json_answer({"maps": found})


async def get_versions(call: Call) -> web.Response:
    """Every version that was published, the newest first."""
    name, snapshot = call.named("map"), await _snapshot(call)
    numbers = sorted(map(int, _versions(snapshot, name)), reverse=True)
    return json_answer({"map": name, "versions": [{"version": number, "current": _is_current(snapshot, name, number)} for number in numbers]})


async def get_stats(call: Call) -> web.Response:
    """Per element how many came and how many wait; whether everybody who entered is accounted for; sends suppressed at their decision."""
    name = call.named("map")
    counters = await call.services.directory.counters()
    snapshot = await call.services.published.newest()
    if (snapshot is None or name not in snapshot.versions) and name not in conservation.maps_in(counters):
        raise Refusal("not-found", "There is no such map.")
    elements = [{"element": element, "entered": came, "waiting": came - left} for element, (came, left) in conservation.elements(counters, name).items()]
    drift = conservation.drift(counters, name)
    check = {**conservation.enrollments(counters, name), "drift": drift, "holds": drift == 0}
    refused = {"suppressed": counters.get(f"map:{name}:suppressed", 0), "ignored": conservation.ignored(counters, name)}
    return json_answer({"map": name, "elements": elements, "conservation": check, **refused})


async def add(call: Call) -> web.Response:
    """Enroll contacts by the map's `added` trigger."""
    return await _command(call, "add_to")


async def remove(call: Call) -> web.Response:
    """End the contacts' enrollments in the map."""
    return await _command(call, "remove_from")


async def pause(call: Call) -> web.Response:
    """Pause the contacts in the map."""
    return await _command(call, "pause")


async def unpause(call: Call) -> web.Response:
    """Let them go on."""
    return await _command(call, "unpause")


async def _command(call: Call, verb: str) -> web.Response:
    services, name = call.services, call.named("map")
    services.admission.check_open()
    snapshot = await _snapshot(call)
    if not _is_current(snapshot, name, newest_version(_versions(snapshot, name))):
        raise Refusal("not-found", "This map is not in force any more.")
    async with services.bodies.read(call.request) as body:
        contacts = _contacts(decoded(body, MapContacts), call)
        key = call.request.headers.get("Idempotency-Key")
        if key is not None:
            earlier = await services.once.begin(call.caller.name, f"{call.request.method} {call.request.path}", key, body)
            if earlier is not None:
                return earlier
    batch = Batch()
    batch.records = [Command(contact, verb, name) for contact in contacts]
    batch.indexes = range(len(contacts))
    if key is not None:
        services.once.name(batch.records, batch.indexes, f"{call.caller.name}\x00{verb}\x00{name}", key)
    response = await _appended(call, batch)
    if key is not None:
        await services.once.end(call.caller.name, f"{call.request.method} {call.request.path}", key, response)
    await call.audit(verb, map=name, contacts=len(contacts))
    return response


def _contacts(given: MapContacts, call: Call) -> list[str]:
    contacts = [*([given.contact] if given.contact is not None else []), *given.contacts]
    most = call.services.config.events_per_request_max
    if given.where is not None:
        raise Refusal("invalid", "Choosing contacts by a predicate (`where`) is not served yet; name them in `contacts`.")
    if not contacts:
        raise Refusal("invalid", "Name one `contact` or many `contacts`.")
    if len(contacts) > most:
        raise Refusal("too-large", f"A request may name {most} contacts, this one names {len(contacts)}.")
    rejected: list[dict[str, Any]] = []
    for index, contact in enumerate(contacts):
        try:
            check_contact(contact, call.services.config)
        except ValueError as error:
            rejected.append({"index": index, "error": str(error)})
    if rejected:
        raise Refusal("invalid", "Nothing was done.", rejected=rejected)
    return contacts


async def _appended(call: Call, batch: Batch) -> web.Response:
    partitions = call.services.config.partitions
    for record in batch.records:
        records: list[Record] = batch.batches.setdefault(partition_of(record.contact, partitions), [])
        records.append(record)
    answers = await call.services.admission.append(batch.batches, len(batch.records))
    failure = worst_of(answers, batch.batches)
    if failure is not None:
        raise refused(failure)
    late = not_in(batch, answers, partitions)
    if late:
        return json_answer({"accepted": len(batch.records) - len(late), "rejected": late}, 207)
    return json_answer({"accepted": len(batch.records)}, 202)


async def _snapshot(call: Call) -> Snapshot:
    snapshot = await call.services.published.newest()
    if snapshot is None:
        raise Refusal("not-found", "No workspace was published yet.")
    return snapshot


def _versions(snapshot: Snapshot, name: str) -> dict[str, Any]:
    versions = snapshot.versions.get(name)
    if not versions:
        raise Refusal("not-found", "There is no such map.")
    return versions


def _is_current(snapshot: Snapshot, name: str, version: int) -> bool:
    in_force = {version_key(section, document) for section in LISTS for document in snapshot.documents.get(section, ())}
    return name in in_force and version == newest_version(snapshot.versions[name])


PLACE = "/v1/maps/{map}"
ROUTES = [
    Route(method="GET", path="/v1/maps", handler=get_maps, scope="read", summary="The maps in force."),
    Route(method="GET", path=PLACE, handler=get_map, scope="read", summary="One map.", query=("version",)),
    Route(method="PUT", path=PLACE, handler=put_map, scope="admin", summary="Publish one map.", body=dict, kinds=KINDS, answer=Publication),
    Route(method="GET", path=f"{PLACE}/versions", handler=get_versions, scope="read", summary="The versions of a map."),
    Route(method="GET", path=f"{PLACE}/stats", handler=get_stats, scope="read", summary="Where contacts are, and the conservation check."),
    Route(method="POST", path=f"{PLACE}/contacts", handler=add, scope="admin", summary="Add contacts.", body=MapContacts, status=202),
    Route(method="DELETE", path=f"{PLACE}/contacts", handler=remove, scope="admin", summary="Remove contacts.", body=MapContacts, status=202),
    Route(method="POST", path=f"{PLACE}/contacts/pause", handler=pause, scope="admin", summary="Pause contacts.", body=MapContacts, status=202),
    Route(method="POST", path=f"{PLACE}/contacts/unpause", handler=unpause, scope="admin", summary="Unpause contacts.", body=MapContacts, status=202),
]
