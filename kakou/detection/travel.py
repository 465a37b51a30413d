"""The shortest honest travel time between two gates, learned from passes.

The definition, which the nightly Spark job and ``learn`` below both follow:

1. Take whole plates only, each GCXH once (of equal ids the first by time), and order the passes of a plate
   by (time, GCXH).
2. A *trip* is two neighbours of that order at different gates, more than 0 and at most ``MAX_GAP_SECONDS``
   apart.
3. For each ordered pair of gates with ``n`` trips sort the gaps upwards; the quantile is the gap at index
   ``floor(QUANTILE * (n - 1))`` (an observed gap, nothing interpolated).
4. ``min_travel_seconds = floor(SAFETY * quantile)``. ``basis`` is ``learned`` where
   ``n >= MIN_TRIPS``, else ``few``.

A quantile and not the minimum, because a history holds clones and misreads too; ``SAFETY`` keeps the fastest
honest drivers out. A ``few`` row is no evidence for a long trip, but it does show that a shorter one is
possible, so it only
ever *lowers* the time taken from the map, and only as far as can be believed (see ``rules``).
"""

from __future__ import annotations

from typing import Final

import polars as pl

from kakou.plates import WHOLE_PLATE_PATTERN

QUANTILE: Final = 0.01
SAFETY: Final = 0.8
MIN_TRIPS: Final = 30
MAX_GAP_SECONDS: Final = 4 * 3600

BASIS_LEARNED: Final = "learned"
BASIS_FEW: Final = "few"

TRAVEL_COLUMNS: Final = ("from_kkmc", "to_kkmc", "passes", "min_travel_seconds", "basis")
TRAVEL_SCHEMA: Final[dict[str, pl.DataType]] = {
    "from_kkmc": pl.String(),
    "to_kkmc": pl.String(),
    "passes": pl.Int64(),
    "min_travel_seconds": pl.Int64(),
    "basis": pl.String(),
}


def learn(passes: pl.DataFrame) -> pl.DataFrame:
    """Learns minimum travel times by the definition above.

    Args:
        passes: columns ``gcxh``, ``hphm``, ``kkmc`` (text) and ``t`` (whole seconds of local time), in any
            order.

    Returns:
        one row per ordered pair that was driven at least once, columns ``TRAVEL_COLUMNS``, sorted by pair.
    """
    trips = (
        passes.select("gcxh", "hphm", "kkmc", "t")
        .filter(pl.col("hphm").str.contains(WHOLE_PLATE_PATTERN))
        .sort("t", "gcxh", "hphm", "kkmc")
        .unique("gcxh", keep="first", maintain_order=True)
        .sort("hphm", "t", "gcxh")
        .with_columns(
            pl.col("hphm").shift().alias("_plate"),
            pl.col("kkmc").shift().alias("from_kkmc"),
            (pl.col("t") - pl.col("t").shift()).alias("gap"),
        )
        .filter(
            pl.col("_plate") == pl.col("hphm"),
            pl.col("from_kkmc") != pl.col("kkmc"),
            pl.col("gap").is_between(1, MAX_GAP_SECONDS),
        )
    )
    return (
        trips.group_by("from_kkmc", pl.col("kkmc").alias("to_kkmc"))
        .agg(
            pl.len().cast(pl.Int64).alias("passes"),
            pl.col("gap").sort().get((QUANTILE * (pl.len() - 1)).floor().cast(pl.Int64)).alias("quantile"),
        )
        .with_columns(
            (pl.col("quantile") * SAFETY).floor().cast(pl.Int64).alias("min_travel_seconds"),
            pl.when(pl.col("passes") >= MIN_TRIPS)
            .then(pl.lit(BASIS_LEARNED))
            .otherwise(pl.lit(BASIS_FEW))
            .alias("basis"),
        )
        .select(TRAVEL_COLUMNS)
        .sort("from_kkmc", "to_kkmc")
    )
