"""Leases in Redis: owner, token, epoch and expiry stand in the partition's meta hash, where commits compare the token.

The token is random and made here; expiry is judged by the server's clock. A lost reply to `acquire` leaves a lease that nobody
knows, which expires.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from engine.config import Config
from engine.ports import Lease
from engine.storage.redis_call import checked, command, only, partition_key, script
from engine.storage.redis_client import RedisClient
from engine.storage.redis_log import milliseconds


class RedisLeases:
    """Who owns a partition."""

    def __init__(self, client: RedisClient, config: Config) -> None:
        self._client = client
        self._config = config

    def acquire(self, partition: int, owner: str, ttl_ms: int) -> Lease | None:
        """Take a free or expired lease; None where another holds it."""
        token = secrets.token_hex(16)
        epoch: int = only(self._client.run([script("acquire", partition, owner, token, ttl_ms)]))
        return Lease(partition, owner, token, epoch) if epoch else None

    def renew(self, leases: Sequence[Lease], ttl_ms: int) -> list[Lease]:
        """Renew in one round trip; those that were lost are left out of the answer."""
        held = checked(self._client.run([script("renew", lease.partition, lease.token, ttl_ms) for lease in leases]))
        return [lease for lease, renewed in zip(leases, held, strict=True) if renewed]

    def release(self, leases: Sequence[Lease]) -> None:
        """Give up; another's lease is left alone."""
        checked(self._client.run([script("release", lease.partition, lease.token) for lease in leases]))

    def revoke(self, owner: str) -> None:
        """Take away every lease of an owner that is known to be dead, in one round trip."""
        checked(self._client.run([script("revoke", partition, owner) for partition in range(self._config.partitions)]))

    def owners(self) -> dict[int, tuple[str, int, int]]:
        """Per partition: owner ("" where none), epoch, milliseconds left."""
        calls = [command("TIME", parse=milliseconds)]
        calls += [command("HMGET", partition_key(partition, "meta"), "owner", "epoch", "until") for partition in range(self._config.partitions)]
        now_ms, *found = checked(self._client.run(calls))
        owners = {}
        for partition, (owner, epoch, until) in enumerate(found):
            left_ms = max(0, int(until or 0) - now_ms)
            owners[partition] = (owner.decode() if owner and left_ms else "", int(epoch or 0), left_ms)
        return owners
