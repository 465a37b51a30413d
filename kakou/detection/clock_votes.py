"""Which clocks have jumped, and how far, from all passes that lie near each other in time.

Where gates stand minutes apart, a clock that is off by many minutes puts a pass among those of other gates
that were driven by long before or after. Who follows whom is then wrong, and half of the trips that are taken
from it speak for the jump and half against it. So each two passes of a plate vote here, whoever was first:
with the travel time one way, and the other. At the right offset the votes of all neighbours meet, of those
before and of those behind; wrong ones are scattered.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from kakou.detection.driven import shortest
from kakou.detection.trips import NEAR_SECONDS, pairs_near

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# How finely offsets are found, up to as far as passes are near.
BIN_S: Final = 30
_BINS: Final = 2 * NEAR_SECONDS // BIN_S + 1
# So many passes of a plate before and behind one vote with it: a pass that is stamped half an hour early lies
# before all that its vehicle drove in that time.
_LAGS: Final = 20
# Only ways of which this is known as well vote: where gates are far apart, passes hardly change places. A way
# is known by so many trips, if they are such a share of those of the rarer gate.
_SURE_S: Final = 60.0
_MANY, _MANY_SHARE = 30, 0.02
_DIFFER, _FINE_S = 0.12, 5.0
# Votes within so many bins of an offset speak for it.
_WIDTH: Final = 2
# An offset replaces the one before when so many passes, so many times more, and more than by chance, speak
# for it, and on both sides of it: those before only may be of vehicles that rested on the way.
_FEWEST, _TIMES, _CHANCE, _SIDE = 5.0, 1.7, 2.0, 0.2
_SUPPORTERS: Final = 2


class Votes(NamedTuple):
    """For each: its gate and that of the other pass, its stamped time, offset in seconds, weight, and whether
    the other pass was before it."""

    gate: Ints
    other: Ints
    t: Floats
    offset: Floats
    weight: Floats
    behind: Flags

    def at(self, places: Ints) -> Votes:
        """Some of them."""
        return Votes(
            self.gate[places], self.other[places], self.t[places], self.offset[places],
            self.weight[places], self.behind[places],
        )  # fmt: skip


def sure_ways(usual: Floats, spread: Floats, trips: Ints) -> Floats:
    """Travel times by (from, to) that are known to a minute, also over gates between; NaN elsewhere."""
    rarer = np.minimum.outer(trips.sum(axis=1), trips.sum(axis=0))
    many = (trips >= _MANY) & (trips >= _MANY_SHARE * rarer)
    direct = np.where(many & (spread + _FINE_S <= _SURE_S), usual, np.inf)
    direct[~np.isfinite(direct)] = np.inf
    best = shortest(direct)
    sure = np.isfinite(best) & (_DIFFER * best + _FINE_S <= _SURE_S)
    return np.where(np.isfinite(direct), direct, np.where(sure, best, np.nan))


def votes_of(whole: pl.DataFrame, ways: Floats) -> Votes:
    """All votes; those of one pass weigh 1 together.

    Args:
        whole: ``hphm``, ``code``, ``t`` by (plate, time).
        ways: of ``sure_ways``.
    """
    code, t = whole["code"].to_numpy(), whole["t"].to_numpy().astype(np.float64)
    votes = []
    for one, other in pairs_near(whole, _LAGS):
        for first, second in ((one, other), (other, one)):
            # As if ``first`` had been first: the other's clock is ahead, or its own is behind.
            off = t[second] - t[first] - ways[code[first], code[second]]
            good = np.abs(off) < NEAR_SECONDS
            f, s, off = first[good], second[good], off[good]
            votes += [(s, f, off, np.ones(len(f), bool)), (f, s, -off, np.zeros(len(f), bool))]
    if not votes:
        kinds = np.int64, np.int64, np.float64, np.float64, np.float64, bool
        return Votes(*(np.empty(0, kind) for kind in kinds))
    at, other, offset, behind = (np.concatenate(one) for one in zip(*votes, strict=True))
    # Each other pass votes twice, and one of its votes is wrong.
    weight = 2.0 / np.bincount(at, minlength=len(t))[at]
    return Votes(code[at], code[other], t[at], offset, weight, behind)


def jumps_of(votes: Votes, memory: Floats, begin: int, steps: int, step_s: int) -> tuple[Floats, Flags]:
    """Offsets of each gate after each step, by (step, gate), from the votes before.

    Args:
        memory: seconds over which votes of each gate are taken together.

    Returns:
        the offsets, 0 as long as nothing speaks for another one; and whether enough votes speak for them.
    """
    gates = len(memory)
    keep = np.exp(-step_s / memory)[:, None, None]
    order = np.argsort(votes.t, kind="stable")
    votes = votes.at(order)
    ends = begin + step_s * np.arange(steps + 1)
    bounds = np.searchsorted(votes.t, ends)
    score = np.zeros((gates, 2, _BINS))
    now = np.zeros(gates)
    found, sure = np.empty((steps, gates)), np.zeros((steps, gates), dtype=bool)
    for step in range(steps):
        score = score * keep + _cast(votes, bounds[step], bounds[step + 1], gates)
        most, where, held = _best(score, now)
        moved = (most >= _FEWEST) & (most > _TIMES * held) & (most - held > _CHANCE * np.sqrt(most + held))
        for gate in np.flatnonzero(moved):
            since = int(np.searchsorted(votes.t, ends[step + 1] - memory[gate]))
            part = slice(since, int(bounds[step + 1]))
            if _supporters(votes, part, int(gate), float(where[gate])) >= _SUPPORTERS:
                now[gate], held[gate] = where[gate], most[gate]
        found[step], sure[step] = now, held >= _FEWEST
    return found, sure


def _cast(votes: Votes, low: int, high: int, gates: int) -> Floats:
    """Weight of some of the votes by (gate, side, offset)."""
    bins = np.rint((votes.offset[low:high] + NEAR_SECONDS) / BIN_S).astype(np.int64)
    cell = (votes.gate[low:high] * 2 + votes.behind[low:high]) * _BINS + bins
    cast = np.bincount(cell, votes.weight[low:high], gates * 2 * _BINS).astype(np.float64)
    return cast.reshape(gates, 2, _BINS)


def _best(score: Floats, before: Floats) -> tuple[Floats, Floats, Floats]:
    """For each gate the most votes on both sides of an offset, this offset, and those for the one before."""
    wide = _wide(score)
    both = wide.sum(axis=1)
    sided = np.where(wide.min(axis=1) >= _SIDE * both, both, 0.0)
    best = sided.argmax(axis=1)
    gate = np.arange(len(before))
    own = np.rint((before + NEAR_SECONDS) / BIN_S).astype(np.int64)
    near = np.clip(own[:, None] + np.arange(-_WIDTH, _WIDTH + 1), 0, _BINS - 1)
    return sided[gate, best], _middle(score.sum(axis=1), best), both[gate[:, None], near].max(axis=1)


def _supporters(votes: Votes, part: slice, gate: int, offset: float) -> int:
    """Other gates that speak for an offset; one alone may be wrong itself."""
    hit = (votes.gate[part] == gate) & (np.abs(votes.offset[part] - offset) <= (_WIDTH + 0.5) * BIN_S)
    return int((np.bincount(votes.other[part][hit], votes.weight[part][hit]) >= 1.0).sum())


def _wide(score: Floats) -> Floats:
    """Votes within ``_WIDTH`` bins of each."""
    summed = np.cumsum(np.pad(score, ((0, 0), (0, 0), (_WIDTH + 1, _WIDTH))), axis=2)
    return np.asarray(summed[:, :, 2 * _WIDTH + 1 :] - summed[:, :, : -2 * _WIDTH - 1])


def _middle(score: Floats, best: Ints) -> Floats:
    """Mean of the votes near the best bin, in seconds."""
    near = np.clip(best[:, None] + np.arange(-_WIDTH, _WIDTH + 1), 0, _BINS - 1)
    weight = np.take_along_axis(score, near, axis=1)
    at = (weight * near).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-9)
    return np.asarray(at * BIN_S - NEAR_SECONDS)
