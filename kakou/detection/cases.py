"""From contradictions to one verdict for each plate, by weighing what could have caused them.

A case is a plate whose passes one vehicle cannot have made. Four causes are weighed against each other, each
by how likely it makes just these passes:

* **clock**: after the offsets of the gates are taken out, the trip is possible. Nothing is left to explain.
* **misread**: the odd passes are those of other vehicles whose plates differ in one character. What speaks
  for it is a neighbour that is under way to that gate at that moment and was not read there, the confusion of
  just these two characters, and its make.
* **two vehicles**: the odd passes are one more vehicle's. What speaks for it is that they follow each other
  as the passes of one vehicle do, that they show one make, and that nobody else can have made them.
* else **undecided**.

The odd passes are the cheapest set that leaves no contradiction, with those that show the same foreign make.
Densities are per second: how likely is a read under this plate, at this gate, in this second, under each
cause. How common clones are is estimated from all cases together. All of this is a function of the *set* of
passes, so order and repetition change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

import numpy as np

from kakou.detection.cover import cover_of
from kakou.detection.doubts import MOST, Crowd, Draft, strength_of
from kakou.detection.horizon import MOST_LOOKS, NEAR_S, Look, Passes, Shown, contradicts
from kakou.detection.likelihood import (
    Odd,
    companions_of,
    follows,
    odd_of,
    profile_of,
    second_make,
)

# Share of plates that two cars drive under on a day, before anything is seen, and how many plates that is
# worth.
PRIOR, PRIOR_PLATES = 0.001, 2000
_EM_ROUNDS: Final = 30
# Reasons are not as independent as their sum would have it, and no likelihood is quite right: together they
# count for so much of their sum.
_TEMPER: Final = 0.8


@dataclass(frozen=True)
class Case:
    """What is known of one plate.

    Attributes:
        plate: its text.
        probability: that two vehicles drive under it.
        cause: ``clock``, ``misread``, ``clone`` or ``open``.
        first, second: rows of the passes that contradict each other most, by (time, id).
        odd: the passes that are somebody else's.
        least: seconds that the trip between the two takes at least.
        gap: seconds between the two, clocks set right.
        weights: log-odds by reason.
    """

    plate: str
    probability: float
    cause: str
    first: int
    second: int
    odd: tuple[Odd, ...]
    least: float
    gap: float
    offsets: tuple[float, float]
    makers: tuple[str | None, str | None]
    weights: dict[str, float] = field(default_factory=dict)


def judge_cases(passes: Passes, plates: list[str], before: Mapping[str, Shown]) -> list[Case]:
    """One case for each plate with a contradiction.

    Args:
        passes: all passes of the horizon.
        plates: those that have one.
        before: what the history shows of these plates and of their neighbours.
    """
    drafts = [_draft(passes, plate) for plate in sorted(plates)]
    crowd = Crowd(passes, drafts)
    found = [_case(passes, draft, crowd, before) for draft in drafts]
    cases = [case for case in found if case is not None]
    prior = _prior(len(passes.rows), [_together(case.weights) for case in cases if case.odd])
    return [_with_prior(case, prior) if case.odd else case for case in cases]


def _together(weights: dict[str, float]) -> float:
    return _TEMPER * sum(weights.values())


def _prior(plates: int, log_ratios: list[float]) -> float:
    """Share of plates with a second car that makes the likelihoods of all cases together greatest."""
    ratios = np.exp(np.clip(log_ratios, -30, 30))
    share = PRIOR
    for _ in range(_EM_ROUNDS):
        likely = share * ratios / (1 - share + share * ratios)
        share = (likely.sum() + PRIOR * PRIOR_PLATES) / (max(plates, len(ratios)) + PRIOR_PLATES)
    return float(share)


def _with_prior(case: Case, prior: float) -> Case:
    before = math.log(prior / (1 - prior))
    log_odds = max(-30.0, min(30.0, before + _together(case.weights)))
    weights = {"prior": before} | case.weights
    probability = 1 / (1 + math.exp(-log_odds))
    explained = min(one.share for one in case.odd) > 0.5
    cause = "clone" if probability >= 0.5 else "misread" if explained else "open"
    return replace(case, probability=probability, cause=cause, weights=weights)


def _draft(passes: Passes, plate: str) -> Draft:
    looks = passes.looks(plate)[:MOST_LOOKS]
    edges = []
    for i, a in enumerate(looks):
        for j in range(i + 1, len(looks)):
            if looks[j].t - a.t >= NEAR_S:
                break
            if contradicts(passes, a, looks[j]):
                edges.append((i, j))
    return Draft(plate, looks, edges)


def _case(passes: Passes, draft: Draft, crowd: Crowd, before: Mapping[str, Shown]) -> Case | None:
    plate, looks, edges = draft.plate, draft.looks, draft.edges
    if not edges:
        return _clock_case(passes, plate)
    profile = profile_of(looks, before.get(plate, Shown()))
    prices = [odd_of(passes, plate, look, profile, before) for look in looks]
    cover = cover_of(len(looks), edges, [one.clone - one.misread for one in prices])
    companions = companions_of(passes, looks, cover, profile)
    odd = [prices[at] for at in sorted(cover | companions, key=lambda at: looks[at].t)]
    track = 0.0
    for one, then in pairwise(odd):
        track += follows(passes, one.look, then.look)
    single = 0.0
    for at in sorted(cover):
        strength = strength_of(passes, draft, crowd, at)
        single += max(-MOST, min(strength, prices[at].clone - prices[at].misread))
    # Two passes that are hardly wrong, each by the same clock, make no track.
    weights = {"passes": single, "track": min(track, max(0.0, single))}
    makes = second_make(passes.knowledge, looks)
    if makes:
        weights["make"] = makes
    i, j = _strongest(passes, looks, edges)
    a, b = looks[i], looks[j]
    first, second = sorted(
        (a, b), key=lambda one: (passes.stamped[one.index], passes.frame["gcxh"][one.index])
    )
    offset_a, offset_b = (float(passes.stamped[one.index] - one.t) for one in (first, second))
    return Case(
        plate=plate, probability=PRIOR, cause="open", first=first.index, second=second.index,
        odd=tuple(odd), least=float(passes.least[a.gate, b.gate]), gap=b.t - a.t,
        offsets=(offset_a, offset_b),
        makers=(first.maker, second.maker), weights=weights,
    )  # fmt: skip


def _clock_case(passes: Passes, plate: str) -> Case | None:
    """The two passes that are the furthest from a possible trip as they are stamped."""
    low, high = passes.rows[plate]
    least = passes.least
    best: tuple[float, int, int] | None = None
    rows = sorted(range(low, high), key=lambda row: (passes.stamped[row], row))
    for n, i in enumerate(rows):
        for j in rows[n + 1 :]:
            way = least[passes.code[i], passes.code[j]]
            gap = float(passes.stamped[j] - passes.stamped[i])
            if passes.code[i] != passes.code[j] and way > 0 and gap < way:
                best = max(best, (float(way - gap), i, j)) if best else (float(way - gap), i, j)
    if best is None:
        return None
    _, i, j = best
    offsets = float(passes.stamped[i] - passes.t[i]), float(passes.stamped[j] - passes.t[j])
    return Case(
        plate=plate, probability=PRIOR, cause="clock" if any(offsets) else "open", first=i, second=j, odd=(),
        least=float(least[passes.code[i], passes.code[j]]), gap=float(passes.t[j] - passes.t[i]),
        offsets=offsets, makers=(passes.makers[i], passes.makers[j]),
    )  # fmt: skip


def _strongest(passes: Passes, looks: list[Look], edges: list[tuple[int, int]]) -> tuple[int, int]:
    def share(edge: tuple[int, int]) -> tuple[float, int, int]:
        a, b = looks[edge[0]], looks[edge[1]]
        return (b.t - a.t) / passes.least[a.gate, b.gate], *edge

    return min(edges, key=share)
