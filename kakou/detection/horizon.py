"""The passes that a case is judged by, their times set right, and which of them contradict each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kakou.detection.clocks import Clocks
from kakou.detection.knowledge import Knowledge
from kakou.detection.misreads import Neighbourhood
from kakou.detection.trips import SAME_READ_SECONDS
from kakou.detection.verdicts import brand_of, value_of

# Passes further apart than this tell nothing of each other.
NEAR_S: Final = 7200
# A clock that has changed by more than this is known to a part of the change.
_CHANGED_S, _DOUBT = 40.0, 0.12
# A plate with more passes is no vehicle but a reading error that repeats; the rest is not looked at.
MOST_LOOKS: Final = 1_000
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Look:
    """One pass of a case, its time set right."""

    index: int
    gate: int
    t: float
    maker: str | None
    type: str | None


@dataclass(frozen=True)
class Shown:
    """What reads of a plate show of its vehicle: makers and plate types, with counts."""

    makes: Counter[str] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: Shown) -> Shown:
        return Shown(self.makes + other.makes, self.types + other.types)

    def without(self, look: Look) -> Shown:
        """The same without one read."""
        return Shown(
            self.makes - Counter([look.maker] if look.maker else []),
            self.types - Counter([look.type] if look.type else []),
        )


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
        self.makers = [brand_of(text or "") for text in whole["clppxh"].to_list()]
        self.types = [value_of(text) for text in whole["hpzl"].to_list()]
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
            found.append(Look(row, gate, t, self.makers[row], self.types[row]))
        return found

    def shown(self, plate: str) -> Shown:
        """What the passes of a plate show."""
        low, high = self.rows.get(plate, (0, 0))
        return Shown(
            Counter(filter(None, self.makers[low:high])), Counter(filter(None, self.types[low:high]))
        )

    def changed(self, look: Look) -> float:
        """Seconds by which the clock differed from what it always is ahead; 0 where it hardly did."""
        off = abs(float(self.stamped[look.index]) - look.t - float(self.knowledge.constant[look.gate]))
        return off if off > _CHANGED_S else 0.0


def contradicts(passes: Passes, a: Look, b: Look) -> bool:
    """True if one vehicle cannot have made both. Where a clock may just have jumped, both its times count."""
    start, end = (a, b) if a.t <= b.t else (b, a)
    if start.gate == end.gate:
        return False
    gates, stamps = np.array([start.gate, end.gate]), passes.stamped[[start.index, end.index]]
    right = (start.t, end.t)
    slack = _DOUBT * (passes.changed(start) + passes.changed(end))
    if not impossible(passes, gates, right, slack):
        return False
    for which in (-1, 1):
        around = stamps - passes.clocks.at(gates, stamps, which)
        for times in (around[0], right[1]), (right[0], around[1]), (around[0], around[1]):
            if not impossible(passes, gates, times, slack):
                return False
    return True


def impossible(passes: Passes, gates: Ints, times: Sequence[float], slack: float) -> bool:
    """True if nobody is at both gates at these times."""
    start, end = (0, 1) if times[0] <= times[1] else (1, 0)
    return bool(abs(times[1] - times[0]) + slack < passes.least[gates[start], gates[end]])
