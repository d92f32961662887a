"""Every setting and every bound, with its name, its default, and the relations between them.

Order: `wayfare.toml`, overridden by `WAYFARE_*` variables, overridden by flags. Units stand last in a name.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from engine.core.errors import InvalidConfig

SECRETS = frozenset({"admin_key", "signing_secret"})


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One deployment. Frozen: a running engine never changes its settings."""

    # deployment
    workspace: str = ""
    data: str = ".wayfare"
    host: str = "127.0.0.1"
    port: int = 8080
    redis: str = ""  # empty: the embedded server
    ray: str = ""  # empty: a local Ray
    shards: int = 1
    standbys: int = 1
    gateways: int = 1
    pools: int = 1
    partitions: int = 16  # fixed at creation
    durability: str = "fsync"  # fsync | replicated | relaxed
    timezone: str = "UTC"
    admin_key: str = ""
    signing_secret: str = ""  # signs unsubscribe links; empty: made at first start
    public_url: str = ""  # where recipients reach the gateway; empty: http://host:port
    log_level: str = "info"

    # ingestion
    event_bytes_max: int = 32 * 1024
    body_bytes_max: int = 8 * 1024 * 1024
    events_per_request_max: int = 10_000
    contact_id_chars_max: int = 256
    append_records_max: int = 20_000  # gathered for one round trip
    requests_waiting_max: int = 2_000

    # log
    log_records_max: int = 500_000  # uncommitted, per partition, for clients
    log_reserve_records: int = 100_000  # beyond it, for outcomes and posted records
    log_retain_records: int = 20_000  # committed, per partition
    log_retain_ms: int = 24 * 3_600_000
    memory_bytes_max: int = 4 * 1024**3  # the embedded server's maxmemory
    memory_watermark: float = 0.8

    # shards
    batch_records_max: int = 2_000
    batch_bytes_max: int = 1024 * 1024
    timers_per_batch_max: int = 1_000
    timers_per_cycle_max: int = 500  # of all partitions of a shard: so long may a storm keep a fresh record waiting
    cycle_records_min: int = 256  # after a cycle that found fewer records and timers,
    cycle_wait_ms: int = 4  # wait, so that a trickle is committed in handfuls
    lease_ms: int = 1_000
    lease_renew_ms: int = 300
    idle_ms_min: int = 1
    idle_ms_max: int = 20
    patient_idle_ms_max: int = 500  # of a pool that has no provider, or whose work can wait
    dedupe_bucket_ms: int = 600_000
    dedupe_buckets: int = 6
    dedupe_keys_max: int = 100_000  # per partition
    resident_bytes_max: int = 2 * 1024**3  # encoded contacts of a shard

    # the core
    hops_max: int = 1_000  # per record
    cascades_max: int = 100  # enrollments that one record may set off
    depth_max: int = 20  # blocking adds within one another
    enrollments_max: int = 100  # per contact
    contact_bytes_max: int = 64 * 1024
    kept_events_max: int = 100  # per paused enrollment
    orders_max: int = 50  # kept per contact; what is over and oldest is dropped first
    transactions_max: int = 50  # kept per contact, in the same way
    simulation_steps_max: int = 200_000  # records and timers of one run
    effect_bytes_max: int = 16 * 1024
    template_fuel: int = 100_000
    template_bytes_max: int = 512 * 1024

    # outbox and pools
    outbox_effects_max: int = 50_000  # unsettled, per partition, channel and destination
    claim_lease_ms: int = 30_000
    send_timeout_ms: int = 20_000
    mark_effects_max: int = 64
    claim_effects_max: int = 256
    in_flight_max: int = 512  # per channel and pool
    gathered_effects_max: int = 20_000  # the same for a provider that carries thousands in one request
    in_flight_per_host_max: int = 64
    attempts_max: int = 200  # the waits reach retry_ms_max at the 13th, so the life of an effect ends first
    retry_ms_min: int = 1_000
    retry_ms_max: int = 3_600_000
    effect_life_ms: int = 3 * 24 * 3_600_000  # then a deferred effect is dead
    breaker_failures: int = 5
    breaker_open_ms: int = 10_000
    throttle_hold_ms: int = 10_000  # a destination that was slowed down is not slowed again, or let go faster, within
    destinations_max: int = 1_000  # whose breakers a pool remembers, and names when it claims
    decisions_remembered_max: int = 20_000  # per channel whose older decisions must not come after newer ones (about 400 bytes each)
    credentials_retry_ms: int = 30_000  # a channel whose credentials were refused is tried again after
    workspaces_max: int = 8  # compiled snapshots that a pool keeps
    settle_wait_ms: int = 5
    claim_wait_ms: int = 5  # after a claim that did not fill, so that a trickle is fetched in handfuls
    claim_quantum: int = 16  # effects that one (map, destination) queue gives before the next one's turn
    claim_visits_max: int = 256  # queues that one claim looks at in one partition
    sweep_max: int = 200  # expired claims, and due deferred effects, that one claim moves in one partition
    dead_letters_max: int = 10_000  # listed per partition, dead and unknown each; the oldest is dropped

    # fulfillment lists
    attachment_bytes_max: int = 2 * 1024 * 1024 - 1  # of a list's CSV; a larger one is mailed as a link
    export_life_ms: int = 7 * 24 * 3_600_000  # so long do exports live, and the links to them
    export_page_rows: int = 1_000  # rows of an export that are in memory at a time, beside the ids of one partition
    export_columns_max: int = 500  # columns that a list gets by itself, from the fields of its contacts

    # storage
    entry_records_max: int = 500  # records of one log entry
    set_aside_max: int = 1_000  # poisoned records kept per partition
    audit_max: int = 10_000  # administrative acts kept
    found_contacts_max: int = 1_000  # with one address or number, in one partition, that a look-up finds
    redis_connections_max: int = 8  # per process, of its asynchronous side
    redis_connect_ms: int = 2_000
    redis_timeout_ms: int = 10_000  # without a reply; then the result is unknown
    replica_wait_ms: int = 1_000  # durability `replicated`: how long an append waits for a replica
    memory_look_ms: int = 200  # how old the server's memory figure may be when an append is judged by it

    # gateway
    bodies_bytes_max: int = 256 * 1024 * 1024  # of all requests at work in one gateway
    body_timeout_ms: int = 30_000
    event_depth_max: int = 32  # objects and arrays within one another
    keys_cached_ms: int = 2_000  # so long may a revoked key live
    bad_keys_per_minute_max: int = 30  # per address
    idempotency_ms: int = 24 * 3_600_000
    sighting_wait_ms: int = 300  # how long a click may wait for the log before it is sent on all the same
    sighting_life_ms: int = 60_000  # so long is an open or a click tried that the log did not take
    sightings_waiting_max: int = 2_000
    simulation_bytes_max: int = 1024 * 1024  # of a script over HTTP
    simulation_ms_max: int = 15_000
    simulation_memory_bytes_max: int = 2 * 1024**3

    # processes
    beat_ms: int = 300  # how often a process says that it lives, and looks whether it was told to stop
    beat_life_ms: int = 1_500  # then its word has vanished, and its partitions go to a standby
    frozen_ms: int = 10_000  # silent for so long, a process is ended and a spare is started
    birth_ms_max: int = 60_000  # the same for a process that has not yet said its first word
    orphan_ms: int = 15_000  # without a sign of `up` for so long, an actor ends itself
    restart_ms_min: int = 100  # a process that dies again and again is started at growing distances
    restart_ms_max: int = 10_000
    drain_ms_max: int = 30_000  # for each kind of process at a clean stop
    ray_object_store_bytes: int = 80 * 1024 * 1024  # Ray carries no events; its least is 75 MiB

    def __post_init__(self) -> None:
        """Assert the relations between the bounds; InvalidConfig names the one that does not hold."""
        rules = {
            "durability must be fsync, replicated or relaxed": self.durability in ("fsync", "replicated", "relaxed"),
            "partitions must be 1 to 4096": 1 <= self.partitions <= 4096,
            "shards, gateways and pools must be at least 1": min(self.shards, self.gateways, self.pools) >= 1,
            "port must be 0 to 65535": 0 <= self.port <= 65535,
            "lease_renew_ms must be at most a third of lease_ms": self.lease_renew_ms * 3 <= self.lease_ms,
            "send_timeout_ms must be below claim_lease_ms, or a request could outlive its claim": self.send_timeout_ms < self.claim_lease_ms,
            "mark_effects_max must be 1 to 64, and at most claim_effects_max": 1 <= self.mark_effects_max <= min(64, self.claim_effects_max),
            "in_flight_max must be at most gathered_effects_max": 1 <= self.in_flight_max <= self.gathered_effects_max,
            "event_bytes_max must be at most body_bytes_max": self.event_bytes_max <= self.body_bytes_max,
            "body_bytes_max must be at most bodies_bytes_max": self.body_bytes_max <= self.bodies_bytes_max,
            "batch_records_max must be at most 2000": 1 <= self.batch_records_max <= 2_000,
            "timers_per_batch_max and timers_per_cycle_max must be at least 1": min(self.timers_per_batch_max, self.timers_per_cycle_max) >= 1,
            "memory_watermark must be between 0 and 1": 0 < self.memory_watermark < 1,
            "effect_bytes_max must be at most contact_bytes_max": self.effect_bytes_max <= self.contact_bytes_max,
            "export_life_ms must be at least twice effect_life_ms, or a mail could outlive what it was made of": self.export_life_ms >= 2 * self.effect_life_ms,
            "export_page_rows must be 1 to 1900": 1 <= self.export_page_rows <= 1_900,
            "retry_ms_min must be at most retry_ms_max": self.retry_ms_min <= self.retry_ms_max,
            "idle_ms_min must be at most idle_ms_max": self.idle_ms_min <= self.idle_ms_max,
            "entry_records_max must be at most batch_records_max, or no entry would fit a batch": 1 <= self.entry_records_max <= self.batch_records_max,
            "redis_connections_max must be at least 1": self.redis_connections_max >= 1,
            "beat_ms must be at most a third of beat_life_ms": self.beat_ms * 3 <= self.beat_life_ms,
            "beat_life_ms must be below frozen_ms": self.beat_life_ms < self.frozen_ms,
            "restart_ms_min must be 1 to restart_ms_max": 1 <= self.restart_ms_min <= self.restart_ms_max,
        }
        for rule, holds in rules.items():
            if not holds:
                raise InvalidConfig(rule)


