"""In which order stored passes arrived."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import polars as pl

from kakou.detection.replay import presumed_arrival

Order = Literal["offsets", "time", "file"]
_DAY_S: Final = 86_400
# Passes come late, but not this many of them by a day: then the offsets are those of two topics.
_MOST_LATE: Final = 0.05


def in_order_of_arrival(passes: pl.DataFrame) -> tuple[pl.DataFrame, Order]:
    """Puts passes into the order of arrival.

    Within a partition of Kafka that is the order of the offsets. Partitions are merged by when each pass must
    have arrived (``presumed_arrival``). Passes without a place, and all of them where the offsets contradict
    the times, as those of a topic that was made anew do, are taken by their own time and id.

    Args:
        passes: with ``t``, ``gcxh``, and ``partition`` and ``offset``, which may be null.

    Returns:
        the passes, and how most of them were put into order.
    """
    placed = pl.col("partition").is_not_null() & pl.col("offset").is_not_null()
    lanes = passes.filter(placed).sort("offset").partition_by("partition")
    late = sum(int((_arrivals(lane) - lane["t"].to_numpy() > _DAY_S).sum()) for lane in lanes)
    count = sum(map(len, lanes))
    if late > _MOST_LATE * count or count < len(passes) / 2:
        return passes.sort("t", "gcxh"), "time"
    lanes.append(passes.filter(~placed).sort("t", "gcxh"))
    merged = pl.concat(lane.with_columns(pl.Series("arrival", _arrivals(lane))) for lane in lanes)
    return merged.sort("arrival", maintain_order=True).drop("arrival"), "offsets"


def _arrivals(lane: pl.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    times = lane["t"].to_numpy()
    arrivals = presumed_arrival(times)
    # Of the last pass nothing can be said but that it came after the others.
    return np.fmax.accumulate(np.where(np.isnan(arrivals), times, arrivals))
