"""Hours that should hold passes and hold none: at all gates (a partial day) or at one (a silent gate).

An hour without a pass says little by itself: a small road has many at night. So a run of such hours is judged
by how many passes were to be expected in it, at this gate, at these hours, on a day as full as this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from math import log, log1p
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

HOURS: Final = 24
# One folder in a hundred may name a run of hours that was chance.
FALSE_ALARM: Final = 0.01
# A kind of day with fewer examples than this is judged by all days as well.
LEAST_DAYS: Final = 3
# A level is never taken as known better than to 14 % (gamma shape 50), nor worse than to 70 % (2).
MOST_SHAPE, LEAST_SHAPE = 50.0, 2.0
# Passes of a usual hour that weigh as much as the day's mean level against the count of the hour itself.
PRIOR_PASSES: Final = 5.0
# One hour's squared residual counts at most so much, or a silence would make itself look ordinary.
MOST_RESIDUAL: Final = 9.0
# Hours with a smaller expectation, and stretches with less of the usual than this, say nothing of scatter.
LEAST_EXPECTED: Final = 0.01
LEAST_FULL: Final = 0.3
# Hours within which a gate's level goes up and down together.
STRETCH: Final = 3
# Median absolute deviation of a normal variable to its standard deviation.
MAD_TO_SIGMA: Final = 1.4826


@dataclass(frozen=True, slots=True)
class Counts:
    """Observed passes by gate, day and hour.

    Attributes:
        gates: codenames.
        days: the days that hold passes, sorted; a day without any is not among them.
        passes: shape (gates, days, 24).
        left_out: days that say nothing about gates (copied or made up), shape (days,).
    """

    gates: tuple[str, ...]
    days: tuple[date, ...]
    passes: IntArray
    left_out: BoolArray


@dataclass(frozen=True, slots=True)
class Silence:
    """A gate without a pass while others have some.

    Attributes:
        begin, end: first hour, and the hour after the last.
        hours: hours in between in which the other gates have passes.
        expected: passes that were to be expected in them.
    """

    kkmc: str
    begin: datetime
    end: datetime
    hours: int
    expected: float


def missing_hours(counts: Counts) -> list[tuple[int, ...]]:
    """For each day the hours without any pass at all that cannot be chance, for instance the end of a partial
    day."""
    total = counts.passes.sum(axis=0).astype(np.float64)
    if not total.any():
        return [() for _ in counts.days]
    kinds = _kinds(counts.days)
    here = np.ones(total.shape) * ~counts.left_out[:, None]
    usual = _usual(total, here, kinds)
    expected = usual * here
    scatter = _scatter(total, expected)
    level = log(FALSE_ALARM / total.size)
    gone = np.zeros(total.shape, dtype=bool)
    for day in range(len(total)):
        # Day by day: a day may lack its first hours though the one before was whole.
        for first, last in _zero_runs(total[day]):
            if _log_chance(expected[day, first:last], scatter, np.arange(first, last)) < level:
                gone[day, first:last] = True
    return [tuple(int(h) for h in np.flatnonzero(row)) for row in gone]


def silent_gates(counts: Counts) -> list[Silence]:
    """Runs of hours in which a gate shows nothing although it should, by gate and time.

    What is expected in an hour is the gate's usual day (median over its days, by weekday and weekend), spread
    over the hours as the gate's passes are (a median by hour would be 0 at every small gate), times how full
    that hour was at all *other* gates. Hours without a pass at any gate are left out: they belong to the day.

    A run is named when the probability of no pass in it is below ``FALSE_ALARM`` over the number of gate
    hours tested. Traffic is not Poisson: platoons and one gate's good and bad days make zeros likelier. So
    the expectation is divided by the gate's own dispersion (Pearson, each hour's share capped), and the level
    of each stretch of three hours is a gamma variable with the gate's own scatter over the days (median
    absolute deviation): the run's probability is the product over its stretches of (1 + expected /
    (dispersion · shape)) ^ -shape, the zero term of the negative binomial. It is never taken below what the
    number of the gate's passes can prove.

    Costs about 2 ms of processor time for a gate and a year.
    """
    present = (counts.passes.sum(axis=0) > 0) & ~counts.left_out[:, None]
    if len(counts.gates) < 2 or not present.any():
        return []
    kinds = _kinds(counts.days)
    total = counts.passes.sum(axis=0).astype(np.float64) * present
    fullness = _fullness(total, _usual(total, present.astype(np.float64), kinds), present)
    everyone = np.zeros(total.shape)
    for passes in counts.passes:
        everyone += _usual(passes * present, fullness, kinds)
    level = log(FALSE_ALARM / (len(counts.gates) * int(present.sum())))
    found = []
    for gate, passes in zip(counts.gates, counts.passes, strict=True):
        own = passes * present.astype(np.float64)
        usual = _usual(own, fullness, kinds)
        expected = usual * _fullness(total - own, everyone - usual, present)
        found += _silences(gate, counts.days, own, expected, present, level)
    return sorted(found, key=lambda one: (one.kkmc, one.begin))


def _kinds(days: Sequence[date]) -> IntArray:
    return np.array([int(day.weekday() >= 5) for day in days], dtype=np.int64)


def _usual(passes: FloatArray, exposure: FloatArray, kinds: IntArray) -> FloatArray:
    """Passes to be expected in each (day, hour) of exposure 1: usual day of its kind × shape over the hours.

    The usual day is a median over the days from the first to the last pass, so that neither a silence nor the
    time before a gate stood there counts as usual.
    """
    answer = np.zeros(passes.shape)
    living = np.flatnonzero(passes.any(axis=1))
    if not len(living):
        return answer
    alive = (np.arange(len(passes)) >= living[0]) & (np.arange(len(passes)) <= living[-1])
    alive &= exposure.any(axis=1)
    pooled = _rates(passes[alive], exposure[alive])
    for kind in (0, 1):
        mine = kinds == kind
        known = alive & mine
        rates = _rates(passes[known], exposure[known])
        # Two Sundays show little, and other days may be quite different: only what both say is expected.
        answer[mine] = rates if int(known.sum()) >= LEAST_DAYS else np.minimum(rates, pooled)
    return answer


def _rates(passes: FloatArray, exposure: FloatArray) -> FloatArray:
    """Passes by hour on the median day of these days."""
    seen = exposure.sum(axis=0)
    shape = np.divide(passes.sum(axis=0), seen, out=np.zeros(HOURS), where=seen > 0)
    expected = (exposure * shape).sum(axis=1)
    told = expected > 0
    if not told.any():
        return np.zeros(HOURS)
    rates: FloatArray = shape * np.median(passes[told].sum(axis=1) / expected[told])
    return rates


def _fullness(passes: FloatArray, usual: FloatArray, present: BoolArray) -> FloatArray:
    """How full each hour was against the usual, 0 where nothing is known."""
    usual = np.where(present, usual, 0)
    whole = usual.sum(axis=1)
    day = np.divide(passes.sum(axis=1), whole, out=np.zeros(len(whole)), where=whole > 0)[:, None]
    full = (passes + PRIOR_PASSES * day) / (np.maximum(usual, 0) + PRIOR_PASSES)
    return np.where(present, full, 0.0)


@dataclass(frozen=True, slots=True)
class _Scatter:
    """How far from Poisson one gate is.

    Attributes:
        spread: dispersion of the hours, 1 or more.
        shape: gamma shape of the level, for each stretch of the day, shape (24 / STRETCH,).
        known: how many independent passes the usual level is known from.
    """

    spread: float
    shape: FloatArray
    known: float


def _scatter(passes: FloatArray, expected: FloatArray) -> _Scatter:
    told = expected > LEAST_EXPECTED
    residual = (passes[told] - expected[told]) ** 2 / expected[told]
    spread = max(1.0, float(np.minimum(residual, MOST_RESIDUAL).mean())) if told.any() else 1.0
    # The level may change within a day: a night of roadworks says nothing of the morning.
    seen, wanted = (a.reshape(len(a), -1, STRETCH).sum(axis=2) for a in (passes, expected))
    shape = np.full(wanted.shape[1], MOST_SHAPE)
    for stretch in range(len(shape)):
        full = wanted[:, stretch] > LEAST_FULL * wanted[:, stretch].max(initial=0)
        if int(full.sum()) < LEAST_DAYS:
            shape[stretch] = LEAST_SHAPE
            continue
        ratio = seen[full, stretch] / wanted[full, stretch]
        deviation = MAD_TO_SIGMA * np.median(np.abs(ratio - np.median(ratio)))
        # What Poisson alone scatters is no scatter of the level.
        level = deviation**2 - spread / np.median(wanted[full, stretch])
        shape[stretch] = np.clip(1 / max(level, 1e-9), LEAST_SHAPE, MOST_SHAPE)
    return _Scatter(spread, shape, max(1.0, float(passes.sum()) / spread))


def _log_chance(expected: FloatArray, scatter: _Scatter, cells: IntArray) -> float:
    """Log of the probability of no pass in these hours; ``cells`` numbers them from the first day's first."""
    stretch = cells // STRETCH
    starts = np.flatnonzero(np.r_[True, stretch[1:] != stretch[:-1]])
    wanted = np.add.reduceat(expected, starts) / scatter.spread
    shape = scatter.shape[stretch[starts] % len(scatter.shape)]
    levels = -(shape * np.log1p(wanted / shape)).sum()
    # The gate's level is itself known from its passes only, and they may be few.
    own_level = -scatter.known * log1p(float(wanted.sum()) / scatter.known)
    return max(float(levels), own_level)


def _zero_runs(values: FloatArray) -> list[tuple[int, int]]:
    """[first, last) of each run of zeros."""
    edges = np.diff(np.r_[0, values == 0, 0].astype(np.int8))
    return list(zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True))


def _silences(
    gate: str,
    days: Sequence[date],
    passes: FloatArray,
    expected: FloatArray,
    present: BoolArray,
    level: float,
) -> list[Silence]:
    scatter = _scatter(passes, expected)
    cells = np.flatnonzero(present)
    series, wanted = passes.ravel()[cells], expected.ravel()[cells]
    found = []
    # A run goes on over hours that are missing at all gates: nothing was seen of the gate there either.
    for first, last in _zero_runs(series):
        run = wanted[first:last]
        if run.sum() >= -level and _log_chance(run, scatter, cells[first:last]) < level:
            begin, end = _at(days, int(cells[first])), _at(days, int(cells[last - 1])) + timedelta(hours=1)
            found.append(Silence(gate, begin, end, last - first, round(float(run.sum()), 1)))
    return found


def _at(days: Sequence[date], cell: int) -> datetime:
    return datetime.combine(days[cell // HOURS], time(cell % HOURS))
