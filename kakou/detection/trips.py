"""Trips: two passes of one plate that follow each other, at two gates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kakou.plates import WHOLE_PLATE_PATTERN

MAX_GAP_SECONDS: Final = 4 * 3600
# A gate that reads a vehicle twice does so within this time.
SAME_READ_SECONDS: Final = 60
# Passes of a plate that are stamped so far apart say nothing of a clock.
NEAR_SECONDS: Final = 4_500


def whole_passes(passes: pl.DataFrame, by: tuple[str, ...] = ("gcxh",)) -> pl.DataFrame:
    """Passes under whole plates, each GCXH once (of equal ids the first by time), by (plate, time, GCXH).

    Args:
        by: columns that make an id.
    """
    return (
        passes.filter(pl.col("hphm").str.contains(WHOLE_PLATE_PATTERN))
        .sort("t", "gcxh", "hphm", "kkmc")
        .unique(by, keep="first", maintain_order=True)
        .sort("hphm", "t", "gcxh", maintain_order=True)
    )


def without_repeats(whole: pl.DataFrame) -> pl.DataFrame:
    """Drops what a gate read again within a minute; ``whole`` is in the order of ``whole_passes``."""
    again = (
        (pl.col("hphm") == pl.col("hphm").shift())
        & (pl.col("kkmc") == pl.col("kkmc").shift())
        & (pl.col("t") - pl.col("t").shift() <= SAME_READ_SECONDS)
    )
    return whole.filter(~again.fill_null(False))


def trips_of(whole: pl.DataFrame, lag: int = 1) -> pl.DataFrame:
    """Neighbours in the order of ``whole_passes``, at two gates and at most ``MAX_GAP_SECONDS`` apart.

    Args:
        lag: 1 for neighbours, 2 for passes with one between them, and so on.

    Returns:
        ``start``, ``end`` (gate codes of ``code``), ``t_start``, ``t_end`` (seconds); ``whole`` must have the
        columns ``hphm``, ``code`` (index of its gate) and ``t``.
    """
    first, second = whole[:-lag], whole[lag:]
    frame = pl.DataFrame(
        {
            "same": first["hphm"] == second["hphm"],
            "start": first["code"],
            "end": second["code"],
            "t_start": first["t"],
            "t_end": second["t"],
        }
    )
    gap = pl.col("t_end") - pl.col("t_start")
    return frame.filter(
        pl.col("same"), pl.col("start") != pl.col("end"), gap.is_between(0, MAX_GAP_SECONDS)
    ).drop("same")


def pairs_near(
    whole: pl.DataFrame, lags: int
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Each two passes of a plate at two gates that are stamped within ``NEAR_SECONDS``.

    Args:
        whole: ``hphm``, ``code``, ``t`` by (plate, time).
        lags: so many places from each other at most.

    Returns:
        for each number of places from 1 on: indices of the earlier and of the later ones.
    """
    plate = whole["hphm"].rle_id().to_numpy()
    code, t = whole["code"].to_numpy(), whole["t"].to_numpy()
    for lag in range(1, min(lags, len(whole) - 1) + 1):
        same = (plate[lag:] == plate[:-lag]) & (code[lag:] != code[:-lag])
        first = np.flatnonzero(same & (t[lag:] - t[:-lag] < NEAR_SECONDS))
        yield first, first + lag
