"""Who may have passed a gate in a second without being read under its own plate, and whether there is such a
vehicle at all."""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

import numpy as np

from kakou.detection.horizon import NEAR_S, Look, Passes, Shown
from kakou.detection.knowledge import Feature, Knowledge
from kakou.detection.misreads import neighbours
from kakou.detection.trips import SAME_READ_SECONDS

DAY_S: Final = 86_400.0
# Some rest on the way: so many, and so long at most.
_TAIL, _TAIL_S = 0.15, 3000.0
_ENDS: Final = 0.3  # of all vehicles at a gate, so many were not seen before, or will not be seen after
# Of the passes of a vehicle, so many are the only one for hours.
_ALONE: Final = 0.3
# A clock that is set right may still be wrong by a tenth of the way.
_ABOUT: Final = 0.9


def presence(passes: Passes, plate: str, look: Look) -> float:
    """How likely the vehicle of ``plate`` passes that gate in that second, unread, given its other passes:
    a density per second."""
    known, past, least = passes.context.knowledge, passes.context.past, passes.context.rules.least
    low, high = passes.rows.get(plate, (0, 0))
    # Its other passes of the trip would have to be unseen, too. What was read once is no plate but a misread.
    usual = past.often.get(plate, 0.0) if past.told else known.passes_a_day
    free = max(usual, float(high - low - 1)) * known.busy[look.gate] / DAY_S * _ALONE
    if low == high:
        return float(free)
    t, code = passes.t[low:high], passes.code[low:high]
    here = np.abs(t - look.t)[code == look.gate]
    if here.size and here.min() <= SAME_READ_SECONDS * 2:
        # It was there. Whoever is read twice is read rightly once and wrongly once now and then.
        return known.confusion.again / (2 * SAME_READ_SECONDS) if here.min() <= SAME_READ_SECONDS else 0.0
    earlier, later = t <= look.t, t > look.t
    before = after = None
    if earlier.any():
        at = int(np.argmax(np.where(earlier, t, -np.inf)))
        if look.t - t[at] <= NEAR_S:
            before = int(code[at]), float(look.t - t[at])
    if later.any():
        at = int(np.argmin(np.where(later, t, np.inf)))
        if t[at] - look.t <= NEAR_S:
            after = int(code[at]), float(t[at] - look.t)
    for one, way in ((before, "in"), (after, "out")):
        if one is None or one[0] == look.gate:
            continue
        needed = least[one[0], look.gate] if way == "in" else least[look.gate, one[0]]
        if needed > 0 and one[1] < needed * _ABOUT:
            return 0.0
    arriving = travel_density(known, before[0], look.gate, before[1]) if before else 0.0
    if before and after and before[0] != look.gate and after[0] != look.gate:
        leaving = travel_density(known, look.gate, after[0], after[1])
        whole = travel_density(known, before[0], after[0], before[1] + after[1])
        chain = arriving * leaving / max(whole, 1e-7)
        return float(max(min(chain, 0.02), free))
    leaving = travel_density(known, look.gate, after[0], after[1]) if after else 0.0
    return float(max(_ENDS * max(arriving, leaving), free))


def travel_density(known: Knowledge, start: int, end: int, seconds: float) -> float:
    """Density (per second) of the next pass at ``end`` after ``seconds``, for a vehicle at ``start``."""
    usual = known.usual[start, end]
    if start == end or seconds <= 0 or not usual > 0:
        return 0.0
    spread = max(known.spread[start, end], 0.06)
    z = math.log(seconds / usual) / spread
    bell = math.exp(-0.5 * z * z) / (seconds * spread * 2.507)
    tail = _TAIL / _TAIL_S if 0 <= seconds - usual <= _TAIL_S else 0.0
    return float(known.follows[start, end] * ((1 - _TAIL) * bell + tail))


class Alive:
    """Which neighbours of a plate are plates of vehicles, and which are nothing but misreads of it.

    A camera that takes a 5 for an S does so with the plate that is judged, too. What it makes of it looks
    like a neighbour that is always where the plate is and has its make. It must not explain the plate's own
    passes.

    Args:
        plate: the one that is judged.
        profile: what it shows, history and horizon together.
    """

    def __init__(self, passes: Passes, plate: str, profile: Shown) -> None:
        self._passes, self._plate, self._profile = passes, plate, profile
        past = passes.context.past
        there = passes.neighbours(plate)
        self._often = {
            one for one in there if _reads(past.shown.get(one, Shown())) + len(_looks(passes, one)) > 1
        }
        # Letters and figures have places of their own on a plate.
        self._texts = {True: 0, False: 0}
        for text in neighbours(plate):
            self._texts[_figure(plate, text)] += 1

    def share(self, other: str, shown: Shown) -> float:
        """How likely a neighbour is a vehicle's plate.

        Args:
            shown: what it shows, history and horizon together.
        """
        known, past = self._passes.context.knowledge, self._passes.context.past
        rate = known.confusion.of(self._plate, other)
        kind = _figure(self._plate, other)
        used = sum(_figure(self._plate, one) == kind for one in self._often - {other})
        # Log-odds of nothing but misreads.
        odds = -math.log((used + 0.5) / (self._texts[kind] + 1))
        if past.told:
            count = _reads(past.shown.get(other, Shown()))
            wrong = _reads(past.shown.get(self._plate, Shown())) * rate
            odds += _geometric(count, wrong) - _geometric(count, known.passes_a_day)
        for look in _looks(self._passes, other):
            real = known.passes_a_day * known.busy[look.gate] / DAY_S
            odds += math.log(max(rate * self._near(look), 1e-30) / real)
        odds += _alike(known.make, shown.makes, self._profile.makes)
        odds += _alike(known.type, shown.types, self._profile.types)
        return 1 / (1 + math.exp(max(-50.0, min(50.0, odds))))

    def _near(self, look: Look) -> float:
        """How likely one of the vehicles under the plate passes there in that second: each of its passes may
        be that of another one."""
        passes, known = self._passes, self._passes.context.knowledge
        low, high = passes.rows[self._plate]
        best = float((high - low) * known.busy[look.gate]) / DAY_S
        gaps = look.t - passes.t[low:high]
        for at in np.flatnonzero(np.abs(gaps) <= NEAR_S):
            gate, gap = int(passes.code[low + at]), float(gaps[at])
            if gate == look.gate and abs(gap) <= SAME_READ_SECONDS:
                best = max(best, known.confusion.again / (2 * SAME_READ_SECONDS))
            elif 0 <= gate != look.gate:
                way = (gate, look.gate) if gap > 0 else (look.gate, gate)
                best = max(best, _ENDS * travel_density(known, *way, abs(gap)))
        return best


def _looks(passes: Passes, plate: str) -> list[Look]:
    return passes.looks(plate) if plate in passes.rows else []


def _reads(shown: Shown) -> int:
    return max(shown.makes.total(), shown.types.total())


def _figure(plate: str, other: str) -> bool:
    """Whether the sign that differs is a figure in ``other``."""
    return any(a != b and b.isdigit() for a, b in zip(plate, other, strict=True))


def _geometric(count: int, mean: float) -> float:
    """Logarithm of the probability of a count whose rate differs from case to case."""
    return count * math.log(max(mean, 1e-9)) - (count + 1) * math.log1p(mean)


def _alike(feature: Feature, shown: Counter[str], own: Counter[str]) -> float:
    """Log-odds that a neighbour shows what the plate does because it is the plate."""
    if not shown:
        return 0.0
    value = max(sorted(shown), key=lambda one: shown[one])
    return math.log(feature.density(value, own) / feature.common(value))
