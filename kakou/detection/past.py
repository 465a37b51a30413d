"""What a history says of single plates: how often each was read, and what its reads show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

import polars as pl

from kakou.detection.horizon import Past, Shown
from kakou.detection.misreads import neighbours
from kakou.fields import MISSING
from kakou.plates import WHOLE_PLATE_PATTERN

READS: Final = ("make", "type", "n")
_DAY_S: Final = 86_400


def counted_reads(history: pl.DataFrame) -> pl.DataFrame:
    """Reads of each whole plate, by what they show.

    Plates that were read once are among them: that read is all that is known of the vehicle, and where the
    plate is judged it weighs as any other.

    Args:
        history: ``hphm``, ``clppxh``, ``hpzl`` (text), in any order; every row counts.

    Returns:
        ``hphm``, ``make``, ``type`` ("" where nothing was read), ``n``.
    """
    shown = {"make": pl.col("clppxh").str.split("牌").list.first(), "type": pl.col("hpzl")}
    return (
        history.filter(pl.col("hphm").str.contains(WHOLE_PLATE_PATTERN))
        .group_by(
            "hphm", *(value.str.strip_chars().replace(MISSING, "").alias(n) for n, value in shown.items())
        )
        .agg(pl.len().cast(pl.Int64).alias("n"))
    )


def past_of(reads: Iterable[tuple[str, str, str, int]], days: int, told: bool) -> Past:
    """What some counted reads say.

    Args:
        reads: plate, make, type and number, as ``counted_reads`` has them; all of each plate.
        days: on which the history has passes.
        told: whether it read any plate more than once.
    """
    total, shown = Counter[str](), dict[str, Shown]()
    for plate, make, kind, n in reads:
        total[plate] += n
        mine = shown.setdefault(plate, Shown())
        for value, counts in ((make, mine.makes), (kind, mine.types)):
            if value:
                counts[value] += n
    return Past({plate: n / days for plate, n in total.items() if n > 1}, shown, told)


class PastOfPasses:
    """A history in memory.

    Args:
        history: as ``counted_reads`` takes it, and ``t`` (seconds of local time). May be empty.
    """

    def __init__(self, history: pl.DataFrame) -> None:
        self._reads = counted_reads(history)
        self._days = (history["t"] // _DAY_S).n_unique()
        self._plates = set(self._reads["hphm"].unique())
        self._told = int(self._reads["n"].sum() or 0) > len(self._plates)

    def around(self, plates: Iterable[str]) -> Past:
        """As ``History``."""
        wanted = {one for plate in plates for one in (plate, *neighbours(plate))} & self._plates
        mine = self._reads.filter(pl.col("hphm").is_in(sorted(wanted)))
        return past_of(mine.select("hphm", *READS).iter_rows(), self._days, self._told)
