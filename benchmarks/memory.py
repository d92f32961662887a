"""Memory by role, from Linux's /proc, and whether it grows: a line through samples, with its confidence.

Samples of one process are not independent: a cache fills and is emptied, an allocator gives back in lumps. So the line is laid through the
means of `BLOCKS` spans of time, of which each is long beside such swings, and its confidence comes from how far those lie off it.
"""

from __future__ import annotations

import contextlib
import math
import os
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import msgspec

from actors.processes import descendants
from benchmarks import cpu

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SAVING = ("rewrite", "bgsave")  # a forked server that writes its file: its pages are the server's own until one of the two writes to them
BLOCKS = 24
SAMPLES_MIN = 3
FLAT_BYTES_PER_MIN = 256 * 1024  # at 20,000 events/s that is a fifth of a byte an event
NORMAL_95 = 1.959964

Series = list[tuple[float, float]]
"""Seconds and value, as the report plots it."""


class Slope(msgspec.Struct, frozen=True):
    """Bytes per minute; the true figure lies within ± `within` with 95 % confidence. `verdict`: flat, grows, shrinks or undecided."""

    bytes_per_min: int
    within: int
    verdict: str


def resident_by_role(root: int) -> dict[str, int]:
    """Resident bytes of a process and its descendants. Pages that several of them share count in each."""
    used = dict.fromkeys((*cpu.ROLES, cpu.OTHER), 0)
    for pid in (root, *(process.pid for process in descendants(root))):
        with contextlib.suppress(OSError):
            if not _saving(pid):
                used[cpu.role_of(pid)] += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    return used


def _saving(pid: int) -> bool:
    title = Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0].decode(errors="replace")
    return any(word in title for word in SAVING)


def slope(series: Series, warm_s: float) -> Slope:
    """The growth after a warm-up; at least SAMPLES_MIN samples must come after it, or ValueError."""
    points = _blocks([(second, value) for second, value in series if second >= warm_s])
    if len(points) < SAMPLES_MIN:
        raise ValueError(f"{len(points)} samples after {warm_s:g} s make no line")
    middle_s, middle = fmean(second for second, _ in points), fmean(value for _, value in points)
    spread = sum((second - middle_s) ** 2 for second, _ in points)
    rise = sum((second - middle_s) * (value - middle) for second, value in points) / spread
    left = sum((value - middle - rise * (second - middle_s)) ** 2 for second, value in points)
    free = len(points) - 2
    within = student_95(free) * math.sqrt(left / free / spread)
    return Slope(round(rise * 60), round(within * 60), _verdict(rise * 60, within * 60))


def _verdict(rise: float, within: float) -> str:
    """Flat only where the confidence leaves no room for more than FLAT_BYTES_PER_MIN: a noisy series is not a flat one."""
    if abs(rise) + within <= FLAT_BYTES_PER_MIN:
        return "flat"
    if rise - within > FLAT_BYTES_PER_MIN:
        return "grows"
    return "shrinks" if rise + within < -FLAT_BYTES_PER_MIN else "undecided"


def _blocks(points: Series) -> Series:
    """Means of BLOCKS equal numbers of samples, or the samples themselves where there are fewer."""
    count = max(1, min(BLOCKS, len(points)))
    bounds = [number * len(points) // count for number in range(count + 1)]
    return [(fmean(second for second, _ in points[a:b]), fmean(value for _, value in points[a:b])) for a, b in pairwise(bounds)]


def student_95(free: int) -> float:
    """Student's t for two-sided 95 %, by the expansion of Cornish and Fisher: within 4 % from 3 degrees of freedom on, and 0.2 % from 10."""
    z = NORMAL_95
    return z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
