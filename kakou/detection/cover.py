"""The cheapest set of passes that leaves no contradiction."""

from __future__ import annotations

import math
from typing import Final

_EXACT: Final = 14
# The cost of a pass whose two causes are equally likely, and the least cost of any.
_EVEN, _LEAST, _CAP = 4.0, 0.05, 12.0


def cover_of(size: int, edges: list[tuple[int, int]], price: list[float]) -> set[int]:
    """The cheapest set of passes that leaves no contradiction; a pass that is easily misread is cheap.

    Exact for each small group of contradictions that hang together, greedy for a large one.
    """
    near: dict[int, set[int]] = {}
    for i, j in edges:
        near.setdefault(i, set()).add(j)
        near.setdefault(j, set()).add(i)
    cost = [max(_LEAST, _EVEN + max(-_CAP, min(_CAP, one))) for one in price]
    found: set[int] = set()
    left = set(near)
    while left:
        group, stack = set(), [left.pop()]
        while stack:
            at = stack.pop()
            if at not in group:
                group.add(at)
                stack += [one for one in near[at] if one not in group]
        left -= group
        found |= _exact(sorted(group), near, cost) if len(group) <= _EXACT else _greedy(group, near, cost)
    return found


def _exact(group: list[int], near: dict[int, set[int]], cost: list[float]) -> set[int]:
    best: tuple[float, tuple[int, ...]] = (math.inf, ())

    def choose(at: int, taken: frozenset[int], paid: float) -> None:
        nonlocal best
        if paid >= best[0]:
            return
        open_ = next(
            (n for n in group[at:] if n not in taken and any(one not in taken for one in near[n])), None
        )
        if open_ is None:
            best = (paid, tuple(sorted(taken)))
            return
        index = group.index(open_)
        choose(index + 1, taken | {open_}, paid + cost[open_])
        rest = [one for one in near[open_] if one not in taken]
        choose(index + 1, taken | set(rest), paid + sum(cost[one] for one in rest))

    choose(0, frozenset(), 0.0)
    return set(best[1])


def _greedy(group: set[int], near: dict[int, set[int]], cost: list[float]) -> set[int]:
    found: set[int] = set()
    while True:
        degree = {n: len(near[n] - found) for n in group - found}
        degree = {n: d for n, d in degree.items() if d}
        if not degree:
            return found
        found.add(max(sorted(degree), key=lambda n: degree[n] / cost[n]))
