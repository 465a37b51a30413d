"""In which order stored passes arrived."""

from __future__ import annotations

from typing import Final, Literal

import polars as pl

Order = Literal["offsets", "time", "file"]
_DAY_S: Final = 86_400
# Passes of a partition about each one by which it is told when it arrived.
_ABOUT: Final = 51
# A day that begins so far into its passes; and less than this share of all is but clocks that are wrong.
_BEGIN: Final = 0.1
_LEAST_SHARE: Final = 0.01


def in_order_of_arrival(passes: pl.DataFrame) -> tuple[pl.DataFrame, Order]:
    """Puts passes into the order of arrival.

    Within a partition of Kafka that is the order of the offsets. Partitions are merged by the median time of
    the passes that arrived around each one, which neither a wrong clock nor a late pass moves. Passes without
    a place are taken by their own time and id; so are all where most have none, or where the offsets of a
    later day begin before those of an earlier one, as after a topic was made anew.

    Args:
        passes: with ``t``, ``gcxh``, and ``partition`` and ``offset``, which may be null.

    Returns:
        the passes, and how most of them were put into order.
    """
    placed = pl.col("partition").is_not_null() & pl.col("offset").is_not_null()
    lanes = passes.filter(placed).sort("offset").partition_by("partition")
    if sum(map(len, lanes)) < len(passes) / 2 or not all(map(_runs_with_time, lanes)):
        return passes.sort("t", "gcxh"), "time"
    lanes.append(passes.filter(~placed).sort("t", "gcxh"))
    around = pl.col("t").rolling_median(_ABOUT, min_samples=1, center=True).cum_max().alias("arrival")
    merged = pl.concat(lane.with_columns(around) for lane in lanes)
    return merged.sort("arrival", maintain_order=True).drop("arrival"), "offsets"


def _runs_with_time(lane: pl.DataFrame) -> bool:
    days = (
        lane.group_by((pl.col("t") // _DAY_S).alias("day"))
        .agg(pl.col("offset").quantile(_BEGIN).alias("begin"), pl.len().alias("count"))
        .filter(pl.col("count") >= _LEAST_SHARE * len(lane))
    )
    return days.sort("day")["begin"].is_sorted()
