"""The fulfillment lists whose home is one partition: their times, and what became of their sendings, within one batch.

Its checkpoint is fetched like a contact's, when its time has come, when a workspace is published, and for the outcomes of its effects. All that
is decided goes into the partition's commit, so a sending is decided once, whoever dies.
"""

from __future__ import annotations

import msgspec

from actors.residency import Residency
from engine.codec import encode
from engine.core.effects import Changes
from engine.core.fulfillment import ListState, list_key, name_of, on_outcome, on_time
from engine.core.partitioning import partition_of
from engine.core.records import Outcome
from engine.core.workspace import Workspace
from engine.logs import logger
from engine.ports import Commit

log = logger("lists")
_decode = msgspec.msgpack.Decoder(ListState).decode


class Lists:
    """Invariant: between two commits `_states` holds every list that was touched, None for one that is forgotten."""

    def __init__(self, partition: int, partitions: int, residency: Residency) -> None:
        self._partition, self._partitions, self._residency = partition, partitions, residency
        self.begin()

    def begin(self) -> None:
        """Forget the batch."""
        self._states: dict[str, ListState | None] = {}

    def keys(self, *workspaces: Workspace) -> set[str]:
        """The lists of these workspaces that have their home here."""
        keys = {list_key(name) for workspace in workspaces for name in workspace.lists}
        return {key for key in keys if partition_of(key, self._partitions) == self._partition}

    def publish(self, before: Workspace, after: Workspace, now_ms: int, changes: Changes) -> None:
        """Another workspace is in force: what was due until now is sent as the old one says, then schedules are those of the new one."""
        for key in self.keys(before, after):
            state = self._state(key)
            if state is not None and state.due_ms <= now_ms:
                self.fire(key, now_ms, before, changes)
            self.fire(key, now_ms, after, changes)

    def fire(self, key: str, now_ms: int, workspace: Workspace, changes: Changes) -> None:
        """A list's time has come."""
        self._states[key] = on_time(key, self._state(key), now_ms, workspace.lists, workspace.number, changes)

    def hear(self, record: Outcome, now_ms: int, workspace: Workspace, changes: Changes) -> None:
        """What became of an effect of a list."""
        state = self._state(record.contact)
        if state is None:
            return
        self._states[record.contact] = state
        warning = on_outcome(record.contact, state, record, now_ms, workspace.lists, workspace.number, changes)
        if warning:
            log.warning("a fulfillment list was not sent", list=name_of(record.contact), effect=record.effect, reason=warning)

    def write(self, commit: Commit) -> None:
        """Add the states and due times to a commit."""
        for key, state in self._states.items():
            commit.contacts[key] = None if state is None else encode(state)
            commit.due[key] = 0 if state is None else state.due_ms

    def _state(self, key: str) -> ListState | None:
        if key in self._states:
            return self._states[key]
        stored = self._residency.encoded[key]
        return _decode(stored) if stored else None
