"""Many plates that contradict themselves at one gate at once are a clock's doing, not that of as many clones.

How many are many is told by the traffic, and by what is usual: where a clock has jumped, a good part of all
passes contradict themselves, and far more than at other gates; where hundreds of vehicles a minute drive by,
some clones among them are nothing odd.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from kakou.detection.horizon import Context, Look

# So many other plates that contradict themselves at a gate, if they are such a share of its passes and so
# many times what is usual elsewhere: within the hour, or in the half day before and some hours behind, as
# a clock may be wrong for long at a gate with few passes.
_CROWD, _CROWD_SHARE, _TIMES_USUAL = 4, 0.02, 4.0
SLOT_S: Final = 1800
# No later slots than these: a verdict is final eight hours after its last contradiction, and then all of them
# are known.
_REACHES: Final = (range(-1, 2), range(-24, 7))
Place = tuple[int, int]
# Passes of a gate, by its codename, in each ``SLOT_S`` of stamped time.
Traffic = Mapping[tuple[str, int], int]


@dataclass(frozen=True)
class Pair:
    """Two passes of a plate that contradict each other as they are stamped: gates and times."""

    plate: str
    a: str
    t_a: int
    b: str
    t_b: int


def pairs_of(found: pl.DataFrame) -> list[Pair]:
    """Contradictions as ``find_contradictions`` gives them."""
    columns = ("hphm", "first_kkmc", "first_t", "second_kkmc", "second_t")
    return [Pair(*row) for row in found.select(columns).iter_rows()]


def count_traffic(passes: pl.DataFrame, into: MutableMapping[tuple[str, int], int]) -> None:
    """Counts passes (``kkmc``, ``t``) that were not counted before."""
    slots = passes.group_by(pl.col("kkmc").cast(pl.String), pl.col("t") // SLOT_S).len()
    for gate, slot, count in slots.iter_rows():
        into[gate, slot] = into.get((gate, slot), 0) + count


class Crowd:
    """Which plates have contradictions at which gate and when.

    Args:
        pairs: contradictions known so far.
        context: clocks and ways, by which some of them are possible trips after all.
        traffic: is asked for as it is when a size is; may grow.
    """

    def __init__(self, pairs: Iterable[Pair], context: Context, traffic: Traffic) -> None:
        self._context = context
        self._traffic = traffic
        self._plates: dict[Place, set[str]] = {}
        # By place and reach, until more is added.
        self._counted: dict[tuple[Place, range], tuple[set[str], int]] = {}
        self._shares: dict[tuple[int, range], list[tuple[float, str]]] = {}
        self.add(pairs)

    def add(self, pairs: Iterable[Pair]) -> set[Place]:
        """Takes more contradictions, and traffic as it is now; returns gates (codes) and slots where they are
        a crowd."""
        self._counted.clear()
        self._shares.clear()
        context, code = self._context, self._context.rules.code
        # A gate that is no longer described says nothing.
        every = [one for one in pairs if one.a in code and one.b in code]
        a, b = (np.array([code[gate] for gate in gates], np.int64) for gates in _sides(every, "a", "b"))
        t_a, t_b = (np.array(times, np.float64) for times in _sides(every, "t_a", "t_b"))
        hit = np.flatnonzero(context.contradictory(a, t_a, b, t_b))
        grown = set()
        for gates, stamped in ((a[hit], t_a[hit]), (b[hit], t_b[hit])):
            right = stamped - context.clocks.at(gates, stamped)
            for at, gate, t in zip(hit, gates, right, strict=True):
                place = int(gate), int(t // SLOT_S)
                self._plates.setdefault(place, set()).add(every[at].plate)
                grown.add(place)
        return {place for place in grown if self._many(place, "")}

    def plates(self, place: Place) -> set[str]:
        """Plates with a contradiction at a gate in a slot or some hours around it."""
        return self._count(place, _REACHES[-1])[0]

    def around(self, look: Look, plate: str) -> bool:
        """Whether so many other plates have a contradiction at that gate about then that its clock is
        doubtful."""
        return self._many((look.gate, int(look.t // SLOT_S)), plate)

    def _many(self, place: Place, but: str) -> bool:
        for reach in _REACHES:
            plates, passes = self._count(place, reach)
            others = len(plates) - (but in plates)
            if others >= max(_CROWD, _CROWD_SHARE * passes) and (
                others >= _TIMES_USUAL * self._usual(place, reach) * passes
            ):
                return True
        return False

    def _usual(self, place: Place, reach: range) -> float:
        """Share of the passes that contradict themselves at other gates, in some slots around one: that of
        the lower quarter of gates, as a few wrong clocks make contradictions at others, too."""
        gate, slot = place
        shares = self._shares.get((slot, reach))
        if shares is None:
            shares = self._shares[slot, reach] = self._shares_of({slot + shift for shift in reach})
        own = self._context.rules.gates[gate]
        others = [share for share, name in shares if name != own]
        return others[len(others) // 4] if others else 0.0

    def _shares_of(self, slots: set[int]) -> list[tuple[float, str]]:
        """Share and name of each gate that somebody passed in some slots; the least first."""
        passes, plates = Counter[str](), Counter[str]()
        for (name, slot), count in self._traffic.items():
            passes[name] += count if slot in slots else 0
        for (gate, slot), seen in self._plates.items():
            plates[self._context.rules.gates[gate]] += len(seen) if slot in slots else 0
        return sorted((plates[name] / count, name) for name, count in passes.items() if count)

    def _count(self, place: Place, reach: range) -> tuple[set[str], int]:
        """Plates with a contradiction, and all passes, in some slots around a place."""
        found = self._counted.get((place, reach))
        if found is None:
            gate, slot = place
            name = self._context.rules.gates[gate]
            plates = set().union(*(self._plates.get((gate, slot + shift), ()) for shift in reach))
            passes = sum(self._traffic.get((name, slot + shift), 0) for shift in reach)
            found = self._counted[place, reach] = plates, passes
        return found


def _sides(pairs: list[Pair], *names: str) -> list[list[Any]]:
    return [[getattr(one, name) for one in pairs] for name in names]
