"""The conservation check: nothing that entered is lost. Pure, over the counters that the writing scripts keep.

Per map, entered = active + resting + exited + removed + replaced + merged + erased. Per channel, decided = delivered + rejected +
dead + unknown + pending + withdrawn + suppressed + dropped. What differs is the drift, and there is a fault wherever it isn't 0.
"""

from __future__ import annotations

from collections.abc import Mapping

ENROLLED = ("active", "resting", "exited", "removed", "replaced", "merged", "erased")
SETTLED = ("delivered", "rejected", "dead", "unknown", "pending", "withdrawn", "suppressed", "dropped")


def maps_in(counters: Mapping[str, int]) -> list[str]:
    """The maps and sequences that anybody ever entered, in order."""
    return sorted(name[4 : -len(":entered")] for name in counters if name.startswith("map:") and name.endswith(":entered"))


def channels_in(counters: Mapping[str, int]) -> list[str]:
    """The channels on which anything was ever decided, in order."""
    return sorted(name[3 : -len(":decided")] for name in counters if name.startswith("fx:") and name.endswith(":decided"))


def enrollments(counters: Mapping[str, int], map_id: str) -> dict[str, int]:
    """How many entered a map, and where they are."""
    return {what: counters.get(f"map:{map_id}:{what}", 0) for what in ("entered", *ENROLLED)}


def drift(counters: Mapping[str, int], map_id: str) -> int:
    """Entered minus accounted for."""
    counts = enrollments(counters, map_id)
    return counts["entered"] - sum(counts[what] for what in ENROLLED)


def effects(counters: Mapping[str, int], channel: str) -> dict[str, int]:
    """How many effects a channel was given, and what became of them."""
    return {what: counters.get(f"fx:{channel}:{what}", 0) for what in ("decided", *SETTLED)}


def effects_drift(counters: Mapping[str, int], channel: str) -> int:
    """Decided minus accounted for."""
    counts = effects(counters, channel)
    return counts["decided"] - sum(counts[what] for what in SETTLED)


def elements(counters: Mapping[str, int], map_id: str) -> dict[str, tuple[int, int]]:
    """Per element of a map: how many positions came, and how many left."""
    found: dict[str, tuple[int, int]] = {}
    start = f"el:{map_id}:"
    for name in sorted(counters):
        if name.startswith(start):
            element, _, way = name[len(start) :].rpartition(":")
            if element and ":" not in element:  # an element of `sequence:x` is not one of a map `sequence`
                entered, left = found.get(element, (0, 0))
                found[element] = (counters[name], left) if way == "in" else (entered, counters[name])
    return found


def ignored(counters: Mapping[str, int], map_id: str) -> dict[str, int]:
    """Triggers that a map ignored, by reason."""
    start = f"map:{map_id}:ignored:"
    return {name[len(start) :]: value for name, value in sorted(counters.items()) if name.startswith(start)}
