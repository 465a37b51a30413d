"""What makes a contradiction weigh less: near misses, clocks that change, and many of them at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from kakou.detection.horizon import Context, Look, Passes

# So many other plates that contradict themselves at a gate within the hour, and what a pass there still
# weighs.
_CROWD, _CROWD_S, _CROWDED = 4, 1800.0, 2.0
# Log-odds of a pass that is only just impossible, and how they grow with what is lacking; the noise of a
# stamp; what is doubtful of a change.
_JUST, _STEEP, _NOISE_S, _CHANGE_DOUBT = 1.5, 25.0, 15.0, 0.25
# What one pass weighs at most, in either direction.
MOST: Final = 12.0


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


class Crowd:
    """Which plates have contradictions at which gate and when: several at once are a clock's doing."""

    def __init__(self, pairs: Iterable[Pair], context: Context) -> None:
        code = context.rules.code
        # A gate that is no longer described says nothing.
        every = [one for one in pairs if one.a in code and one.b in code]
        a, b = (np.array([code[gate] for gate in gates], np.int64) for gates in _sides(every, "a", "b"))
        t_a, t_b = (np.array(times, np.float64) for times in _sides(every, "t_a", "t_b"))
        hit = np.flatnonzero(context.contradictory(a, t_a, b, t_b))
        self._plates: dict[tuple[int, int], set[str]] = {}
        for gates, stamped in ((a[hit], t_a[hit]), (b[hit], t_b[hit])):
            right = stamped - context.clocks.at(gates, stamped)
            for at, gate, t in zip(hit, gates, right, strict=True):
                self._plates.setdefault((int(gate), int(t // _CROWD_S)), set()).add(every[at].plate)

    def size(self, look: Look, plate: str) -> int:
        """Other plates with a contradiction at that gate about then."""
        slot = int(look.t // _CROWD_S)
        near = (self._plates.get((look.gate, slot + shift), set()) for shift in (-1, 0, 1))
        return len(set().union(*near) - {plate})


def _sides(pairs: list[Pair], *names: str) -> list[list[Any]]:
    return [[getattr(one, name) for one in pairs] for name in names]


def strength_of(
    passes: Passes, plate: str, looks: list[Look], edges: list[tuple[int, int]], crowd: Crowd
) -> float:
    """The most that a pass can weigh: little where its trips are only just too fast, as somebody is the
    fastest, where a clock that changed leaves doubt, and where many plates contradict themselves at once.

    Args:
        edges: its contradictions, as pairs of indices of ``looks``.
    """
    most = 0.0
    for edge in edges:
        a, b = (looks[one] for one in edge)
        doubt = _NOISE_S + sum(_doubt(passes.context, one) for one in (a, b))
        share = (b.t - a.t + doubt) / float(passes.context.rules.least[a.gate, b.gate])
        weight = _JUST + _STEEP * max(0.0, 1 - share)
        others = max(crowd.size(one, plate) for one in (a, b))
        most = max(most, weight if others < _CROWD else min(weight, _CROWDED))
    return min(MOST, most)


def _doubt(context: Context, look: Look) -> float:
    """Seconds by which the time of a pass may be off: more where its clock changed, and while it does."""
    gate, stamped = np.array([look.gate]), np.array([float(look.row.t)])
    before, after = (float(context.clocks.at(gate, stamped, which)[0]) for which in (-1, 1))
    changed = float(context.changed(gate, stamped)[0])
    doubt = float(context.clocks.doubt_at(gate, stamped)[0])
    return doubt + _CHANGE_DOUBT * (changed + abs(after - before))
