"""What makes a contradiction weigh less: near misses, clocks that change, and many of them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from kakou.detection.horizon import Look, Passes

# So many other plates that contradict themselves at a gate within the hour, and what a pass there still
# weighs.
_CROWD, _CROWD_S, _CROWDED = 4, 1800.0, 2.0
# Log-odds of a pass that is only just impossible, and how they grow with what is lacking; the noise of a
# stamp; what is doubtful of a change.
_JUST, _STEEP, _NOISE_S, _CHANGE_DOUBT = 1.5, 25.0, 15.0, 0.25
# What one pass weighs at most, in either direction.
MOST: Final = 12.0


@dataclass(frozen=True)
class Draft:
    """A plate's passes, and the pairs of them that contradict each other."""

    plate: str
    looks: list[Look]
    edges: list[tuple[int, int]]


class Crowd:
    """Which plates have contradictions at which gate and when: several at once are a clock's doing."""

    def __init__(self, passes: Passes, drafts: list[Draft]) -> None:
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


def strength_of(passes: Passes, draft: Draft, crowd: Crowd, at: int) -> float:
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
    return min(MOST, most)


def _doubt(passes: Passes, look: Look) -> float:
    """Seconds by which the time of a pass may be off: more where its clock changed, and while it does."""
    gate, stamped = np.array([look.gate]), passes.stamped[[look.index]]
    before, after = (float(passes.clocks.at(gate, stamped, which)[0]) for which in (-1, 1))
    return float(passes.clocks.doubt[look.gate]) + _CHANGE_DOUBT * (
        passes.changed(look) + abs(after - before)
    )
