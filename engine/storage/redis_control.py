"""Control in Redis: one value with the assignment, a hash of words for each run, a key that vanishes for the run that reigns.

What processes publish of themselves stands where `Directory` keeps it: a hash of values that begin with their expiry.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from engine.codec import decode_any, encode
from engine.storage.redis_call import Call, checked, command, only
from engine.storage.redis_client import RedisClient
from engine.storage.redis_log import milliseconds

ASSIGNMENT = "wf:assign"
REIGN = "wf:reign"
PROCESSES = "wf:processes"
WORDS_LIFE_S = 24 * 3600  # words for a run are of no use after it; nobody takes them away
# Take or keep the reign. Returns the run that has it.
REIGN_SCRIPT = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return holder
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
"""

_EXPIRY = struct.Struct(">d")


def processes_calls() -> list[Call]:
    """The calls whose answers `living` takes."""
    return [command("TIME", parse=milliseconds), command("HGETALL", PROCESSES)]


def living(now_ms: int, reply: list[bytes]) -> tuple[dict[str, bytes], list[bytes]]:
    """What every live process published last, and the names of those whose time is over."""
    live, gone = {}, []
    for name, value in zip(reply[::2], reply[1::2], strict=True):
        if _EXPIRY.unpack_from(value)[0] > now_ms:
            live[name.decode()] = value[_EXPIRY.size :]
        else:
            gone.append(name)
    return live, gone


class RedisControl:
    """What `up`, the supervisor and the actors tell each other."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def assign(self, shards: Mapping[str, Sequence[int]]) -> None:
        """Which partitions each shard shall own, in place of what stood there: one value, so nobody ever reads half of it."""
        only(self._client.run([command("SET", ASSIGNMENT, encode({shard: list(owned) for shard, owned in shards.items()}), writes=True)]))

    def assignment(self) -> dict[str, list[int]]:
        """The whole assignment."""
        stored: bytes | None = only(self._client.run([command("GET", ASSIGNMENT)]))
        return decode_any(stored) if stored else {}

    def assigned(self, shard: str) -> list[int]:
        """One shard's part of it."""
        return self.assignment().get(shard, [])

    def tell(self, run: str, whom: str, word: str) -> None:
        """Leave a word for a role or a process of a run."""
        key = f"wf:told:{run}"
        checked(self._client.run([command("HSET", key, whom, word, writes=True), command("EXPIRE", key, WORDS_LIFE_S, writes=True)]))

    def told(self, run: str) -> dict[str, str]:
        """Every word of a run, by role or process."""
        flat: list[bytes] = only(self._client.run([command("HGETALL", f"wf:told:{run}")]))
        return {whom.decode(): word.decode() for whom, word in zip(flat[::2], flat[1::2], strict=True)}

    def beat(self, process: str, value: bytes, ttl_ms: int) -> None:
        """Publish a process; with `ttl_ms` 0 it vanishes at once."""
        if ttl_ms:
            only(self._client.run([Call("heartbeat", (PROCESSES,), (process, value, ttl_ms))]))
        else:
            only(self._client.run([command("HDEL", PROCESSES, process, writes=True)]))

    def beats(self) -> dict[str, bytes]:
        """Who lives, and what each published last."""
        now_ms, reply = checked(self._client.run(processes_calls()))
        return living(now_ms, reply)[0]

    def reign(self, run: str, ttl_ms: int) -> str:
        """Say that the `up` of this run lives; the run that reigns."""
        holder: bytes = only(self._client.run([command("EVAL", REIGN_SCRIPT, 1, REIGN, run, ttl_ms, writes=True)]))
        return holder.decode()

    def reigning(self) -> str:
        """The run whose `up` lives; empty where none does."""
        holder: bytes | None = only(self._client.run([command("GET", REIGN)]))
        return holder.decode() if holder else ""
