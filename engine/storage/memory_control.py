"""The memory twin of `Control`: what `up`, the supervisor and the actors tell each other, in one process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence


class MemoryControl:
    """`clock` gives milliseconds; what has a life is looked at when it is asked for. `processes` are shared with the directory of the store."""

    def __init__(self, clock: Callable[[], int], processes: dict[str, tuple[bytes, int]] | None = None) -> None:
        self._clock = clock
        self._shards: dict[str, list[int]] = {}
        self._words: dict[str, dict[str, str]] = {}
        self._beats = {} if processes is None else processes  # process → (value, vanishes at)
        self._reign = ("", 0)  # (run, until)

    def assign(self, shards: Mapping[str, Sequence[int]]) -> None:
        self._shards = {shard: list(partitions) for shard, partitions in shards.items()}

    def assignment(self) -> dict[str, list[int]]:
        return {shard: list(partitions) for shard, partitions in self._shards.items()}

    def assigned(self, shard: str) -> list[int]:
        return list(self._shards.get(shard, ()))

    def tell(self, run: str, whom: str, word: str) -> None:
        self._words.setdefault(run, {})[whom] = word

    def told(self, run: str) -> dict[str, str]:
        return dict(self._words.get(run, {}))

    def beat(self, process: str, value: bytes, ttl_ms: int) -> None:
        if ttl_ms:
            self._beats[process] = (value, self._clock() + ttl_ms)
        else:
            self._beats.pop(process, None)

    def beats(self) -> dict[str, bytes]:
        return {process: value for process, (value, until) in self._beats.items() if until > self._clock()}

    def reign(self, run: str, ttl_ms: int) -> str:
        if self.reigning() in ("", run):
            self._reign = (run, self._clock() + ttl_ms)
        return self._reign[0]

    def reigning(self) -> str:
        run, until = self._reign
        return run if until > self._clock() else ""
