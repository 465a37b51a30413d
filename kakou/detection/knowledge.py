"""What a history teaches about honest traffic: travel times, how gates follow each other, how cameras err.

Everything is learned from unlabelled passes that hold clones, misreads and wrong clocks themselves, so each
figure is a median or a count that a few wrong passes cannot move.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kakou.detection.clocks import (
    Clocks,
    clocks_of,
    constant_clocks,
    constant_offsets,
    no_clocks,
    set_right,
)
from kakou.detection.misreads import Confusion, learn_confusion, no_confusion
from kakou.detection.trips import SAME_READ_SECONDS, trips_of, whole_passes

FEW: Final = 5
# Of the logarithm of a travel time. Drivers differ by about a tenth; nobody's spread is smaller than this.
LEAST_SPREAD, USUAL_SPREAD = 0.09, 0.12
# So many spreads below the median no honest driver is to be expected.
SAFE_SPREADS: Final = 4.5
_SAFE_COMPOSED: Final = 0.6
# A pair with so many trips tells its own spread; with so long a way, the spread is that of drivers.
_MANY: Final = 100
_LONG_S: Final = 600
_WINDOW_S: Final = 7200
Floats = npt.NDArray[np.float64]


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
        brand_wrong: share of reads whose brand is not the one that the plate usually shows.
        brand_share: of each maker among reads.
        confusion: how characters are misread.
        clocks: seconds that each gate was ahead over the history.
        constant: the same at its end.
    """

    gates: tuple[str, ...]
    trips: npt.NDArray[np.int64]
    usual: Floats
    spread: Floats
    least: Floats
    follows: Floats
    busy: Floats
    passes_a_day: float
    brand_wrong: float
    brand_share: dict[str, float]
    confusion: Confusion
    clocks: Clocks
    constant: Floats


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
    # Twice: a clock that is minutes off swaps neighbours in time, and only right ones follow each other
    # rightly.
    constant = np.zeros(size)
    for _ in range(2):
        constant = constant + constant_offsets(set_right(whole, constant_clocks(constant)), size)
    usual, spread, _ = _pairs(trips_of(set_right(whole, constant_clocks(constant))), size)
    # What is left over changes with time.
    clocks = clocks_of(whole, usual, usual * spread, constant)
    right = set_right(whole, clocks)
    usual, spread, count = _pairs(trips_of(right), size)
    usual, least = _composed(usual, spread, count)
    per_gate = np.bincount(whole["code"].to_numpy(), minlength=size).astype(float)
    leaving = count.sum(axis=1, keepdims=True)
    plate_days = whole.select("hphm", pl.col("t") // 86_400).n_unique()
    brands = makers(whole)
    known = Knowledge(
        gates=names, trips=count, usual=usual, spread=spread, least=least,
        follows=(count + 0.5 / size) / (leaving + 0.5), busy=(per_gate + 0.5) / (per_gate.sum() + 0.5 * size),
        passes_a_day=len(whole) / max(1, plate_days), brand_wrong=_brand_wrong(brands),
        brand_share=_shares(brands), confusion=no_confusion(), clocks=clocks,
        constant=np.median(clocks.ahead[1, :, -12:], axis=1),
    )  # fmt: skip
    return replace(known, confusion=learn_confusion(right, usual, spread)) if len(right) else known


def knows_nothing(gates: list[str]) -> Knowledge:
    """Before any history: no pair is known, and errors are assumed as public figures give them."""
    size = len(gates)
    empty = np.full((size, size), np.nan)
    return Knowledge(
        gates=tuple(gates), trips=np.zeros((size, size), np.int64), usual=empty,
        spread=np.full((size, size), USUAL_SPREAD),
        least=empty, follows=np.full((size, size), 1 / max(1, size)), busy=np.full(size, 1 / max(1, size)),
        passes_a_day=6.0, brand_wrong=0.03, brand_share={}, confusion=no_confusion(),
        clocks=no_clocks(size), constant=np.zeros(size),
    )  # fmt: skip


def without_repeats(whole: pl.DataFrame) -> pl.DataFrame:
    """Drops what a gate read again within a minute; ``whole`` is in the order of ``whole_passes``."""
    again = (
        (pl.col("hphm") == pl.col("hphm").shift())
        & (pl.col("kkmc") == pl.col("kkmc").shift())
        & (pl.col("t") - pl.col("t").shift() <= SAME_READ_SECONDS)
    )
    return whole.filter(~again.fill_null(False))


def makers(whole: pl.DataFrame) -> pl.DataFrame:
    """Known makers by plate, with counts: ``hphm``, ``maker``, ``n``."""
    maker = pl.col("clppxh").str.split("牌").list.first().str.strip_chars()
    return (
        whole.select("hphm", maker.alias("maker"))
        .filter(~pl.col("maker").is_in(["", "-"]))
        .group_by("hphm", "maker")
        .agg(pl.len().cast(pl.Int64).alias("n"))
    )


def _pairs(trips: pl.DataFrame, size: int) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Median, spread and number of the travel times of each ordered pair."""
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
    pooled = max(float(np.median(one[sure])) if sure.sum() >= FEW else USUAL_SPREAD, LEAST_SPREAD)
    weight = n / (n + _MANY)
    spread[:] = pooled
    spread[at] = np.maximum(weight * one + (1 - weight) * pooled, 0.9 * pooled)
    usual[count < FEW] = np.nan
    return usual, spread, count


def _composed(usual: Floats, spread: Floats, count: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Fills pairs with few trips over gates between, and says what is the least for each pair."""
    direct = np.where(np.isfinite(usual) & (count >= FEW), usual, np.inf)
    np.fill_diagonal(direct, 0.0)
    best = direct.copy()
    for middle in range(len(best)):
        best = np.minimum(best, best[:, middle, None] + best[None, middle, :])
    seen = np.isfinite(direct)
    # A pair is driven directly by those who rest on the way, too: over gates between it may be faster.
    composed = best * _SAFE_COMPOSED
    least = np.where(seen, np.minimum(direct * np.exp(-SAFE_SPREADS * spread), best), composed)
    least = np.where(seen, np.minimum(least, best * 0.7), least)
    least[~np.isfinite(least)] = np.nan
    np.fill_diagonal(least, np.nan)
    filled = np.where(seen, direct, best)
    filled[~np.isfinite(filled)] = np.nan
    return filled, least


def _brand_wrong(brands: pl.DataFrame) -> float:
    """Share of reads that show another maker than most reads of the plate; plates with enough reads only."""
    plates = brands.group_by("hphm").agg(pl.col("n").sum().alias("all"), pl.col("n").max().alias("most"))
    often = plates.filter(pl.col("all") >= 8)
    total = int(often["all"].sum() or 0)
    # A second vehicle or a misread shows another maker, too: taken together they are still few.
    return (
        float(np.clip((total - int(often["most"].sum() or 0)) / total, 0.002, 0.3)) if total >= 200 else 0.03
    )


def _shares(brands: pl.DataFrame) -> dict[str, float]:
    share = brands.group_by("maker").agg(pl.col("n").sum())
    total = max(1, int(share["n"].sum() or 0))
    return {maker: n / total for maker, n in share.iter_rows()}
