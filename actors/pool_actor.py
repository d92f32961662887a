"""The pools of all channels as a Ray actor: one process, one event loop."""

from __future__ import annotations

import ray

from actors.duty import Duty
from actors.shell import OPTIONS, Shell


@ray.remote(**OPTIONS)
class PoolActor(Shell):
    """Begins when it is made; ends when storage tells it to."""

    def __init__(self, duty: Duty) -> None:
        from actors.work_pool import work  # noqa: PLC0415 - what the work needs is loaded in the actor's own process only

        super().__init__(work, duty)
