"""Local time in the platform's zone, whatever zone the machine is in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

Clock = Callable[[], datetime]


def zone_clock(timezone: str) -> Clock:
    """A clock that answers the time of day in ``timezone``, with its offset."""
    zone = ZoneInfo(timezone)
    return lambda: datetime.now(zone)


def naive(moment: datetime) -> datetime:
    """Without offset and in whole seconds, as ``gcsj`` is stored."""
    return moment.replace(tzinfo=None, microsecond=0)
