"""A rate limit as GCRA: one number, the theoretical arrival time, says how full the bucket is.

Pure: the time comes in, the new arrival time goes out. Times are milliseconds (fractions allowed), rates per second.
The bucket holds at most `burst` tokens and never more, so over any span of t seconds at most burst + rate * t are granted.
"""

from __future__ import annotations

from math import ceil, floor

SLACK = 1e-6  # of a token: keeps a rounding error from costing a whole one


def grant(arrival_ms: float, now_ms: float, rate: float, burst: float, want: int) -> tuple[int, float, int]:
    """(granted, the new arrival time, ms until one more token): as many of `want` tokens as the bucket holds.

    `arrival_ms` is what the last grant gave back, 0 for a fresh bucket. A rate of 0 never grants; the wait is then a second.
    """
    if rate <= 0 or want <= 0:
        return 0, arrival_ms, 1_000 if rate <= 0 else 0
    interval_ms = 1_000 / rate
    start_ms = max(arrival_ms, now_ms)
    room = floor((now_ms - start_ms) / interval_ms + max(1.0, burst) + SLACK)
    granted = max(0, min(want, room))
    start_ms += granted * interval_ms
    wait_ms = start_ms + interval_ms - max(1.0, burst) * interval_ms - now_ms
    return granted, start_ms, max(0, ceil(wait_ms - SLACK))
