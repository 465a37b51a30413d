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
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kakou.detection.clocks import Clocks
from kakou.detection.knowledge import Knowledge
from kakou.detection.misreads import Neighbourhood
from kakou.detection.trips import SAME_READ_SECONDS

# Share of plates that two cars drive under on a day, before anything is seen, and how many plates that is
# worth.
PRIOR, PRIOR_PLATES = 0.001, 2000
_EM_ROUNDS: Final = 30
# Reasons are not as independent as their sum would have it, and no likelihood is quite right: together they
# count for so much of their sum.
_TEMPER: Final = 0.8
# Log-odds of a foreign make: of one more read, and of all of them, as a camera may err about one car again.
_MAKE, _MAKES = 3.0, 6.0
# A clock that has changed by more than this is known to a tenth of the change.
_CHANGED_S, _DOUBT = 40.0, 0.12
# Log-odds of a pass that is only just impossible, and how they grow with what is lacking; the noise of a
# stamp.
# So many other plates that contradict themselves at a gate within the hour, and what a pass there still
# weighs.
_CROWD, _CROWD_S, _CROWDED = 4, 1800.0, 2.0
_JUST, _STEEP, _NOISE_S, _CHANGE_DOUBT = 1.5, 25.0, 15.0, 0.25
_CLONE_PASSES: Final = 6.0
# Of two cars under one plate so many have the same make, whatever the share of the make.
_SAME_MAKE: Final = 0.4
_DAY_S: Final = 86_400.0
_NEAR_S: Final = 7200
_TAIL: Final = 0.15
_TAIL_S: Final = 3000.0
_ENDS: Final = 0.3  # of all vehicles at a gate, so many were not seen before, or will not be seen after
_MOST: Final = 64
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Look:
    """One pass of a case, its time set right."""

    index: int
    gate: int
    t: float
    maker: str | None


@dataclass(frozen=True)
class Odd:
    """A pass that does not belong to the plate's own vehicle, and what may have caused it.

    ``clone`` and ``misread`` are logarithms of densities; ``neighbour`` is the plate that explains it best,
    if any does.
    """

    look: Look
    clone: float
    misread: float
    neighbour: str | None
    share: float


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


class Passes:
    """The passes of the horizon, by plate: what a case is judged by.

    Args:
        whole: ``gcxh, kkmc, hphm, hpzl, clppxh, code, t`` by (plate, time, id), on time, each id once.
        least: shortest honest seconds by (from, to) code; NaN where nothing is known.
        before: passes a day of the plates that the history knows.
    """

    def __init__(
        self,
        whole: pl.DataFrame,
        knowledge: Knowledge,
        clocks: Clocks,
        least: Floats,
        before: Mapping[str, float] | None = None,
    ) -> None:
        self.frame = whole
        self.least = least
        self.knowledge = knowledge
        self.clocks = clocks
        self.code = whole["code"].to_numpy()
        self.stamped = whole["t"].to_numpy()
        self.t = self.stamped - clocks.at(self.code, self.stamped)
        self.makers = [_maker(text) for text in whole["clppxh"].to_list()]
        plates = whole["hphm"].to_list()
        self.rows: dict[str, tuple[int, int]] = {}
        start = 0
        for at in range(1, len(plates) + 1):
            if at == len(plates) or plates[at] != plates[start]:
                self.rows[plates[start]] = (start, at)
                start = at
        self.before = before or {}
        self.neighbourhood = Neighbourhood([*self.rows, *self.before])

    def looks(self, plate: str) -> list[Look]:
        """Passes of a plate by time, those that a gate read twice taken once."""
        low, high = self.rows[plate]
        order = sorted(range(low, high), key=lambda row: (self.t[row], row))
        found: list[Look] = []
        for row in order:
            gate, t = int(self.code[row]), float(self.t[row])
            if gate < 0 or any(one.gate == gate and t - one.t <= SAME_READ_SECONDS for one in found[-3:]):
                continue
            found.append(Look(row, gate, t, self.makers[row]))
        return found


def judge_cases(passes: Passes, plates: list[str], makers_before: dict[str, Counter[str]]) -> list[Case]:
    """One case for each plate with a contradiction.

    Args:
        passes: all passes of the horizon.
        plates: those that have one.
        makers_before: makers that the history shows for these plates and for their neighbours.
    """
    drafts = [_draft(passes, plate) for plate in sorted(plates)]
    crowd = Crowd(passes, drafts)
    found = [_case(passes, draft, crowd, makers_before) for draft in drafts]
    cases = [case for case in found if case is not None]
    prior = _prior(len(passes.rows), [_together(case.weights) for case in cases if case.odd])
    return [_with_prior(case, prior) if case.odd else case for case in cases]


