"""The workspace that is published now, compiled once per snapshot, for what the gateway shows and checks.

The number of the newest snapshot is asked for at most once in `LOOK_S`; compiling happens in a thread.
"""

from __future__ import annotations

import asyncio
import time

from engine.config import Config
from engine.core.action_kind import Registry
from engine.core.errors import InvalidDocument
from engine.core.workspace import Workspace, compile_workspace
from engine.logs import logger
from engine.ports import Snapshot, Workspaces

LOOK_S = 0.5

log = logger("gateway")


class Published:
    """The newest snapshot and what it compiles to; both None before the first publish."""

    def __init__(self, workspaces: Workspaces, registry: Registry, config: Config) -> None:
        self.workspaces, self.registry, self.config = workspaces, registry, config
        self.snapshot: Snapshot | None = None
        self.compiled: Workspace | None = None
        self.looked_at = -1e9
        self.looking = asyncio.Lock()

    async def newest(self) -> Snapshot | None:
        """The newest snapshot, read anew if it changed."""
        number = await self.workspaces.newest()
        if self.snapshot is None or self.snapshot.number != number:
            self.snapshot = await self.workspaces.get(number) if number else None
        return self.snapshot

    async def workspace(self) -> Workspace | None:
        """The newest snapshot compiled, at most `LOOK_S` old."""
        async with self.looking:
            if time.monotonic() - self.looked_at > LOOK_S:
                snapshot = await self.newest()
                if snapshot is not None and (self.compiled is None or self.compiled.number != snapshot.number):
                    self.compiled = await asyncio.to_thread(self._compile, snapshot)
                self.looked_at = time.monotonic()
            return self.compiled

    def _compile(self, snapshot: Snapshot) -> Workspace | None:
        try:
            return self._compiled(snapshot)
        except InvalidDocument as error:  # made by a version that took what this one refuses; shown without the names of elements
            log.warning("snapshot does not compile", number=snapshot.number, problems=str(error))
            return None

    def _compiled(self, snapshot: Snapshot) -> Workspace:
        return compile_workspace(snapshot.documents, self.registry, self.config, number=snapshot.number, versions=snapshot.versions)
