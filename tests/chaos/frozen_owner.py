"""A shard in a process of its own that freezes itself between a step and its commit: run by test_frozen_owner.py.

Arguments: the store's URL, and `unfenced` to take the comparison of tokens out of the commit script first. Prints `frozen` before it stops itself, and after it was thawed what became of its commit.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import redis

from actions.registry import load_registry
from actors.shard import Shard
from engine.config import Config
from engine.core.workspace import compile_workspace
from engine.logs import set_up_logs
from engine.ports import Commit, Lease
from engine.storage.redis_store import RedisStore
from engine.storage.scripts import SCRIPTS, Script

FENCE = "if meta[1] ~= ARGV[1] then"
CONFIG = Config(partitions=1, lease_ms=300, lease_renew_ms=100)


class FreezingCommits:
    """The real commits, but the process freezes before the first one is sent."""

    def __init__(self, commits: Any) -> None:
        self._commits = commits

    def __getattr__(self, name: str) -> Any:
        return getattr(self._commits, name)

    def commit(self, commits: Sequence[tuple[Lease, Commit]]) -> list[Exception | None]:
        say("frozen")
        os.kill(os.getpid(), signal.SIGSTOP)
        results: list[Exception | None] = self._commits.commit(commits)
        say(type(results[0]).__name__ if results[0] else "committed")
        return results


def take_the_check_out(url: str) -> None:
    """Let the commit script believe whoever comes."""
    text = SCRIPTS["commit"].text.replace(FENCE, "if false then")
    assert text != SCRIPTS["commit"].text
    with redis.Redis.from_url(url) as client:
        SCRIPTS["commit"] = Script(text, client.script_load(text))


def say(word: str) -> None:
    """Tell the test, which reads the standard output."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main(url: str) -> None:
    """Own the one partition and run one cycle."""
    set_up_logs("warning", "frozen")
    store = RedisStore.connect(url, CONFIG)
    store.commits = FreezingCommits(store.commits)
    registry = load_registry()
    shard = Shard("frozen", store, CONFIG, lambda number: compile_workspace({}, registry, CONFIG, number=number))
    shard.assign(frozenset({0}))
    shard.cycle()


if __name__ == "__main__":
    if sys.argv[2:] == ["unfenced"]:
        take_the_check_out(sys.argv[1])
    main(sys.argv[1])
