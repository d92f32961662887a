"""Contacts as Restate's virtual objects: one handler for an event, one for the end of its wait. Runs in Restate's environment, served by hypercorn.

Each object keeps its contact as state under one name. An object has one handler at work at a time, so events apply in the order of their acceptance. The
wait of 30 days is a delayed call to the object itself, as Restate's documentation has it; a later event leaves it standing, and it finds that it is late.
A byte is appended to `TALLY` for each event that was applied, so that whoever measures knows when all are done; what is true is Restate's own state.
"""

from __future__ import annotations

import os
from datetime import timedelta
from threading import local
from typing import Any

import restate

from benchmarks.peers.inside import journey

tally = os.open(os.environ["TALLY"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
mailers = local()
contacts = restate.VirtualObject("Contact")


@contacts.handler()
async def event(ctx: restate.ObjectContext, happened: dict[str, Any]) -> None:
    """One event of this contact."""
    contact = await ctx.get("contact") or {**journey.fresh(f"{ctx.key()}@example.com"), "entered": 0, "told": 0}
    if journey.step(contact, happened, 0):  # the time is Restate's business: `wait_is_over` comes when it is
        contact["entered"] += 1
        if journey.is_told(happened):
            contact["told"] += 1
            await ctx.run_typed("receipt", tell, address=contact["email"], happened=happened)
        ctx.set("contact", contact)
        ctx.object_send(wait_is_over, ctx.key(), contact["entered"], send_delay=timedelta(seconds=journey.WAIT_S))
    os.write(tally, b".")


@contacts.handler()
async def wait_is_over(ctx: restate.ObjectContext, entered: int) -> None:
    """30 days after an event: the contact leaves the map, unless it was enrolled again meanwhile."""
    contact = await ctx.get("contact")
    if contact is not None and contact["entered"] == entered:
        contact["due_s"] = None
        ctx.set("contact", contact)


def tell(address: str, happened: dict[str, Any]) -> None:
    """Send the receipt, on this thread's own connection: Restate's SDK runs a step that is no coroutine on its pool of threads."""
    if not hasattr(mailers, "one"):
        mailers.one = journey.Mailer(int(os.environ["SMTP_PORT"]))
    mailers.one.send(address, happened)


app = restate.app([contacts])
