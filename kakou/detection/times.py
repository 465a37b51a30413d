"""Local times as whole seconds, so that a rule reckons with integers.

Seconds of local time: those since 1970-01-01 00:00:00 *as the clock on the wall shows it*, whatever the zone.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from kakou.fields import TIME_FORMAT

_ZERO = datetime(1970, 1, 1)


def text_of(seconds: int) -> str:
    """Seconds of local time as ``YYYY-MM-DD HH:MM:SS``.

    >>> text_of(1705305610)
    '2024-01-15 08:00:10'
    """
    return (_ZERO + timedelta(seconds=seconds)).strftime(TIME_FORMAT)


def seconds_of(text: str) -> int:
    """Seconds of local time of ``YYYY-MM-DD HH:MM:SS``.

    >>> seconds_of("2024-01-15 08:00:10")
    1705305610
    """
    return round((datetime.strptime(text, TIME_FORMAT) - _ZERO).total_seconds())


def stamp_of(seconds: float, timezone: str) -> str:
    """Seconds of local time as a contract time stamp with offset, milliseconds included.

    >>> stamp_of(1705305610, "Asia/Shanghai")
    '2024-01-15T08:00:10.000+08:00'
    """
    local = (_ZERO + timedelta(seconds=seconds)).replace(tzinfo=_zone(timezone))
    return local.isoformat(timespec="milliseconds")


def now_stamp(moment: datetime, timezone: str) -> str:
    """A moment with a zone as the contract's time stamp in ``timezone``.

    >>> now_stamp(datetime(2024, 1, 15, 0, 3, 41, 120000, tzinfo=UTC), "Asia/Shanghai")
    '2024-01-15T08:03:41.120+08:00'
    """
    return moment.astimezone(_zone(timezone)).isoformat(timespec="milliseconds")


def utc_now() -> datetime:
    """The present moment; only edges ask for it."""
    return datetime.now(UTC)


@lru_cache(maxsize=8)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
