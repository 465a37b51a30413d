"""Rule: what kind of day a day is, as far as traffic cares.

Statutory holidays come from ``chinese_calendar``. It knows the years whose schedule the State Council has
published; in a later year no day is a holiday.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache

import chinese_calendar


@lru_cache(maxsize=8192)
def day_kind(day: date) -> tuple[int, int]:
    """``(is_weekend, is_holiday)`` of a day, each 0 or 1.

    ``is_weekend`` is Saturday and Sunday, as everywhere in the platform; ``is_holiday`` is a day off for a
    statutory holiday, which its make-up workdays are not.

    >>> day_kind(date(2024, 1, 1)), day_kind(date(2024, 2, 4)), day_kind(date(2024, 1, 6))
    ((0, 1), (1, 0), (1, 0))
    """
    weekend = int(day.weekday() >= 5)
    try:
        off, name = chinese_calendar.get_holiday_detail(day)
    except NotImplementedError:
        return weekend, 0
    # The calendar also names the holiday on its make-up workdays; only a free day is one.
    return weekend, int(off and name is not None)
