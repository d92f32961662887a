"""The Redis side of every port: `RedisStore` for the synchronous shard, `AsyncRedisStore` for gateways and pools.

Both begin with a session check: the count of partitions is fixed by the first that ever connects.
"""

from __future__ import annotations

from engine.config import Config
from engine.core.errors import WayfareError
from engine.storage.redis_budget import RedisBudget
from engine.storage.redis_call import checked
from engine.storage.redis_client import AsyncRedisClient, RedisClient, admission
from engine.storage.redis_commit import RedisCommits
from engine.storage.redis_control import RedisControl
from engine.storage.redis_directory import RedisDirectory
from engine.storage.redis_leases import RedisLeases
from engine.storage.redis_lists import RedisLists
from engine.storage.redis_log import RedisIntake, RedisLog
from engine.storage.redis_maps import RedisSnapshots, RedisWorkspaces
from engine.storage.redis_outbox import RedisOutbox
from engine.storage.redis_tallies import RedisTallies


class RedisStore:
    """What a shard and a supervisor need: `log`, `commits`, `leases`, `snapshots`, `control`. Threads may share it."""

    def __init__(self, client: RedisClient, config: Config) -> None:
        self._client = client
        self.log = RedisLog(client, config)
        self.commits = RedisCommits(client, config)
        self.leases = RedisLeases(client, config)
        self.control = RedisControl(client)
        self.snapshots = RedisSnapshots(client)

    @classmethod
    def connect(cls, url: str, config: Config) -> RedisStore:
        """Connect to `redis://…`, `rediss://…` or `unix:///path.sock`; Unavailable, or InvalidConfig for another count of partitions."""
        client = RedisClient(url, config)
        try:
            checked(client.run(admission(config)))
        except WayfareError:
            client.close()
            raise
        return cls(client, config)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class AsyncRedisStore:
    """What gateways and pools need: `intake`, `outbox`, `budget`, `tallies`, `workspaces`, `directory`, `lists`."""

    def __init__(self, client: AsyncRedisClient, config: Config) -> None:
        self._client = client
        self.intake = RedisIntake(client, config)
        self.outbox = RedisOutbox(client, config)
        self.budget = RedisBudget(client)
        self.tallies = RedisTallies(client)
        self.workspaces = RedisWorkspaces(client, config)
        self.directory = RedisDirectory(client, config)
        self.lists = RedisLists(client, config)

    @classmethod
    async def connect(cls, url: str, config: Config) -> AsyncRedisStore:
        """Connect as `RedisStore` does, and finish a publication that was left half done."""
        client = AsyncRedisClient(url, config)
        try:
            checked(await client.run(admission(config)))
            store = cls(client, config)
            await store.workspaces.finish()
        except WayfareError:
            await client.close()
            raise
        return store

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
