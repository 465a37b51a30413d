"""The shifts in which people look at alerts, by local time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final, NamedTuple

SHIFTS: Final = ("morning", "afternoon", "night")
DAY_S: Final = 86_400
_FIRST_S, _LENGTH_S = 6 * 3600, 8 * 3600
_ZERO: Final = date(1970, 1, 1)


class Shift(NamedTuple):
    """Eight hours: ``morning`` from 06:00, ``afternoon`` from 14:00, ``night`` from 22:00 of ``day``."""

    day: date
    name: str


def day_of(seconds: int) -> date:
    """The day of seconds of local time.

    >>> day_of(1705305610)
    datetime.date(2024, 1, 15)
    """
    return _ZERO + timedelta(days=seconds // DAY_S)


def shift_at(seconds: int) -> Shift:
    """The shift of seconds of local time; the hours before 06:00 are the night of the day before.

    >>> shift_at(1705305610)
    Shift(day=datetime.date(2024, 1, 15), name='morning')
    """
    since = seconds - _FIRST_S
    return Shift(day_of(since), SHIFTS[since % DAY_S // _LENGTH_S])


def load_of(moments: Iterable[int], days: Iterable[date]) -> dict[Shift, int]:
    """How many of ``moments`` fall into each shift.

    Args:
        moments: seconds of local time.
        days: whose shifts are named even where nothing falls into them.

    Returns:
        counts by shift, in order of time.
    """
    counts = Counter({Shift(day, name): 0 for day in days for name in SHIFTS})
    counts.update(shift_at(moment) for moment in moments)
    return dict(sorted(counts.items(), key=lambda one: (one[0].day, SHIFTS.index(one[0].name))))
