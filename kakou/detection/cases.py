"""From contradictions to one verdict for each plate, by weighing what could have caused them.

A case is a plate whose passes one vehicle cannot have made. Four causes are weighed against each other, each
by how likely it makes just these passes:

* **clock**: after the offsets of the gates are taken out, the trip is possible. Nothing is left to explain.
* **misread**: the odd passes are those of other vehicles whose plates differ in one character. What speaks
  for it is a neighbour that is under way to that gate at that moment and was not read there, the confusion of
  just these two characters, and its make; and that the neighbour is no misread of the plate itself.
* **two vehicles**: the odd passes are one more vehicle's. What speaks for it is that they follow each other
  as the passes of one vehicle do, that they show one make, that nobody else can have made them, and that the
  history shows two makes under the plate.
* else **undecided**.

The odd passes are the cheapest set that leaves no contradiction, with those that show the same foreign make.
Densities are per second: how likely is a read under this plate, at this gate, in this second, under each
cause.

What lies far apart in time tells nothing of each other, so a case is judged in episodes (``episodes.py``).
One is a function of the *set* of its passes, so order and repetition change nothing, and the stream, which
soon forgets, comes to the same verdict as a look at the whole day. What the episodes of a plate say adds up.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from kakou.detection.cover import cover_of
from kakou.detection.crowds import Crowd
from kakou.detection.doubts import CROWDED, MOST, strength_of
from kakou.detection.horizon import MOST_LOOKS, Look, Passes, Shown, pairs_near
from kakou.detection.likelihood import (
    MOST_OF_MAKES,
    Odd,
    companions_of,
    follows,
    makes_before,
    odds_of,
    profile_of,
    second_make,
)
from kakou.detection.weighing import Weighing

# A wrong clock, or a make that a camera takes for another, is one cause however many episodes show it.
_MOST_OF_ALL: Final = {"crowd": CROWDED, "make": MOST_OF_MAKES}
# Episodes further apart than this make another case of the plate.
CASE_S: Final = 86_400


@dataclass(frozen=True)
class Episode:
    """What the passes around some contradictions of a plate say.

    Attributes:
        plate: its text.
        looks: the passes, by right time.
        odd: those that are somebody else's; none where the clocks explain everything.
        first, second: the two that contradict each other most, by stamped (time, id).
        least: seconds that the trip between the two takes at least.
        gap: seconds between the two, clocks set right.
        weights: log-odds by reason.
        left_out: passes that are no longer among ``looks``.
    """

    plate: str
    looks: tuple[Look, ...]
    odd: tuple[Odd, ...]
    first: Look
    second: Look
    least: float
    gap: float
    weights: dict[str, float]
    left_out: int = 0

    @property
    def told(self) -> tuple[Look, ...]:
        """The passes that are told of: the two, and those that are somebody else's."""
        return (self.first, self.second, *(one.look for one in self.odd))

    @property
    def begin(self) -> int:
        """Stamped time of the oldest pass that is told of."""
        return min(self._times)

    @property
    def last(self) -> int:
        """Stamped time of the newest pass that is told of."""
        return max(self._times)

    @property
    def _times(self) -> list[int]:
        return [look.row.t for look in self.told]

    @property
    def lacking(self) -> tuple[bool, float]:
        """The greater, the more the two contradict each other."""
        return bool(self.odd), -self.gap / self.least


@dataclass(frozen=True)
class Case:
    """What is known of one plate.

    Attributes:
        episodes: by time.
        probability: that two vehicles drive under it.
        cause: ``clock``, ``misread``, ``clone`` or ``open``.
        weights: log-odds by reason, of all episodes together.
    """

    episodes: tuple[Episode, ...]
    probability: float
    cause: str
    weights: dict[str, float]

    @property
    def plate(self) -> str:
        return self.episodes[0].plate

    @property
    def odd(self) -> tuple[Odd, ...]:
        """The passes that are somebody else's."""
        return tuple(one for episode in self.episodes for one in episode.odd)

    @property
    def strongest(self) -> Episode:
        """The one whose contradiction is shown."""
        return max(self.episodes, key=lambda one: one.lacking)


def chained(episodes: Sequence[Episode]) -> list[list[Episode]]:
    """Episodes of a plate by time, put together to cases: those at most ``CASE_S`` apart."""
    found: list[list[Episode]] = []
    for episode in episodes:
        if found and episode.begin - found[-1][-1].last <= CASE_S:
            found[-1].append(episode)
        else:
            found.append([episode])
    return found


