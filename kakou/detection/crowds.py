"""Many plates that contradict themselves at one gate at once are a clock's doing, not that of as many clones.

How many are many is told by the traffic: where a clock has jumped, a good part of all passes contradict
themselves; where hundreds of vehicles a minute drive by, some clones among them are nothing odd.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from kakou.detection.horizon import Context, Look

# So many other plates that contradict themselves at a gate within the hour, if they are such a share of its
# passes.
_CROWD, _CROWD_SHARE = 4, 0.02
SLOT_S: Final = 1800
_NEAR: Final = (-1, 0, 1)
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
        self._plates: dict[tuple[int, int], set[str]] = {}
        self.add(pairs)

    def add(self, pairs: Iterable[Pair]) -> set[tuple[int, int]]:
        """Takes more contradictions; returns gates (codes) and slots where they are now a crowd."""
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
        return {place for place in grown if self._many(place, len(self.plates(place)))}

    def plates(self, place: tuple[int, int]) -> set[str]:
        """Plates with a contradiction at a gate in a slot or beside it."""
        gate, slot = place
        return set().union(*(self._plates.get((gate, slot + shift), ()) for shift in _NEAR))

    def around(self, look: Look, plate: str) -> bool:
        """Whether so many other plates have a contradiction at that gate about then that its clock is
        doubtful."""
        place = look.gate, int(look.t // SLOT_S)
        return self._many(place, len(self.plates(place) - {plate}))

    def _many(self, place: tuple[int, int], plates: int) -> bool:
        if plates < _CROWD:
            return False
        gate, slot = self._context.rules.gates[place[0]], place[1]
        return plates >= _CROWD_SHARE * sum(self._traffic.get((gate, slot + shift), 0) for shift in _NEAR)


def _sides(pairs: list[Pair], *names: str) -> list[list[Any]]:
    return [[getattr(one, name) for one in pairs] for name in names]