def load_config(flags: Mapping[str, Any], environ: Mapping[str, str] | None = None, file: Path | None = None) -> tuple[Config, dict[str, str]]:
    """The settings in force, and where each came from (`default`, the file's name, the variable's name or `flag`)."""
    environ = os.environ if environ is None else environ
    file = file or Path("wayfare.toml")
    values: dict[str, Any] = {}
    origin = dict.fromkeys(Config.__struct_fields__, "default")
    if file.exists():
        try:
            found = tomllib.loads(file.read_text())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidConfig(f"{file}: {error}") from error
        for name, value in found.items():
            values[name], origin[name] = value, str(file)
    for name in Config.__struct_fields__:
        variable = f"WAYFARE_{name.upper()}"
        if variable in environ:
            values[name], origin[name] = environ[variable], variable
        if flags.get(name) is not None:
            values[name], origin[name] = flags[name], "flag"
    try:
        return msgspec.convert(values, Config, strict=False), origin
    except msgspec.ValidationError as error:
        raise InvalidConfig(f"{error} (see `wayfare config`)") from error


def masked(name: str, value: Any) -> str:
    """A setting as it may be shown: secrets, and the password of a Redis URL, are hidden."""
    if name in SECRETS:
        return "********" if value else ""
    if name == "redis" and "@" in str(value):
        scheme, _, rest = str(value).partition("://")
        return f"{scheme}://********@{rest.rpartition('@')[2]}"
    return str(value)
