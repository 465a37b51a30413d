"""What a history teaches about honest traffic: travel times, how gates follow each other, how cameras err.

Everything is learned from unlabelled passes that hold clones, misreads and wrong clocks themselves, so each
figure is a median or a count that a few wrong passes cannot move.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kakou.detection.clocks import STEP_S, clocks_of, set_right
from kakou.detection.driven import driven_in, shortest
from kakou.detection.first_clocks import first_clocks
from kakou.detection.misreads import Confusion, learn_confusion, no_confusion
from kakou.detection.reads import BRAND_MARK
from kakou.detection.trips import trips_of, whole_passes, without_repeats
from kakou.detection.weighing import Calibration
from kakou.fields import MISSING

FEW: Final = 5
# Of the logarithm of a travel time. Drivers differ by about a tenth; nobody's spread is smaller than this.
LEAST_SPREAD, USUAL_SPREAD = 0.09, 0.12
# So many spreads below the median no honest driver is to be expected.
SAFE_SPREADS: Final = 4.5
_SAFE_COMPOSED: Final = 0.6
# A pair with so many trips tells its own spread; with so long a way, the seconds of the clocks do no harm.
_MANY: Final = 100
_LONG_S: Final = 60
# Quantiles of the spreads of such pairs: that of drivers, and that of a pair of which little is known.
_DRIVERS_AND_WIDE, _WIDEST = (0.25, 0.75), 0.45
# So many spreads of drivers below the fastest tenth.
_SAFE_OF_FAST: Final = 4.0
# A pair with less than this share of the trips of its rarer gate says little of the roads.
_BELIEVED_SHARE: Final = 0.01
_WINDOW_S: Final = 7200
# So many passes a day are enough to see each clock of a hundred gates within minutes.
CLOCK_PASSES: Final = 150_000
_DAY_STEPS, _END_STEPS, _SET_S = 86_400 // STEP_S, 12, 600.0
_LEAST_SHARE: Final = 0.002
# Share of reads that show another value, where a history says nothing.
_WRONG_MAKE, _WRONG_TYPE = 0.03, 0.01
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Feature:
    """How reads show one feature of a vehicle.

    Attributes:
        wrong: share of reads that show another value than the plate usually does.
        share: of each value among all reads.
    """

    wrong: float
    share: dict[str, float]

    def density(self, value: str | None, shown: Counter[str]) -> float:
        """How likely a read shows ``value`` if the vehicle is the one that has ``shown`` those; 1 where
        nothing was read."""
        if value is None:
            return 1.0
        share = self.common(value)
        total = sum(shown.values())
        if not total:
            return share
        certain = total / (total + 0.5)
        own = shown[value] / total
        return certain * ((1 - self.wrong) * own + self.wrong * share) + (1 - certain) * share

    def common(self, value: str | None) -> float:
        """Share of a value; 1 where nothing was read."""
        return 1.0 if value is None else max(self.share.get(value, 0.0), _LEAST_SHARE)


@dataclass(frozen=True)
class Knowledge:
    """Learned from a history; arrays by gate code, seconds.

    Attributes:
        gates: codenames, by code.
        trips: trips behind each ordered pair.
        usual: median travel time; where a pair has few trips, composed over gates between; else NaN.
        spread: of the logarithm of the travel time.
        least: shortest honest travel time, clocks set right; NaN where nothing is known.
        follows: share of the trips from a gate that lead to another.
        busy: share of all passes that a gate has.
        passes_a_day: passes of a whole plate on a day on which it has any.
        daily: passes of all whole plates on a day; 0 where nobody knows.
        make, type: how reads show the maker and the plate type.
        confusion: how characters are misread.
        constant: seconds that each gate was ahead at the end of the history.
        version: the run that learned it; alerts name it.
        reviewed: what reviews say of the weights; None without reviews.
        past: name of the file of single plates that was learned with it (``plate_file.py``); "" without one.
    """

    gates: tuple[str, ...]
    trips: npt.NDArray[np.int64]
    usual: Floats
    spread: Floats
    least: Floats
    follows: Floats
    busy: Floats
    passes_a_day: float
    make: Feature
    type: Feature
    confusion: Confusion
    constant: Floats
    daily: float = 0.0
    version: str = ""
    reviewed: Calibration | None = None
    past: str = ""

    @property
    def clock_share(self) -> int:
        """One vehicle of so many tells of the clocks; more tell nothing new."""
        return max(1, round(self.daily / CLOCK_PASSES))

    @property
    def tells_of_clocks(self) -> bool:
        """False where no travel time is known, and so no clock can be seen to be wrong."""
        return bool(np.isfinite(self.usual).any())


def learn_knowledge(history: pl.DataFrame, gates: list[str]) -> Knowledge:
    """Learns from a history.

    Args:
        history: ``gcxh``, ``kkmc``, ``hphm``, ``clppxh`` (text), ``t`` (seconds of local time), any order.
        gates: codenames in the order of their codes; a gate of the history that is not among them gets a code
            behind them.
    """
    more = history["kkmc"].unique().sort()
    names = (*gates, *more.filter(~more.is_in(gates)).to_list())
    code = {gate: index for index, gate in enumerate(names)}
    whole = without_repeats(
        whole_passes(history).with_columns(
            pl.col("kkmc").replace_strict(code, return_dtype=pl.Int64).alias("code")
        )
    )
    size = len(names)
    clocks = first_clocks(whole, size)
    usual, spread, count, _ = _pairs(trips_of(set_right(whole, clocks)), size)
    # What is left over changes with time.
    clocks = clocks_of(whole, usual, usual * spread, count, clocks)
    right = set_right(whole, clocks)
    usual, spread, count, pooled = _pairs(trips_of(right), size)
    per_gate = np.bincount(whole["code"].to_numpy(), minlength=size).astype(float)
    busy = (per_gate + 0.5) / (per_gate.sum() + 0.5 * size)
    through = driven_in(right, usual, busy, pooled)
    usual, least = _composed(usual, spread, count, through, pooled)
    leaving = count.sum(axis=1, keepdims=True)
    plate_days = whole.select("hphm", pl.col("t") // 86_400).n_unique()
    makes, types = makes_of(whole), types_of(whole)
    known = Knowledge(
        gates=names, trips=count, usual=usual, spread=spread, least=least,
        follows=(count + 0.5 / size) / (leaving + 0.5), busy=busy,
        passes_a_day=len(whole) / max(1, plate_days), make=_feature(makes, _WRONG_MAKE),
        type=_feature(types, _WRONG_TYPE), confusion=no_confusion(),
        constant=_lasting(clocks.ahead[1]),
        daily=len(whole) / max(1, (whole["t"] // 86_400).n_unique()),
    )  # fmt: skip
    return replace(known, confusion=learn_confusion(right, usual, spread)) if len(right) else known


def _lasting(ahead: Floats) -> Floats:
    """What each clock is ahead when a history ends, by (gate, step): as on its last day, whose nights tell
    little, unless it was set since."""
    day, end = np.median(ahead[:, -_DAY_STEPS:], axis=1), np.median(ahead[:, -_END_STEPS:], axis=1)
    return np.where(np.abs(end - day) > _SET_S, end, day)


def knows_nothing(gates: list[str]) -> Knowledge:
    """Before any history: no pair is known, and errors are assumed as public figures give them."""
    size = len(gates)
    empty = np.full((size, size), np.nan)
    return Knowledge(
        gates=tuple(gates), trips=np.zeros((size, size), np.int64), usual=empty,
        spread=np.full((size, size), USUAL_SPREAD),
        least=empty, follows=np.full((size, size), 1 / max(1, size)), busy=np.full(size, 1 / max(1, size)),
        passes_a_day=6.0, make=Feature(_WRONG_MAKE, {}), type=Feature(_WRONG_TYPE, {}),
        confusion=no_confusion(), constant=np.zeros(size),
    )  # fmt: skip


def with_gates(known: Knowledge, gates: list[str]) -> Knowledge:
    """The same with the codes of ``gates``, of which nothing may be known; others that are known follow."""
    if not known.gates:
        return replace(knows_nothing(gates), version=known.version, reviewed=known.reviewed, past=known.past)
    names = (*gates, *(gate for gate in known.gates if gate not in set(gates)))
    if names == known.gates:
        return known
    old = {gate: code for code, gate in enumerate(known.gates)}
    at = np.array([old.get(gate, -1) for gate in names])
    there, none = at >= 0, knows_nothing(list(names))
    found: dict[str, Any] = {}
    for name in ("trips", "usual", "spread", "least", "follows"):
        table = getattr(none, name).copy()
        table[np.ix_(there, there)] = getattr(known, name)[np.ix_(at[there], at[there])]
        found[name] = table
    # A gate that nobody knows is as busy as the least busy one, and as right as most.
    busy = np.where(there, known.busy[at], known.busy.min())
    constant = np.where(there, known.constant[at], 0.0)
    return replace(known, gates=names, busy=busy / busy.sum(), constant=constant, **found)


def in_sample(keys: npt.NDArray[np.uint64], known: Knowledge) -> npt.NDArray[np.bool_]:
    """Which passes tell of the clocks: those of some vehicles, the same ones wherever they are looked at.

    Args:
        keys: of their plates, ``state.plate_keys``.
    """
    if not known.tells_of_clocks:
        return np.zeros(len(keys), dtype=bool)
    return np.asarray(keys % np.uint64(known.clock_share) == 0)


# What a read shows of its vehicle, of ``clppxh`` and ``hpzl``; empty or ``-`` where it shows nothing.
SHOWN: Final = {
    "make": pl.col("clppxh").str.split(BRAND_MARK).list.first().str.strip_chars(),
    "type": pl.col("hpzl").str.strip_chars(),
}


def makes_of(passes: pl.DataFrame) -> pl.DataFrame:
    """Known makers by plate, with counts: ``hphm``, ``value``, ``n``."""
    return _counted(passes, SHOWN["make"])


def types_of(passes: pl.DataFrame) -> pl.DataFrame:
    """Known plate types by plate, with counts: ``hphm``, ``value``, ``n``."""
    return _counted(passes, SHOWN["type"])


def _counted(passes: pl.DataFrame, value: pl.Expr) -> pl.DataFrame:
    return (
        passes.select("hphm", value.alias("value"))
        .filter(~pl.col("value").is_in(["", MISSING]))
        .group_by("hphm", "value")
        .agg(pl.len().cast(pl.Int64).alias("n"))
    )


def _pairs(trips: pl.DataFrame, size: int) -> tuple[Floats, Floats, npt.NDArray[np.int64], float]:
    """Median, spread and number of the travel times of each ordered pair, and the spread of all."""
    usual = np.full((size, size), np.nan)
    spread = np.full((size, size), USUAL_SPREAD)
    count = np.zeros((size, size), np.int64)
    gap = (pl.col("t_end") - pl.col("t_start")).cast(pl.Float64).clip(1.0)
    found = (
        trips.with_columns(gap.alias("gap"))
        .filter(pl.col("gap") <= _WINDOW_S)
        .group_by("start", "end")
        .agg(
            pl.len().alias("n"),
            pl.col("gap").quantile(0.1).alias("fast"),
            pl.col("gap").quantile(0.4).alias("usual"),
        )
    )
    at = found["start"].to_numpy(), found["end"].to_numpy()
    count[at] = found["n"].to_numpy()
    usual[at] = found["usual"].to_numpy()
    # From the 10 % quantile to the 40 % one a normal distribution has 1.03 spreads; rests are all above.
    one = np.log(np.maximum(usual[at] / found["fast"].to_numpy(), 1.0)) / 1.03
    n = found["n"].to_numpy()
    sure = (n >= _MANY) & (found["usual"].to_numpy() > _LONG_S)
    pooled = wide = USUAL_SPREAD
    if sure.sum() >= FEW:
        # Where nobody stays on the way the spread is that of drivers; a pair that is hardly known may be one
        # where most do.
        pooled, wide = (float(one) for one in np.quantile(one[sure], _DRIVERS_AND_WIDE))
    pooled = max(pooled, LEAST_SPREAD)
    weight = n / (n + _MANY)
    spread[:] = pooled
    spread[at] = np.maximum(weight * one + (1 - weight) * np.clip(wide, pooled, _WIDEST), 0.9 * pooled)
    usual[count < FEW] = np.nan
    return usual, spread, count, pooled


def _composed(
    usual: Floats, spread: Floats, count: npt.NDArray[np.int64], through: Floats, pooled: float
) -> tuple[Floats, Floats]:
    """Fills pairs with few trips over gates between, and says what is the least for each pair.

    Args:
        through: median of those who drive through, ``driven_in``.
        pooled: spread of drivers.
    """
    direct = np.where(np.isfinite(usual) & (count >= FEW), usual, np.inf)
    rarer = np.minimum.outer(count.sum(axis=1), count.sum(axis=0))
    believed = count >= np.maximum(FEW, _BELIEVED_SHARE * rarer)
    np.fill_diagonal(direct, 0.0)
    best = shortest(np.fmin(np.where(believed, direct, np.inf), through))
    # A few trips that are far too fast for all roads are those of clones, misreads and wrong clocks.
    direct = np.where(~believed & (direct < _SAFE_COMPOSED * best), np.inf, direct)
    best = np.minimum(best, direct)
    seen = np.isfinite(direct)
    # A pair is driven directly by those who rest on the way, too: over gates between it may be faster.
    composed = best * _SAFE_COMPOSED
    # Where most rest, a tenth that does not is the faster end of those who drive through.
    fast = direct * np.exp(-1.03 * spread)
    driven = np.maximum(direct * np.exp(-SAFE_SPREADS * spread), fast * np.exp(-_SAFE_OF_FAST * pooled))
    least = np.where(seen, np.minimum(driven, best), composed)
    least = np.where(seen, np.minimum(least, best * 0.7), least)
    least = np.fmin(least, through * np.exp(-SAFE_SPREADS * pooled))
    least[~np.isfinite(least)] = np.nan
    np.fill_diagonal(least, np.nan)
    filled = np.where(seen, direct, best)
    filled[~np.isfinite(filled)] = np.nan
    return filled, least


def _feature(counted: pl.DataFrame, usually_wrong: float) -> Feature:
    """What the reads of a feature tell; how often they are wrong, by plates with enough reads only."""
    plates = counted.group_by("hphm").agg(pl.col("n").sum().alias("all"), pl.col("n").max().alias("most"))
    often = plates.filter(pl.col("all") >= 8)
    total = int(often["all"].sum() or 0)
    # A second vehicle or a misread shows another value, too: taken together they are still few.
    lone = total - int(often["most"].sum() or 0)
    wrong = float(np.clip(lone / total, 0.002, 0.3)) if total >= 200 else usually_wrong
    share = counted.group_by("value").agg(pl.col("n").sum())
    every = max(1, int(share["n"].sum() or 0))
    return Feature(wrong, {value: n / every for value, n in share.iter_rows()})
