"""Frequency caps: how often a contact may be sent something promotional, in rolling windows by channel.

A send counts from its decision, at the time for which it is meant; one that is withdrawn before that time counts no more. One that was
handed to its queue counts, whatever became of it there: nobody here can know whether it was sent.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

import msgspec

from engine.core.contact import Contact

HELD_MAX = 32  # effects that wait for their time, remembered by a contact so that they can be uncounted


class Cap(msgspec.Struct, frozen=True):
    """At most so many promotional sends in a rolling window; `skip`: what is over is suppressed instead of deferred."""

    at_most: int
    per_ms: int
    per: str
    skip: bool


def room(contact: Contact, channel: str, caps: Sequence[Cap], when: int) -> tuple[int, Cap | None]:
    """(the first time from `when` on that the caps allow, one after the other; the cap that skips it instead)."""
    for cap in caps:
        times = [time for time in contact.sends.get(channel, ()) if time > when - cap.per_ms]
        if len(times) >= cap.at_most:
            if cap.skip:
                return when, cap
            when = times[-cap.at_most] + cap.per_ms
    return when, None


def count(contact: Contact, channel: str, caps: Sequence[Cap], when: int, now_ms: int) -> None:
    """A send at `when` counts; what no cap looks at any more is forgotten."""
    times = contact.sends.setdefault(channel, [])
    insort(times, when)
    oldest = now_ms - max(cap.per_ms for cap in caps)
    most = max(cap.at_most for cap in caps) + HELD_MAX  # beyond what caps look at, what would count again if all that is held were withdrawn
    contact.sends[channel] = [time for time in times if time > oldest][-most:]


def hold(contact: Contact, effect: str, channel: str, when: int, now_ms: int) -> None:
    """Remember which effect it is that was counted at a time to come."""
    waiting = [(key, entry) for key, entry in contact.held.items() if entry[1] > now_ms]
    contact.held = dict([*waiting, (effect, (channel, when))][-HELD_MAX:])


def uncount(contact: Contact, effect: str, now_ms: int) -> None:
    """An effect was withdrawn: one whose time had not come was certainly not sent."""
    channel, when = contact.held.pop(effect, ("", 0))
    if when > now_ms and when in contact.sends.get(channel, ()):
        contact.sends[channel].remove(when)
