"""The cheapest set of passes without which nothing contradicts, against every set there is."""

from __future__ import annotations

from itertools import chain, combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kakou.detection.cover import cover_of

SIZE = 7
PAIRS = list(combinations(range(SIZE), 2))


def cost(price: float) -> float:
    return max(0.05, 4.0 + max(-12.0, min(12.0, price)))


@settings(max_examples=150, deadline=None)
@given(
    edges=st.sets(st.sampled_from(PAIRS), max_size=12),
    prices=st.lists(st.floats(-15, 15), min_size=SIZE, max_size=SIZE),
)
def test_no_cheaper_set_leaves_no_contradiction(edges: set[tuple[int, int]], prices: list[float]) -> None:
    found = cover_of(SIZE, sorted(edges), prices)
    assert all(i in found or j in found for i, j in edges)
    every = chain.from_iterable(combinations(range(SIZE), n) for n in range(SIZE + 1))
    covers = (one for one in every if all(i in one or j in one for i, j in edges))
    least = min(sum(cost(prices[at]) for at in one) for one in covers)
    assert sum(cost(prices[at]) for at in found) == pytest.approx(least)


def test_a_large_group_is_covered_too() -> None:
    edges = [(0, n) for n in range(1, 30)] + [(1, n) for n in range(2, 30)]
    assert cover_of(30, edges, [0.0] * 30) == {0, 1}
