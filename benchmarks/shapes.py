"""How load changes over time, for locust: steps, a spike, a ramp. `WAYFARE_SHAPE` names one; without it locust's own flags decide.

Each is bounded and ends by itself. `WAYFARE_SHAPE_USERS` is the most users at once (50), `WAYFARE_SHAPE_SECONDS` how long it lasts (300).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

STEPS = 5
SPIKE_FROM, SPIKE_TO = 0.4, 0.6  # shares of the time in which a spike stands
CALM = 0.1  # share of the users who are there before and after it

Users = Callable[[float, int], int]
"""The users at a share of the time (0 to 1), of so many at most."""


def step(share: float, users_max: int) -> int:
    """STEPS equal steps up, each long enough to see where a service stops keeping up."""
    return max(1, users_max * (min(STEPS - 1, int(share * STEPS)) + 1) // STEPS)


def spike(share: float, users_max: int) -> int:
    """Calm, everybody at once, calm again: whether the service comes back, and how fast."""
    return users_max if SPIKE_FROM <= share < SPIKE_TO else max(1, round(users_max * CALM))


def ramp(share: float, users_max: int) -> int:
    """Evenly up until the middle, evenly down after it: both ways through every load."""
    return max(1, round(users_max * (1 - abs(2 * share - 1))))


SHAPES: Mapping[str, Users] = {"step": step, "spike": spike, "ramp": ramp}


def tick(shape: Users, run_s: float, seconds: float, users_max: int) -> tuple[int, float] | None:
    """What locust asks every second: users, and how many of them come or go in a second; None at the end."""
    return None if run_s >= seconds else (shape(run_s / seconds, users_max), users_max)
