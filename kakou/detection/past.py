"""What a history says of single plates: how often each was read, and what its reads show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final, Protocol

import polars as pl

from kakou.detection.horizon import Past, Shown
from kakou.detection.knowledge import SHOWN
from kakou.detection.misreads import neighbours
from kakou.fields import MISSING
from kakou.plates import WHOLE_PLATE_PATTERN

Read = tuple[str, str, str, int]
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
    return (
        history.filter(pl.col("hphm").str.contains(WHOLE_PLATE_PATTERN))
        .group_by("hphm", *(value.replace(MISSING, "").alias(name) for name, value in SHOWN.items()))
        .agg(pl.len().cast(pl.Int64).alias("n"))
    )


def past_of(reads: Iterable[Read], days: int, told: bool) -> Past:
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


class Counted(Protocol):
    """A history whose reads can be counted.

    Attributes:
        days: on which it has passes, since 1970.
        told: whether it read any plate more than once.
    """

    days: frozenset[int]
    told: bool

    def reads_around(self, plates: Iterable[str]) -> list[Read]:
        """Reads of some whole plates, and of those that differ from one of them in one character."""
        ...


class PastOfPasses:
    """A history in memory.

    Args:
        history: as ``counted_reads`` takes it, and ``t`` (seconds of local time). May be empty.
    """

    def __init__(self, history: pl.DataFrame) -> None:
        self._reads = counted_reads(history)
        self._plates = set(self._reads["hphm"].unique())
        self.days = frozenset(days_of(history).unique())
        self.told = int(self._reads["n"].sum() or 0) > len(self._plates)

    def reads_around(self, plates: Iterable[str]) -> list[Read]:
        """As ``Counted``."""
        wanted = {one for plate in plates for one in (plate, *neighbours(plate))} & self._plates
        mine = self._reads.filter(pl.col("hphm").is_in(sorted(wanted)))
        return mine.select("hphm", *READS).rows()

    def around(self, plates: Iterable[str]) -> Past:
        """As ``History``."""
        return past_of(self.reads_around(plates), len(self.days), self.told)


class PastWithout:
    """A history without the days that are judged by it: no pass speaks for itself.

    Args:
        history: what was learned.
        judged: passes that are judged; may be of other days, too.
    """

    def __init__(self, history: Counted, judged: pl.DataFrame) -> None:
        self._history = history
        self._judged = PastOfPasses(judged.filter(days_of(judged).is_in(sorted(history.days))))
        self.days = history.days - self._judged.days

    def around(self, plates: Iterable[str]) -> Past:
        """As ``History``."""
        if not self.days:
            return Past()
        asked = list(plates)
        left = Counter[tuple[str, str, str]]()
        for history, sign in ((self._history, 1), (self._judged, -1)):
            for plate, make, kind, n in history.reads_around(asked):
                left[plate, make, kind] += sign * n
        # A day may have been learned from another export than it is judged by.
        reads = ((*what, n) for what, n in left.items() if n > 0)
        return past_of(reads, len(self.days), self._history.told)


def days_of(passes: pl.DataFrame) -> pl.Series:
    """The day of each pass, since 1970."""
    return passes["t"] // _DAY_S
