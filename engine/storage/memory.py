"""The memory twin of storage: one object that implements every port, for the tests, the simulator and a look at how things work.

It passes the same conformance suite as Redis. It keeps nothing beyond the process, and is not for threads.
"""

from __future__ import annotations

from engine.config import Config
from engine.storage.memory_budget import MemoryBudget
from engine.storage.memory_commit import MemoryCommits
from engine.storage.memory_directory import MemoryDirectory
from engine.storage.memory_leases import MemoryLeases
from engine.storage.memory_lists import MemoryLists
from engine.storage.memory_log import MemoryIntake, MemoryLog
from engine.storage.memory_maps import MemoryWorkspaces
from engine.storage.memory_outbox import MemoryOutbox
from engine.storage.memory_partition import Clock, Partition
from engine.storage.memory_tallies import MemoryTallies


class MemoryStore:
    """Every port, over the same partitions; `clock` gives epoch milliseconds."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self.partitions = [Partition() for _ in range(config.partitions)]
        self.intake = MemoryIntake(self.partitions, config, clock)
        self.log = MemoryLog(self.partitions, config, clock)
        self.leases = MemoryLeases(self.partitions, clock)
        self.commits = MemoryCommits(self.partitions, config, clock)
        self.outbox = MemoryOutbox(self.partitions, config, clock)
        self.budget = MemoryBudget(clock)
        self.tallies = MemoryTallies(clock)
        self.workspaces = MemoryWorkspaces(self.partitions, clock)
        self.snapshots = self.workspaces
        self.directory = MemoryDirectory(self.partitions, config, clock)
        self.lists = MemoryLists(self.partitions, clock)
        self.control = self.directory.control()
