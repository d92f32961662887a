"""Lead routers: whose turn it is, and what chance gives each."""

from __future__ import annotations

from collections import Counter

import pytest

from engine.core.routers import route

SAMPLE = 20_000


@pytest.mark.parametrize(
    "weights",
    [{"eve": 70, "fay": 30}, {"eve": 1, "fay": 99}, {"eve": 33.3, "fay": 33.3, "gus": 33.4}, {f"m{number}": 5 for number in range(20)}],
)
def test_a_weighted_router_gives_each_their_share(weights: dict[str, float]) -> None:
    """Chi-square over a fixed sample: a router that is fair passes this limit (p = 0.001) 999 times in 1,000, and this sample is always the same."""
    router = {"kind": "weighted", "members": weights}
    found = Counter(route(router, 0, {"contact": f"contact-{number}", "enrollment": 1, "position": 1, "hop": 1}) for number in range(SAMPLE))
    assert sum(found.values()) == SAMPLE
    expected = {name: SAMPLE * weight / 100 for name, weight in weights.items()}
    chi_square = sum((found[name] - mean) ** 2 / mean for name, mean in expected.items())
    limits = {1: 10.83, 2: 13.82, 19: 43.82}
    assert chi_square < limits[len(weights) - 1]


def test_a_lead_is_drawn_the_same_again_and_anew_at_its_next_visit() -> None:
    router = {"kind": "weighted", "members": {"eve": 50, "fay": 50}}
    leads = [{"contact": "ann", "enrollment": 1, "position": 1, "hop": hop} for hop in range(64)]
    drawn = [route(router, 0, lead) for lead in leads]
    assert drawn == [route(router, number, lead) for number, lead in enumerate(leads)]
    assert set(drawn) == {"eve", "fay"}


def test_who_has_no_percentage_gets_nothing() -> None:
    router = {"kind": "weighted", "members": {"eve": 0, "fay": 100, "gus": 0}}
    assert {route(router, 0, {"contact": f"c{number}", "enrollment": 1, "position": 1, "hop": 1}) for number in range(500)} == {"fay"}


def test_round_robin_goes_round() -> None:
    router = {"kind": "round_robin", "members": ["eve", "fay", "gus"]}
    lead = {"contact": "ann", "enrollment": 1, "position": 1, "hop": 1}
    assert [route(router, turns, lead) for turns in range(7)] == ["eve", "fay", "gus", "eve", "fay", "gus", "eve"]


@pytest.mark.parametrize("router", [{}, {"kind": "round_robin", "members": []}, {"kind": "weighted", "members": {}}, {"kind": "round_robin"}])
def test_a_router_without_members_gives_nobody(router: dict[str, object]) -> None:
    assert route(router, 3, {"contact": "ann", "enrollment": 1, "position": 1, "hop": 1}) == ""
