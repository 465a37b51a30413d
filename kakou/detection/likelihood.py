"""How likely a read under a plate is, at a gate and in a second, if it is somebody else's."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from kakou.detection.horizon import NEAR_S, Look, Passes, Shown
from kakou.detection.knowledge import Feature, Knowledge
from kakou.detection.trips import SAME_READ_SECONDS

_CLONE_PASSES: Final = 6.0
# Of two cars under one plate so many have the same make, whatever the share of the make.
_SAME_MAKE: Final = 0.4
_SAME_TYPE: Final = 0.9
# Log-odds of a foreign make: of one more read, and of all of them, as a camera may err about one car again.
_MAKE, MOST_OF_MAKES = 3.0, 6.0
_DAY_S: Final = 86_400.0
# Some rest on the way: so many, and so long at most.
_TAIL, _TAIL_S = 0.15, 3000.0
_ENDS: Final = 0.3  # of all vehicles at a gate, so many were not seen before, or will not be seen after


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


def profile_of(looks: list[Look], before: Shown) -> Shown:
    """What the plate shows, history and horizon together."""
    makes, types = Counter(one.maker for one in looks if one.maker), Counter(o.type for o in looks if o.type)
    return before + Shown(makes, types)


def companions_of(
    looks: list[Look], edges: set[tuple[int, int]], cover: set[int], profile: Shown
) -> set[int]:
    """Passes that contradict none of the odd ones but show their make, which is foreign to the owner."""
    makes = profile.makes
    own = max(sorted(makes), key=lambda maker: makes[maker], default=None)
    foreign = {looks[at].maker for at in cover} - {own, None}
    return {
        at for at, look in enumerate(looks)
        if at not in cover and look.maker in foreign
        and not any((min(at, other), max(at, other)) in edges for other in cover)
    }  # fmt: skip


def second_make(knowledge: Knowledge, looks: list[Look]) -> float:
    """Log-odds of a second make that shows again and again; once is a misread or a camera's mistake."""
    counts = Counter(look.maker for look in looks if look.maker)
    if len(counts) < 2:
        return 0.0
    (_, _), (maker, again) = sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:2]
    return min(MOST_OF_MAKES, (again - 1) * _foreign(knowledge, maker))


def _foreign(knowledge: Knowledge, maker: str) -> float:
    """Log-odds of one more read of a foreign make, if a second car has it, against a camera's mistake."""
    mistake = knowledge.make.wrong * max(knowledge.make.common(maker), 0.01) * 2
    return min(_MAKE, math.log(0.3 / mistake))


def odds_of(passes: Passes, plate: str, looks: list[Look], profile: Shown) -> list[Odd]:
    """Densities of each pass of a plate, if it is somebody else's.

    Args:
        profile: what the plate shows, with these passes.
    """
    past = passes.context.past.shown
    others = {other: past.get(other, Shown()) + passes.shown(other) for other in passes.neighbours(plate)}
    return [_odd(passes, plate, look, profile, others) for look in looks]


def _odd(passes: Passes, plate: str, look: Look, profile: Shown, others: Mapping[str, Shown]) -> Odd:
    known = passes.context.knowledge
    base = known.busy[look.gate] / _DAY_S
    anyone = known.make.common(look.maker) * known.type.common(look.type)
    owner = profile.without(look)  # itself says nothing about the owner
    clone = _CLONE_PASSES * base
    clone *= _either(_SAME_MAKE, known.make, look.maker, owner.makes)
    # The plate that is copied says what it is: a bus is no car.
    clone *= _either(_SAME_TYPE, known.type, look.type, owner.types)
    # From a plate that nobody saw in the horizon.
    total = background = known.confusion.misread * 0.02 * base * anyone
    best, neighbour = background, None
    for other, shown in others.items():
        rate = known.confusion.of(other, plate)
        density = rate * _presence(passes, other, look)
        density *= known.make.density(look.maker, shown.makes) * known.type.density(look.type, shown.types)
        total += density
        if density > best:
            best, neighbour = density, other
    return Odd(look, math.log(clone), math.log(total), neighbour, best / total if neighbour else 0.0)


def _either(same: float, feature: Feature, value: str | None, owner: Counter[str]) -> float:
    """How likely a second vehicle shows ``value``, that has the owner's with probability ``same``."""
    return same * feature.density(value, owner) + (1 - same) * feature.common(value)


def _presence(passes: Passes, plate: str, look: Look) -> float:
    """How likely the vehicle of ``plate`` passes that gate in that second, unread, given its other passes."""
    known, past, least = passes.context.knowledge, passes.context.past, passes.context.rules.least
    low, high = passes.rows.get(plate, (0, 0))
    # Its other passes of the trip would have to be unseen, too. What was read once is no plate but a misread.
    usual = past.often.get(plate, 0.0) if past.told else known.passes_a_day
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
        if needed > 0 and one[1] < needed * 0.9:
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


def follows(known: Knowledge, before: Look, look: Look, apart: bool) -> float:
    """Log-odds that a pass follows another as one vehicle's do, against any moment of the day.

    Args:
        apart: whether the two contradict each other.
    """
    base = _CLONE_PASSES * known.busy[look.gate] / _DAY_S
    gap = look.t - before.t
    if gap > NEAR_S or before.gate == look.gate:
        return 0.0
    if apart:
        return -6.0  # a third vehicle
    density = 0.7 * _travel_density(known, before.gate, look.gate, gap) + 0.3 * base
    return max(-1.2, min(5.0, math.log(float(density / base))))
