"""The Redis side of every port: `RedisStore` for the synchronous shard, `AsyncRedisStore` for gateways and pools.

Both begin with a session check: the count of partitions is fixed by the first that ever connects.
"""

from __future__ import annotations

from engine.config import Config
from engine.storage.redis_call import checked
from engine.storage.redis_client import RedisClient, admission
from engine.storage.redis_commit import RedisCommits
from engine.storage.redis_leases import RedisLeases
from engine.storage.redis_log import RedisLog


class RedisStore:
    """What a shard and a supervisor need: `log`, `commits`, `leases`. Threads may share it."""

    def __init__(self, client: RedisClient, config: Config) -> None:
        self._client = client
        self.log = RedisLog(client, config)
        self.commits = RedisCommits(client, config)
        self.leases = RedisLeases(client, config)

    @classmethod
    def connect(cls, url: str, config: Config) -> RedisStore:
        """Connect to `redis://…`, `rediss://…` or `unix:///path.sock`; Unavailable, or InvalidConfig for another count of partitions."""
        client = RedisClient(url, config)
        checked(client.run(admission(config)))
        return cls(client, config)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