def judge_case(episodes: Sequence[Episode], weighing: Weighing) -> Case:
    """The verdict on a plate, from its episodes by time."""
    total = Counter[str]()
    for episode in episodes:
        total.update(episode.weights)
    weights = {reason: min(weight, _MOST_OF_ALL.get(reason, math.inf)) for reason, weight in total.items()}
    if "before" in weights:
        # All episodes have one history behind them.
        weights["before"] = max(one.weights.get("before", 0.0) for one in episodes)
    odd = [one for episode in episodes for one in episode.odd]
    if not odd:
        shifted = any(look.row.t - look.t for one in episodes for look in (one.first, one.second))
        return Case(tuple(episodes), weighing.prior, "clock" if shifted else "open", {})
    probability = weighing.probability(weights.values())
    explained = min(one.share for one in odd) > 0.5
    cause = "clone" if probability >= weighing.call_at else "misread" if explained else "open"
    return Case(tuple(episodes), probability, cause, {"prior": weighing.before} | weights)


def judge_episode(passes: Passes, plate: str, crowd: Crowd) -> Episode | None:
    """What the passes of a plate around some contradictions say; None where nothing contradicts.

    Args:
        passes: those of the plate and of its neighbours.
        crowd: contradictions of all plates about then.
    """
    if plate not in passes.rows:
        return None
    looks = passes.looks(plate)[:MOST_LOOKS]
    edges = pairs_near(passes, looks) if len(looks) > 1 else []
    if not edges:
        return _clock_episode(passes, plate, looks)
    known = passes.context.knowledge
    past = passes.context.past.shown.get(plate, Shown())
    profile = profile_of(looks, past)
    prices = odds_of(passes, plate, looks, profile)
    cover = cover_of(len(looks), edges, [one.clone - one.misread for one in prices])
    apart = set(edges)
    companions = companions_of(looks, apart, cover, profile)
    # Looks are by time, and so are their indices.
    taken = sorted(cover | companions)
    track = sum(follows(known, looks[a], looks[b], (a, b) in apart) for a, b in pairwise(taken))
    edges_at: dict[int, list[tuple[int, int]]] = {at: [] for at in cover}
    for edge in edges:
        for at in cover.intersection(edge):
            edges_at[at].append(edge)
    single = doubted = 0.0
    for at in sorted(cover):
        strength, in_crowd = strength_of(passes, plate, looks, edges_at[at], crowd)
        weight = max(-MOST, min(strength, prices[at].clone - prices[at].misread))
        single, doubted = (single, doubted + weight) if in_crowd else (single + weight, doubted)
    # Passes that are hardly wrong, all by the same clock, make no track.
    weights = {"passes": single, "track": min(track, max(0.0, single))}
    if doubted:
        weights["crowd"] = doubted
    makes = second_make(known, looks)
    if makes:
        weights["make"] = makes
    before = makes_before(known, past)
    if before > 0:
        weights["before"] = before
    i, j = _strongest(passes, looks, edges)
    a, b = looks[i], looks[j]
    first, second = sorted((a, b), key=lambda look: look.row)
    return Episode(
        plate, tuple(looks), tuple(prices[at] for at in taken), first, second,
        least=float(passes.context.rules.least[a.gate, b.gate]), gap=b.t - a.t, weights=weights,
    )  # fmt: skip


def _clock_episode(passes: Passes, plate: str, looks: list[Look]) -> Episode | None:
    """The two passes that are the furthest from a possible trip as they are stamped."""
    low, high = passes.rows[plate]
    least = passes.context.rules.least
    best: tuple[float, int, int] | None = None
    for i in range(low, high):
        for j in range(i + 1, high):
            a, b, gap = passes.code[i], passes.code[j], float(passes.stamped[j] - passes.stamped[i])
            way = float(least[a, b]) if min(a, b) >= 0 and a != b else 0.0
            if way > 0 and gap < way:
                best = max(best, (way - gap, i, j)) if best else (way - gap, i, j)
    if best is None:
        return None
    _, i, j = best
    first, second = passes.look(i), passes.look(j)
    return Episode(
        plate, tuple(looks), (), first, second, least=float(least[first.gate, second.gate]),
        gap=second.t - first.t, weights={},
    )  # fmt: skip


def _strongest(passes: Passes, looks: list[Look], edges: list[tuple[int, int]]) -> tuple[int, int]:
    def share(edge: tuple[int, int]) -> tuple[float, int, int]:
        a, b = looks[edge[0]], looks[edge[1]]
        return (b.t - a.t) / passes.context.rules.least[a.gate, b.gate], *edge

    return min(edges, key=share)
