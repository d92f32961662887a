"""A rate limit as GCRA: one number, the theoretical arrival time, says how full the bucket is.

Pure: the time comes in, the new arrival time goes out. Times are milliseconds (fractions allowed), rates per second.
The bucket holds at most `burst` tokens and never more, so over any span of t seconds at most burst + rate * t are granted.
"""

from __future__ import annotations

from math import ceil, floor

SLACK = 1e-6  # of a token: keeps a rounding error from costing a whole one


def grant(arrival_ms: float, now_ms: float, rate: float, burst: float, want: int) -> tuple[int, float, int]:
    """(granted, the new arrival time, ms until one more token, 0 where all were granted): as many of `want` as the bucket holds.

    `arrival_ms` is what the last grant gave back, 0 for a fresh bucket. A rate must be above 0.
    """
    interval_ms = 1_000 / rate
    start_ms = max(arrival_ms, now_ms)
    room = floor((now_ms - start_ms) / interval_ms + max(1.0, burst) + SLACK)
    granted = max(0, min(want, room))
    start_ms += granted * interval_ms
    wait_ms = start_ms + interval_ms - max(1.0, burst) * interval_ms - now_ms
    return granted, start_ms, max(1, ceil(wait_ms - SLACK)) if granted < want else 0
