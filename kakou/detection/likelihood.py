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
from kakou.detection.presence import DAY_S, Alive, presence, travel_density

_CLONE_PASSES: Final = 6.0
# Of two cars under one plate so many have the same make, whatever the share of the make.
_SAME_MAKE: Final = 0.4
_SAME_TYPE: Final = 0.9
# So many plates have moved to a car of another make within a history; so many clones are of another make and
# drove before today.
_MOVED: Final = 0.01
_TWO_BEFORE: Final = (1 - _SAME_MAKE) * 0.5
# Log-odds of a foreign make: of one more read, and of all of them, as a camera may err about one car again.
_MAKE, MOST_OF_MAKES = 3.0, 6.0


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


def makes_before(knowledge: Knowledge, past: Shown) -> float:
    """Log-odds of the two makes that a history shows most often under a plate.

    A camera that takes one make for another makes a small share of the reads foreign, a second vehicle any
    share. Each share is weighed by how likely it gives just these counts.
    """
    counts = [*sorted(past.makes.values(), reverse=True), 0, 0]
    most, second = counts[:2]
    if not most:
        return 0.0
    shares = np.arange(0.0025, 0.5, 0.005)
    mistakes = np.exp(-shares / knowledge.make.wrong)
    mistakes /= mistakes.sum()
    any_share = 1 / len(shares)
    honest = (1 - _MOVED) * mistakes + _MOVED * any_share
    clone = _TWO_BEFORE * any_share + (1 - _TWO_BEFORE) * honest
    logs = second * np.log(shares) + most * np.log(1 - shares)
    given = np.exp(logs - logs.max())
    return float(np.log((clone * given).sum() / (honest * given).sum()))


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
    alive = Alive(passes, plate, profile)
    real = {other: alive.share(other, shown) for other, shown in others.items()}
    return [_odd(passes, plate, look, profile, others, real) for look in looks]


def _odd(
    passes: Passes, plate: str, look: Look, profile: Shown, others: Mapping[str, Shown],
    real: Mapping[str, float],
) -> Odd:  # fmt: skip
    known = passes.context.knowledge
    base = known.busy[look.gate] / DAY_S
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
        density = real[other] * rate * presence(passes, other, look)
        density *= known.make.density(look.maker, shown.makes) * known.type.density(look.type, shown.types)
        total += density
        if density > best:
            best, neighbour = density, other
    return Odd(look, math.log(clone), math.log(total), neighbour, best / total if neighbour else 0.0)


def _either(same: float, feature: Feature, value: str | None, owner: Counter[str]) -> float:
    """How likely a second vehicle shows ``value``, that has the owner's with probability ``same``."""
    return same * feature.density(value, owner) + (1 - same) * feature.common(value)


def follows(known: Knowledge, before: Look, look: Look, apart: bool) -> float:
    """Log-odds that a pass follows another as one vehicle's do, against any moment of the day.

    Args:
        apart: whether the two contradict each other.
    """
    base = _CLONE_PASSES * known.busy[look.gate] / DAY_S
    gap = look.t - before.t
    if gap > NEAR_S or before.gate == look.gate:
        return 0.0
    if apart:
        return -6.0  # a third vehicle
    density = 0.7 * travel_density(known, before.gate, look.gate, gap) + 0.3 * base
    return max(-1.2, min(5.0, math.log(float(density / base))))
