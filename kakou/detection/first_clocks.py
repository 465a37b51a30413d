"""What the clocks of a history are ahead, before any travel time is known.

Two things tell it: where the passes at two gates heap up (``clock_modes.py``), and that a way takes as long
as the way back. Both say how far pairs of clocks are apart; most clocks are right.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from kakou.detection.clock_modes import clocks_apart
from kakou.detection.clocks import (
    FINE_S,
    LEAST_OFFSET_S,
    STAYS_S,
    STEP_S,
    UNUSUAL_S,
    WAYS,
    Clocks,
    Floats,
    Ints,
    added,
    constant_clocks,
    no_clocks,
    set_right,
)
from kakou.detection.trips import trips_of

_DAY_S: Final = 86_400
# A history has no more days than this; one pass from another century must not make it have a million.
_MOST_DAYS: Final = 400
# Pairs with so many trips; of passes so many from each other among those of a plate; about as many there as
# back, and as alike.
_FEWEST: Final = 5
_FURTHEST, _BALANCED, _ALIKE = 4, 0.3, 3.0
_ROUNDS: Final = 8
# What it costs to say that a clock is wrong, in logarithms of how much better it then fits.
_CHANGE: Final = 8.0
# A clock that is off by so much more after some days has drifted, and not been set.
_DRIFT_S: Final = 300.0
# So many heaps that fit tell the clock of a gate on a day.
_TELLING: Final = 2


def first_clocks(whole: pl.DataFrame, gates: int) -> Clocks:
    """What can be said of the clocks of a history before its travel times are known.

    Again and again: a clock that is minutes off swaps neighbours in time, and only right ones follow each
    other rightly.
    """
    if whole.is_empty():
        return no_clocks(gates)
    constant = _of_heaps(whole, gates)
    for _ in range(2):
        constant = constant + constant_offsets(set_right(whole, constant_clocks(constant)), gates)
    clocks = constant_clocks(constant)
    return added(clocks, daily_clocks(set_right(whole, clocks), gates))


def constant_offsets(whole: pl.DataFrame, gates: int) -> Floats:
    """Seconds that each gate is ahead of most, as far as that does not change.

    From the ways there and back: one takes as much longer as the other takes shorter. Between two gates that
    are close a wrong clock leaves trips in one direction only, so gates further on are taken, too.

    Args:
        whole: ``hphm``, ``code`` (0 or more), ``t``, by (plate, time).
    """
    trips = pl.concat([trips_of(whole, lag) for lag in range(1, _FURTHEST + 1)])
    gap = (pl.col("t_end") - pl.col("t_start")).cast(pl.Float64)
    pairs = (
        trips.with_columns(gap.alias("gap"))
        .filter(pl.col("gap") < UNUSUAL_S)
        .group_by("start", "end")
        .agg(
            pl.col("gap").quantile(0.4).alias("usual"),
            (pl.col("gap").quantile(0.4) - pl.col("gap").quantile(0.1) + FINE_S).alias("scale"),
            pl.len().alias("n"),
        )
        .filter(pl.col("n") >= _FEWEST)
    )
    both = pairs.join(pairs, left_on=["start", "end"], right_on=["end", "start"], suffix="_back")
    balanced = pl.min_horizontal("n", "n_back") >= _BALANCED * pl.max_horizontal("n", "n_back")
    # Where a gate sees one direction only, the way back is another one, by which some come hours later.
    alike = pl.max_horizontal("scale", "scale_back") <= _ALIKE * pl.min_horizontal("scale", "scale_back")
    both = both.filter(pl.col("start") < pl.col("end"), balanced, alike)
    a, b = both["start"].to_numpy(), both["end"].to_numpy()
    apart = ((both["usual"] - both["usual_back"]) / 2).to_numpy()
    doubt = (0.1 * (both["usual"] + both["usual_back"]) / 2 + 5).to_numpy()
    doubt = doubt / np.sqrt(both.select(pl.min_horizontal("n", "n_back")).to_series().to_numpy())
    if not len(a):
        return np.zeros(gates)
    ahead = _levelled(a, b, apart, doubt, gates)
    ahead[np.abs(ahead) < LEAST_OFFSET_S / 2] = 0.0
    return ahead


def _levelled(a: Ints, b: Ints, apart: Floats, doubt: Floats, gates: int) -> Floats:
    """Offsets that fit most of what pairs are apart: weighted least squares about where most pairs want each
    gate, in which a pair that does not fit counts less each time."""
    allowed = 3 * doubt + 10
    rough = ahead = _roughly(a, b, apart, allowed, gates)
    for _ in range(15):
        w = 1 / (1 + ((apart - (ahead[b] - ahead[a])) / allowed) ** 2) / (doubt + 3.0) ** 2
        system, right = np.eye(gates) / STAYS_S**2, rough / STAYS_S**2
        np.add.at(system, (a, a), w)
        np.add.at(system, (b, b), w)
        np.add.at(system, (a, b), -w)
        np.add.at(system, (b, a), -w)
        np.add.at(right, b, w * apart)
        np.add.at(right, a, -w * apart)
        solved = np.linalg.solve(system, right).astype(np.float64)
        ahead = solved - float(np.median(solved))
    return ahead


def daily_clocks(whole: pl.DataFrame, gates: int) -> Clocks:
    """What each clock is ahead on each day, by where its passes heap up; ``whole`` is by (plate, time).

    On a day on which they do not it is taken to be as it was on the days around. Where they never do it is 0:
    one day tells a wrong clock from a longer way as badly as any other, and each day another way.
    """
    day = pl.col("t") // _DAY_S
    first, middle, last = (
        int(one)
        for one in whole.select(day.min().alias("a"), day.median().alias("b"), day.max().alias("c")).row(0)
    )
    first, last = max(first, middle - _MOST_DAYS // 2), min(last, middle + _MOST_DAYS // 2)
    found = np.full((gates, last - first + 1), np.nan)
    for at in range(first, last + 1):
        heaps = clocks_apart(whole.filter(day == at))
        allowed = 3 * heaps.doubt + 10
        ahead = _roughly(heaps.a, heaps.b, heaps.seconds, allowed, gates)
        fits = np.abs(heaps.seconds - (ahead[heaps.b] - ahead[heaps.a])) <= 3 * allowed
        told = np.bincount(heaps.a[fits], minlength=gates) + np.bincount(heaps.b[fits], minlength=gates)
        found[:, at - first] = np.where(told >= _TELLING, ahead, np.nan)
    ahead = np.repeat(np.stack([_filled(one) for one in found]), _DAY_S // STEP_S, axis=1)
    return Clocks(first * _DAY_S, np.repeat(ahead[None], len(WAYS), axis=0), np.zeros_like(ahead))


def _filled(days: Floats) -> Floats:
    """Offsets of one clock by day, NaN where it is not known: between two days that differ by a drift, on the
    way from one to the other, else as on the day before."""
    at, known = np.arange(len(days)), np.isfinite(days)
    if not known.any():
        return np.zeros(len(days))
    before = np.maximum.accumulate(np.where(known, at, 0))
    held = np.where(np.isfinite(days[before]), days[before], days[known][0])
    between = np.interp(at, at[known], days[known])
    return np.where(np.abs(between - held) <= _DRIFT_S, between, held)


def _of_heaps(whole: pl.DataFrame, gates: int) -> Floats:
    """What each clock is ahead by where its passes heap up, 0 where they do not."""
    heaps = clocks_apart(whole)
    return _roughly(heaps.a, heaps.b, heaps.seconds, 3 * heaps.doubt + 10, gates)


def _roughly(a: Ints, b: Ints, apart: Floats, allowed: Floats, gates: int) -> Floats:
    """Each gate where most of its pairs want it, one after the other; at 0 unless several want it elsewhere.

    Args:
        a, b, apart: pairs, and seconds that the second of each is ahead of the first.
        allowed: seconds by which a pair that fits may be off.
    """
    ahead: Floats = np.zeros(gates)
    end, other = np.concatenate([b, a]), np.concatenate([a, b])
    seconds, allowed = np.concatenate([apart, -apart]), np.concatenate([allowed, allowed])
    order = np.argsort(end, kind="stable")
    bounds = np.searchsorted(end[order], np.arange(gates + 1))
    for _ in range(_ROUNDS):
        before = ahead.copy()
        for gate in range(gates):
            own = order[bounds[gate] : bounds[gate + 1]]
            if len(own) < 2:
                continue
            wanted = np.append(ahead[other[own]] + seconds[own], 0.0)
            off = (wanted[:, None] - wanted[None, :-1]) / allowed[own]
            cost = np.log1p(off**2).sum(axis=1)
            cost[:-1] += _CHANGE
            ahead[gate] = wanted[int(cost.argmin())]
        if np.array_equal(before, ahead):
            break
    return ahead