@dataclass(frozen=True)
class _Draft:
    """A plate's passes, and the pairs of them that contradict each other."""

    plate: str
    looks: list[Look]
    edges: list[tuple[int, int]]


class Crowd:
    """Which plates have contradictions at which gate and when: several at once are a clock's doing."""

    def __init__(self, passes: Passes, drafts: list[_Draft]) -> None:
        self._plates: dict[tuple[int, int], set[str]] = {}
        for draft in drafts:
            for at in {at for edge in draft.edges for at in edge}:
                look = draft.looks[at]
                self._plates.setdefault((look.gate, int(look.t // _CROWD_S)), set()).add(draft.plate)

    def size(self, look: Look, plate: str) -> int:
        """Other plates with a contradiction at that gate about then."""
        slot = int(look.t // _CROWD_S)
        near = (self._plates.get((look.gate, slot + shift), set()) for shift in (-1, 0, 1))
        return len(set().union(*near) - {plate})


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


def contradicts(passes: Passes, a: Look, b: Look) -> bool:
    """True if one vehicle cannot have made both. Where a clock may just have jumped, both its times count."""
    start, end = (a, b) if a.t <= b.t else (b, a)
    if start.gate == end.gate:
        return False
    gates, stamps = np.array([start.gate, end.gate]), passes.stamped[[start.index, end.index]]
    right = np.array([start.t, end.t])
    changed = np.abs(stamps - right - passes.knowledge.constant[gates])
    slack = float((_DOUBT * changed[changed > _CHANGED_S]).sum())
    if not _impossible(passes, gates, (start.t, end.t), slack):
        return False
    for which in (-1, 1):
        around = stamps - passes.clocks.at(gates, stamps, which)
        for times in (around[0], right[1]), (right[0], around[1]), (around[0], around[1]):
            if not _impossible(passes, gates, times, slack):
                return False
    return True


def _impossible(passes: Passes, gates: Ints, times: Sequence[float], slack: float) -> bool:
    """True if nobody is at both gates at these times."""
    start, end = (0, 1) if times[0] <= times[1] else (1, 0)
    return bool(abs(times[1] - times[0]) + slack < passes.least[gates[start], gates[end]])


def _draft(passes: Passes, plate: str) -> _Draft:
    looks = passes.looks(plate)[:_MOST]
    edges = [
        (i, j)
        for i in range(len(looks)) for j in range(i + 1, len(looks))
        if looks[j].t - looks[i].t < _NEAR_S and contradicts(passes, looks[i], looks[j])
    ]  # fmt: skip
    return _Draft(plate, looks, edges)


def _case(passes: Passes, draft: _Draft, crowd: Crowd, makers_before: dict[str, Counter[str]]) -> Case | None:
    plate, looks, edges = draft.plate, draft.looks, draft.edges
    if not edges:
        return _clock_case(passes, plate)
    profile = _profile(passes, plate, looks, makers_before)
    prices = [_odd(passes, plate, look, profile, makers_before) for look in looks]
    cover = _cover(len(looks), edges, [one.clone - one.misread for one in prices])
    companions = _companions(passes, looks, cover, profile)
    odd = [prices[at] for at in sorted(cover | companions, key=lambda at: looks[at].t)]
    track = 0.0
    for before, one in pairwise(odd):
        track += _follows(passes, before.look, one.look)
    single = 0.0
    for at in sorted(cover):
        strength = _strength(passes, draft, crowd, at)
        single += max(-12.0, min(strength, prices[at].clone - prices[at].misread))
    # Two passes that are hardly wrong, each by the same clock, make no track.
    weights = {"passes": single, "track": min(track, max(0.0, single))}
    makes = _second_make(passes.knowledge, looks)
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


def _profile(passes: Passes, plate: str, looks: list[Look], before: dict[str, Counter[str]]) -> Counter[str]:
    """Makers that the plate shows, history and horizon together."""
    return before.get(plate, Counter()) + Counter(one.maker for one in looks if one.maker)


def _companions(passes: Passes, looks: list[Look], cover: set[int], profile: Counter[str]) -> set[int]:
    """Passes that contradict nothing but show the make of the odd ones, which is foreign to the owner."""
    own = max(sorted(profile), key=lambda maker: profile[maker], default=None)
    foreign = {looks[at].maker for at in cover} - {own, None}
    return {
        at for at, look in enumerate(looks)
        if at not in cover and look.maker in foreign
        and not any(contradicts(passes, look, looks[other]) for other in cover)
    }  # fmt: skip


def _second_make(knowledge: Knowledge, looks: list[Look]) -> float:
    """Log-odds of a second make that shows again and again; once is a misread or a camera's mistake."""
    counts = Counter(look.maker for look in looks if look.maker)
    if len(counts) < 2:
        return 0.0
    (_, _), (maker, again) = sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:2]
    return min(_MAKES, (again - 1) * _foreign(knowledge, maker))


def _foreign(knowledge: Knowledge, maker: str) -> float:
    """Log-odds of one more read of a foreign make, if a second car has it, against a camera's mistake."""
    mistake = knowledge.brand_wrong * max(knowledge.brand_share.get(maker, 0.0), 0.01) * 2
    return min(_MAKE, math.log(0.3 / mistake))


def _maker_density(knowledge: Knowledge, maker: str | None, profile: Counter[str]) -> float:
    """How likely a read shows ``maker`` if the vehicle is the one of ``profile``; 1 where none was read."""
    if maker is None:
        return 1.0
    share = max(knowledge.brand_share.get(maker, 0.0), 0.002)
    total = sum(profile.values())
    if not total:
        return share
    own = profile[maker] / total
    certain = total / (total + 0.5)
    wrong = knowledge.brand_wrong
    return certain * ((1 - wrong) * own + wrong * share) + (1 - certain) * share


def _odd(
    passes: Passes, plate: str, look: Look, profile: Counter[str], before: dict[str, Counter[str]]
) -> Odd:
    """Densities of one pass, if it is somebody else's."""
    known = passes.knowledge
    base = known.busy[look.gate] / _DAY_S
    share = max(known.brand_share.get(look.maker or "", 0.0), 0.002)
    others = profile.copy()
    if look.maker:
        others[look.maker] -= 1  # itself says nothing about the owner
    same = _maker_density(known, look.maker, +others)
    clone = _CLONE_PASSES * base * (_SAME_MAKE * same + (1 - _SAME_MAKE) * (share if look.maker else 1.0))
    # From a plate that nobody saw in the horizon.
    total = background = known.confusion.misread * 0.02 * base * (share if look.maker else 1.0)
    best, neighbour = background, None
    for other in passes.neighbourhood.of(plate):
        rate = known.confusion.of(other, plate)
        density = rate * _presence(passes, other, look)
        makers = before.get(other, Counter()) + _makers_of(passes, other)
        density *= _maker_density(known, look.maker, makers)
        total += density
        if density > best:
            best, neighbour = density, other
    return Odd(look, math.log(clone), math.log(total), neighbour, best / total if neighbour else 0.0)


def _makers_of(passes: Passes, plate: str) -> Counter[str]:
    low, high = passes.rows.get(plate, (0, 0))
    return Counter(maker for maker in passes.makers[low:high] if maker)


def _presence(passes: Passes, plate: str, look: Look) -> float:
    """How likely the vehicle of ``plate`` passes that gate in that second, unread, given its other passes."""
    known = passes.knowledge
    low, high = passes.rows.get(plate, (0, 0))
    # Its other passes of the trip would have to be unseen, too. What was read once is no plate but a misread.
    usual = passes.before.get(plate, 0.0) if passes.before else known.passes_a_day
    free = max(usual, float(high - low - 1)) * known.busy[look.gate] / _DAY_S * 0.3
    if low == high:
        return float(free)
    t, code = passes.t[low:high], passes.code[low:high]
    if ((code == look.gate) & (np.abs(t - look.t) <= SAME_READ_SECONDS * 2)).any():
        return 0.0
    earlier, later = t <= look.t, t > look.t
    before = after = None
    if earlier.any():
        at = int(np.argmax(np.where(earlier, t, -np.inf)))
        if look.t - t[at] <= _NEAR_S:
            before = int(code[at]), float(look.t - t[at])
    if later.any():
        at = int(np.argmin(np.where(later, t, np.inf)))
        if t[at] - look.t <= _NEAR_S:
            after = int(code[at]), float(t[at] - look.t)
    for one, way in ((before, "in"), (after, "out")):
        if one is None or one[0] == look.gate:
            continue
        least = passes.least[one[0], look.gate] if way == "in" else passes.least[look.gate, one[0]]
        if least > 0 and one[1] < least * 0.9:
            return 0.0
    arriving = _travel_density(known, before[0], look.gate, before[1]) if before else 0.0
    if before and after and before[0] != look.gate and after[0] != look.gate:
        leaving = _travel_density(known, look.gate, after[0], after[1])
        whole = _travel_density(known, before[0], after[0], before[1] + after[1])
        chain = arriving * leaving / max(whole, 1e-7)
        return float(max(min(chain, 0.02), free))
    leaving = _travel_density(known, look.gate, after[0], after[1]) if after else 0.0
    return float(max(_ENDS * max(arriving, leaving), free))


def _travel_density(known: Knowledge, start: int, end: int, seconds: float) -> float:
    """Density (per second) of the next pass at ``end`` after ``seconds``, for a vehicle at ``start``."""
    usual = known.usual[start, end]
    if start == end or seconds <= 0 or not usual > 0:
        return 0.0
    spread = max(known.spread[start, end], 0.06)
    z = math.log(seconds / usual) / spread
    bell = math.exp(-0.5 * z * z) / (seconds * spread * 2.507)
    tail = _TAIL / _TAIL_S if 0 <= seconds - usual <= _TAIL_S else 0.0
    return float(known.follows[start, end] * ((1 - _TAIL) * bell + tail))


def _follows(passes: Passes, before: Look, look: Look) -> float:
    """Log-odds that a pass follows another as one vehicle's do, against any moment of the day."""
    known = passes.knowledge
    base = _CLONE_PASSES * known.busy[look.gate] / _DAY_S
    gap = look.t - before.t
    if gap > _NEAR_S or before.gate == look.gate:
        return 0.0
    if contradicts(passes, before, look):
        return -6.0  # a third vehicle
    density = 0.7 * _travel_density(known, before.gate, look.gate, gap) + 0.3 * base
    return max(-1.2, min(5.0, math.log(float(density / base))))


def _cover(size: int, edges: list[tuple[int, int]], price: list[float]) -> set[int]:
    """The cheapest set of passes that leaves no contradiction; a pass that is easily misread is cheap.

    Exact for each small group of contradictions that hang together, greedy for a large one.
    """
    near: dict[int, set[int]] = {}
    for i, j in edges:
        near.setdefault(i, set()).add(j)
        near.setdefault(j, set()).add(i)
    cost = [max(0.05, 4.0 + max(-12.0, min(12.0, one))) for one in price]
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
        found |= _exact(sorted(group), near, cost) if len(group) <= 14 else _greedy(group, near, cost)
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


def _strength(passes: Passes, draft: _Draft, crowd: Crowd, at: int) -> float:
    """The most that a pass can weigh: little where its trips are only just too fast, as somebody is the
    fastest, where a clock that changed leaves doubt, and where many plates contradict themselves at once."""
    most = 0.0
    for edge in draft.edges:
        if at in edge:
            a, b = (draft.looks[one] for one in edge)
            doubt = _NOISE_S + sum(_doubt(passes, one) for one in (a, b))
            share = (b.t - a.t + doubt) / float(passes.least[a.gate, b.gate])
            weight = _JUST + _STEEP * max(0.0, 1 - share)
            others = max(crowd.size(one, draft.plate) for one in (a, b))
            most = max(most, weight if others < _CROWD else min(weight, _CROWDED))
    return min(12.0, most)


def _doubt(passes: Passes, look: Look) -> float:
    """Seconds by which the time of a pass may be off: more where its clock changed, and while it does."""
    gate, stamped = np.array([look.gate]), passes.stamped[[look.index]]
    before, after = (float(passes.clocks.at(gate, stamped, which)[0]) for which in (-1, 1))
    off = abs(float(stamped[0]) - look.t - float(passes.knowledge.constant[look.gate]))
    changed = _CHANGE_DOUBT * (off if off > _CHANGED_S else 0.0)
    return float(passes.clocks.doubt[look.gate]) + changed + _CHANGE_DOUBT * abs(after - before)


def _strongest(passes: Passes, looks: list[Look], edges: list[tuple[int, int]]) -> tuple[int, int]:
    def share(edge: tuple[int, int]) -> tuple[float, int, int]:
        a, b = looks[edge[0]], looks[edge[1]]
        return (b.t - a.t) / passes.least[a.gate, b.gate], *edge

    return min(edges, key=share)


def _maker(text: str | None) -> str | None:
    maker = (text or "").strip().partition("牌")[0].strip()
    return None if maker in ("", "-") else maker
