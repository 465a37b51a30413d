"""In what time a pair of gates was driven at all, where most who pass both rest or stay on the way.

The median of the trips of a pair is its driving time only if most who make it drive through. Between two
gates with a market between them, or with other gates on the only road, nearly all who pass both without being
read in between have stayed for a while: their median may be three times as long as the way, and nobody who
drives through is slower for it. So the fastest trips are asked, too, as far as they can be believed.

Clones and misreads make trips as well, and fast ones. They come at any moment, so those of a pair shorter
than *x* are about ``rate * share of the one gate * share of the other * x``. The rate is known from trips
that are far too fast for the roads between. A time is believed when more plates have driven in it than
chance explains.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import gammainc

from kakou.detection.trips import trips_of

WINDOW_S: Final = 7200
# A trip faster than this share of the usual way was no vehicle's.
_IMPOSSIBLE: Final = 0.4
# Chance is given the benefit of the doubt, as rates differ by the hour.
_CAREFUL, _CHANCE = 2.0, 0.001
# A clone is one plate, and where passes are few its trip is the only one that chance has made of a pair.
_FEWEST_PLATES: Final = 2
# A gate with fewer impossible trips than this is much like the others.
_LIKE_ALL: Final = 3.0
_ROUNDS: Final = 3
# Trips as slow as this, in spreads from the fastest, may still be driven through.
_THROUGH: Final = 3.0
# The way back is seldom longer by more than this share of the way there.
_BACK: Final = 0.5
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def driven_in(right: pl.DataFrame, usual: Floats, busy: Floats, spread: float) -> Floats:
    """Median seconds of those who drive through, by ordered pair; NaN where chance may explain the trips.

    Args:
        right: ``hphm``, ``code``, ``t`` by (plate, time), clocks set right.
        usual: median seconds of all trips by pair, NaN where there are few.
        busy: share of all passes that a gate has.
        spread: of the logarithm of the times of those who drive through.
    """
    size = len(usual)
    pair, gap = _fastest_of_plates(right, size)
    if not len(pair):
        return np.full((size, size), np.nan)
    first = np.flatnonzero(np.r_[True, pair[1:] != pair[:-1]])
    rank = np.arange(len(pair)) - np.repeat(first, np.diff(np.r_[first, len(pair)])) + 1
    together = np.outer(busy, busy)
    # One that is far too fast is as likely by chance as all that are. Here the usual ways stay as they were:
    # if they are too long that costs little, and what was believed wrongly is no reason to believe more.
    at_least = np.maximum(gap, _too_fast(usual).ravel()[pair])
    found = np.full((size, size), np.nan)
    for _ in range(_ROUNDS):
        # What is believed shortens the usual ways, and then fewer trips are impossible.
        rate = _chance_rate(pair, gap, _too_fast(np.fmin(usual, found)), together)
        by_chance = (rate * together).ravel()[pair] * at_least
        found = _medians(pair, gap, first, _beyond_chance(rank, by_chance), size, spread)
        found = np.fmin(found, (1 + _BACK) * found.T)
    # A pair of which nothing else is known was driven once or twice, and perhaps not through.
    found[~np.isfinite(shortest(usual))] = np.nan
    return found


def _too_fast(ways: Floats) -> Floats:
    """Seconds in which nobody drives each pair; 0 where no way is known."""
    best = shortest(ways)
    return np.where(np.isfinite(best), np.minimum(best, WINDOW_S) * _IMPOSSIBLE, 0.0)


def shortest(ways: Floats) -> Floats:
    """Shortest way of each pair, over gates between where that is shorter; infinite where there is none."""
    best = np.where(np.isfinite(ways), ways, np.inf)
    np.fill_diagonal(best, 0.0)
    for middle in range(len(best)):
        best = np.minimum(best, best[:, middle, None] + best[None, middle, :])
    return best


def _fastest_of_plates(right: pl.DataFrame, size: int) -> tuple[Ints, Floats]:
    """The fastest trip of each plate by pair, sorted: a clone drives its impossible trip again and again."""
    # trips_of tells of no plate; its number goes with the code.
    numbered = right.with_columns(
        (pl.col("hphm").rle_id().cast(pl.Int64) * size + pl.col("code")).alias("code")
    )
    fastest = (
        trips_of(numbered)
        .select(
            (pl.col("start") // size).alias("plate"),
            (pl.col("start") % size * size + pl.col("end") % size).alias("pair"),
            (pl.col("t_end") - pl.col("t_start")).clip(1).cast(pl.Float64).alias("gap"),
        )
        .filter(pl.col("gap") <= WINDOW_S)
        .group_by("plate", "pair")
        .agg(pl.col("gap").min())
        .sort("pair", "gap")
    )
    return fastest["pair"].to_numpy(), fastest["gap"].to_numpy()


def _chance_rate(pair: Ints, gap: Floats, impossible: Floats, together: Floats) -> Floats:
    """Impossible trips by second and by the shares of both gates, of the worse gate of each pair."""
    size = len(impossible)
    exposed = impossible * together
    hit = np.bincount(pair[gap < impossible.ravel()[pair]], minlength=size * size).reshape(size, size)
    every = (hit.sum() + 1.0) / max(float(exposed.sum()), 1e-12)
    both = hit.sum(axis=0) + hit.sum(axis=1), exposed.sum(axis=0) + exposed.sum(axis=1)
    gate = (both[0] + _LIKE_ALL) / (both[1] + _LIKE_ALL / every)
    return np.asarray(np.maximum(gate[:, None], gate[None, :]) * _CAREFUL)


def _beyond_chance(rank: Ints, expected: Floats) -> npt.NDArray[np.bool_]:
    """Whether chance, a Poisson process, gives so many or more seldom enough."""
    return np.asarray((rank >= _FEWEST_PLATES) & (gammainc(rank, expected) < _CHANCE))


def _medians(
    pair: Ints, gap: Floats, first: Ints, believed: npt.NDArray[np.bool_], size: int, spread: float
) -> Floats:
    """From the fastest believed trip of each pair, and how many are about as fast, the median of these."""
    found = np.full(size * size, np.nan)
    normal = NormalDist()
    for low, high in zip(first, np.r_[first[1:], len(pair)], strict=True):
        some = np.flatnonzero(believed[low:high])
        if not len(some):
            continue
        seen = float(gap[low + some[0]])
        through = int(np.searchsorted(gap[low:high], seen * np.exp(_THROUGH * spread), side="right"))
        share = min(0.5, (some[0] + 0.5) / through)
        found[pair[low]] = seen * np.exp(-normal.inv_cdf(share) * spread)
    return found.reshape(size, size)
