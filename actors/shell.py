"""What every actor of ours is to Ray: a process that begins its work when it is made, and whose `run` returns when the work has ended.

No actor call carries an event or an order. Ray starts the process, tells that it died, and kills it; everything else goes through storage.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from actors.duty import Duty

OPTIONS: dict[str, Any] = {"max_restarts": 0, "max_task_retries": 0, "num_cpus": 0, "max_pending_calls": 100}
"""A killed actor without restarts is noticed in 10 ms instead of 1 to 2 s; and what restarts is the supervisor's business."""

Work = Callable[[Duty, threading.Event], None]
"""What an actor does until the event is set; it builds what it needs, runs it, and returns when everything is put away."""


def begin(work: Work, duty: Duty) -> Future[None]:
    """Run `work` in a thread of its own; the future ends as it does."""
    ended: Future[None] = Future()

    def main() -> None:
        try:
            work(duty, threading.Event())
        except BaseException as error:  # noqa: BLE001 - whoever waits for the future gets it
            ended.set_exception(error)
        else:
            ended.set_result(None)

    threading.Thread(target=main, name=duty.name, daemon=True).start()
    return ended


class Shell:
    """The body of every actor class. `run` may be asked by every supervisor that comes."""

    def __init__(self, work: Work, duty: Duty) -> None:
        self._ended = begin(work, duty)

    async def run(self) -> None:
        """Return when the work has ended; raises what the work raised."""
        await asyncio.wrap_future(self._ended)
